"""Slurm."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import MIB, NODES_MAX
from rain.deploy.engines.batch import Order, qtoolkit_of
from rain.deploy.pools.supplier import Job, JobState
from rain.governor.surroundings.leaving import parse_duration

_PENDING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"})
_ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "SPECIAL_EXIT", "TIMEOUT",
    }
)  # fmt: skip
"""Job states of squeue(1); one that is in neither set occupies its hosts."""


class Slurm:
    """Jobs of Slurm (https://slurm.schedmd.com/sbatch.html, "output environment variables")."""

    name = "slurm"

    def hosts(self, environment: Mapping[str, str]) -> list[str]:
        nodes = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST")
        if not nodes:
            raise RainException("--autoconf slurm works inside a Slurm job only: SLURM_JOB_NODELIST is not set")
        return expand_nodes(nodes)

    def script(self, order: Order, name: str, command: str, log: str) -> str:
        from qtoolkit.core.data_objects import QResources

        lines = [f"#SBATCH --mem={-(-order.memory_bytes // MIB)}M"] if order.memory_bytes else []
        lines += [f"#SBATCH --gpus={order.gpus}"] if order.gpus else []
        lines += [f"#SBATCH {shlex.quote(word)}" for word in order.arguments]
        resources = QResources(
            nodes=1,
            processes_per_node=1,
            threads_per_process=order.cpus,
            time_limit=order.time_s or None,
            queue_name=order.partition or None,
            job_name=name,
            output_filepath=log,
            scheduler_kwargs={"qverbatim": "\n".join(lines)} if lines else {},
        )
        writer: Any = qtoolkit_of(self.name)
        text: str = writer.get_submission_script(f"exec {command}", resources)
        return text

    def submit(self, path: str) -> list[str]:
        return ["sbatch", path]

    def submitted(self, output: str) -> str:
        reader: Any = qtoolkit_of(self.name)
        found = reader.parse_submit_output(0, output, "").job_id
        if not found:
            raise RainException(f"sbatch printed no job id but {output.strip()!r}")
        return str(found)

    def show(self, jobs: Sequence[str]) -> list[str]:
        # With two ids of which one is forgotten squeue tells the other; with one alone it fails. scontrol, which
        # qtoolkit asks for one job, has no word on when it will start.
        return ["squeue", "-h", "-t", "all", "-j", ",".join(jobs), "-o", "%i|%T|%r|%S|%L"]

    def shown(self, output: str) -> dict[str, Job]:
        jobs = {}
        for line in output.splitlines():
            number, word, reason, starts_at, left = [part.strip() for part in line.split("|", 4)]
            state = JobState.PENDING if word in _PENDING else JobState.ENDED if word in _ENDED else JobState.RUNNING
            known = "" if reason in ("None", "(null)") else reason
            jobs[number] = Job(
                state, word, known, "" if starts_at in ("N/A", "Unknown") else starts_at, _seconds_left(left)
            )
        return jobs

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        return ["scancel", *jobs]


def _seconds_left(text: str) -> float | None:
    try:
        return parse_duration(text) if ":" in text else None
    except RainException:  # UNLIMITED, NOT_SET, INVALID among them
        return None


def expand_nodes(text: str) -> list[str]:
    """The hosts that a Slurm node list means.

    Raises
    ------
    RainException
        If it cannot be read.

    Examples
    --------
    >>> expand_nodes("n[08-10,12]-ib,login")
    ['n08-ib', 'n09-ib', 'n10-ib', 'n12-ib', 'login']
    """
    hosts: list[str] = []
    for item in _split(text):
        hosts += _expand(item, text)
        _check_count(len(hosts))
    for host in hosts:
        if not re.fullmatch(r"\w[\w.-]*", host):
            raise RainException(f"the Slurm node list {text!r} cannot be read at {host!r}")
    return list(dict.fromkeys(hosts))


def _check_count(count: int) -> None:
    if count > NODES_MAX:
        raise RainException(f"the Slurm node list names more than NODES_MAX ({NODES_MAX}) hosts")


def _split(text: str) -> list[str]:
    """At commas outside brackets."""
    items, depth, item = [], 0, ""
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += char
    return [*items, item]


def _expand(item: str, text: str) -> list[str]:
    before, bracket, rest = item.partition("[")
    if not bracket:
        return [item]
    ranges, bracket, after = rest.partition("]")
    if not bracket:
        raise RainException(f"the Slurm node list {text!r} lacks a closing bracket")
    numbers: list[str] = []
    for part in ranges.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None or (found[2] and int(found[2]) - int(found[1]) >= NODES_MAX):
            raise RainException(f"the Slurm node list {text!r} cannot be read at {part!r}")
        first, last = found[1], found[2] or found[1]
        numbers += [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    ends = _expand(after, text)
    _check_count(len(numbers) * len(ends))
    return [before + number + end for number in numbers for end in ends]
