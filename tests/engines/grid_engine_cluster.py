"""A real Grid Engine for tests: 8.1.9 of Debian 12 (bootstrap(5), sge_conf(5), queue_conf(5), sched_conf(5))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.engines import hosts
from tests.engines.hosts import Hosts

PROGRAMS = {"sge_qmaster": "gridengine-master", "sge_execd": "gridengine-exec", "qsub": "gridengine-client"}
"""What it needs, and the Debian packages that have it."""
_LIBRARY = "/usr/lib/gridengine"
_DEFAULTS = "/usr/share/gridengine"

_BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {cell}/common;{spool}
binary_path {folder}/root/bin
qmaster_spool_dir {spool}
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
_HOST = """\
hostname {name}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
# What is not said here is as Grid Engine's own template has it.
_QUEUE = {
    "qname": "main", "load_thresholds": "NONE", "pe_list": "smp each", "rerun": "TRUE", "notify": "00:00:20",
}  # fmt: skip
_SCHEDULER = {
    "schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1", "job_load_adjustments": "NONE",
    "load_adjustment_decay_time": "0:0:0",
}  # fmt: skip
_DAEMONS = """\
export SGE_ROOT={folder}/root SGE_CELL=default SGE_ARCH=lx-amd64
{library}/spoolinit classic libspoolc "{cell}/common;{spool}" init
for words in "configuration {folder}/global" "complexes {defaults}/util/resources/centry" \\
    "usersets {defaults}/util/resources/usersets" "managers root" "pes {folder}/pe" "adminhosts {folder}/admin" \\
    "submithosts {folder}/admin" "exechosts {folder}/exec"; do
    {library}/spooldefaults $words
done
sge_qmaster
change() {{ sed -E "$2" >{folder}/new; qconf $1 {folder}/new; }}
qconf -ssconf | change -Msconf '{scheduler}'
qconf -sq | change -Aq '{queue}'"""


def missing() -> str:
    """Why no Grid Engine can run here; empty if one can."""
    return hosts.missing(PROGRAMS)


class GridEngineCluster(Hosts):
    """Grid Engine's master on the login node, and hosts n1, n2, … with the queue ``main``.

    Its parallel environments are ``smp``, all on one host, and ``each``, one slot a host.

    Parameters
    ----------
    folder : Path
        See `Hosts`, as of `kept`.
    count, cpus : int
        How many hosts, and slots of each.
    kept : sequence of Path
    """

    def __init__(self, folder: Path, count: int = 3, cpus: int = 2, kept: Sequence[Path] = ()) -> None:
        names = [f"n{number}" for number in range(1, count + 1)]
        cell, spool = folder / "root" / "default", folder / "spool"
        for path in (cell / "common", spool / "job_scripts", folder / "execd"):
            path.mkdir(parents=True)
        for name in ("bin", "lib", "utilbin"):
            (folder / "root" / name).mkdir()
            (folder / "root" / name / "lx-amd64").symlink_to(_LIBRARY)
        (folder / "root" / "util").symlink_to(f"{_DEFAULTS}/util")
        words = {"folder": folder, "cell": cell, "spool": spool, "library": _LIBRARY, "defaults": _DEFAULTS}
        (cell / "common" / "act_qmaster").write_text("login\n")
        (cell / "common" / "bootstrap").write_text(_BOOTSTRAP.format(**words))
        smp = Path(f"{_DEFAULTS}/util/resources/pe/smp").read_text()
        templates = {f"admin/{name}": f"hostname {name}\n" for name in ("login", *names)}
        templates |= {f"exec/{name}": _HOST.format(name=name) for name in names}
        templates |= {"pe/smp": smp, "pe/each": smp.replace("smp", "each").replace("$pe_slots", "1")}
        changes = {
            "min_uid": "0", "min_gid": "0", "load_report_time": "00:00:01", "execd_spool_dir": str(folder / "execd"),
            "reporting_params": "accounting=false reporting=false",
        }  # fmt: skip
        templates["global"] = _changed(Path(f"{_DEFAULTS}/default-configuration").read_text(), changes)
        for name, text in templates.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        queue = {**_QUEUE, "hostlist": " ".join(names), "slots": str(cpus)}
        daemons = _DAEMONS.format(**words, scheduler=_expressions(_SCHEDULER), queue=_expressions(queue))
        environment = {"SGE_ROOT": str(folder / "root"), "SGE_CELL": "default", "SGE_ARCH": "lx-amd64"}
        super().__init__(folder, count, kept, daemons, "SGE_ND=1 exec sge_execd", environment)

    def idle(self) -> int:
        with self.start(["qstat", "-f"]) as process:
            output, _ = process.communicate()
        return len(re.findall(r"(?m)^main@\S+ +\S+ +0/0/\d+ +\S+ +lx-amd64 *$", output))

    def jobs(self) -> dict[str, str]:
        """States of jobs by id."""
        found = re.findall(r"(?m)^ *(\d+) +\S+ +\S+ +\S+ +(\w+) ", self.run("qstat"))
        return dict(found)


def _changed(text: str, changes: dict[str, str]) -> str:
    for name, value in changes.items():
        text = re.sub(rf"(?m)^{name} .*", f"{name} {value}", text)
    return text


def _expressions(changes: dict[str, str]) -> str:
    """For sed."""
    return "; ".join(f"s#^{name} .*#{name} {value}#" for name, value in changes.items())
