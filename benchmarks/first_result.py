"""How long from asking Slurm for hosts to the first result: `Client.on("slurm")` beside dask-jobqueue.

    python benchmarks/first_result.py [--repeat 5]

As root, with Debian's Slurm (see `make test-engines`): a cluster of three hosts in namespaces of this machine is
started, and both take turns on its login node, each time in a new process. The clock runs from behind the imports, when
the hosts are asked for, to the result of one task in the script. A third script submits a job that does nothing but say
that it runs: what Slurm takes by itself, which is in both. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.engines.slurm_cluster import LOGIN, SlurmCluster, missing  # noqa: E402
from tests.support.waiting import until  # noqa: E402

RAIN = """\
import time
from rain import Client, Output, remote

@remote(outputs=[Output(encode="json")])
def one(ctx):
    return 1

begin = time.monotonic()
client = Client.on("slurm", nodes={hosts}, cpus=2, partition="main", timeout=120)
with client.new_session("first", default=True) as session:
    assert session.run(one()) == 1
    print("took", time.monotonic() - begin)
client.close()
"""
SLURM = """\
import os, subprocess, time

begin = time.monotonic()
script = "{home}/job.sh"
with open(script, "w") as file:
    file.write("#!/bin/sh\\n#SBATCH --partition=main\\n#SBATCH --output=/dev/null\\ntouch {home}/runs\\n")
subprocess.run(["sbatch", script], check=True)
while not os.path.exists("{home}/runs"):
    time.sleep(0.01)
print("took", time.monotonic() - begin)
os.unlink("{home}/runs")
"""
DASK = """\
import sys, time
from dask.distributed import Client
from dask_jobqueue import SLURMCluster

def one():
    return 1

if __name__ == "__main__":
    begin = time.monotonic()
    cluster = SLURMCluster(
        queue="main", cores=2, processes=1, memory="900MB", walltime="00:10:00", python=sys.executable,
        log_directory="{home}/logs", local_directory="/tmp",
        scheduler_options={{"host": "{login}", "dashboard": False}},
    )
    cluster.scale(jobs={hosts})
    client = Client(cluster)
    assert client.submit(one).result(timeout=120) == 1
    print("took", time.monotonic() - begin)
    client.close()
    cluster.close()
"""


def measured(slurm: SlurmCluster, script: Path) -> float:
    """Seconds that `script` took on the login node; all hosts are idle before and after."""
    output = slurm.run(sys.executable, "-P", str(script))
    took = next(line for line in output.splitlines() if line.startswith("took "))
    slurm.run("scancel", "-u", "root")
    until(lambda: slurm.idle() == 3, "all hosts idle")
    return float(took.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=2, help="how many are asked for; the first serves")
    options = parser.parse_args()
    why = missing()
    if why:
        sys.exit(why)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        home, cluster = Path(folder, "home"), Path(folder, "slurm")
        home.mkdir(0o700)
        cluster.mkdir()
        os.environ |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "TMPDIR": "/tmp"}
        os.environ.pop("XDG_STATE_HOME", None)
        words = {"hosts": options.hosts, "home": home, "login": LOGIN}
        scripts = {}
        for name, text in (("rain", RAIN), ("dask-jobqueue", DASK), ("slurm", SLURM)):
            scripts[name] = home / f"with_{name}.py"
            scripts[name].write_text(text.format(**words))
        slurm = SlurmCluster(cluster, kept=[home, ROOT, Path(sys.prefix)])
        before = os.getloadavg()[0]
        try:
            times: dict[str, list[float]] = {name: [] for name in scripts}
            for turn in range(options.repeat + 1):
                for name, script in scripts.items():
                    took = measured(slurm, script)
                    if turn:  # the first of each reads the disk
                        times[name].append(took)
            versions = {name: version(name) for name in ("distributed", "dask-jobqueue")}
            versions["slurm"] = slurm.run("sinfo", "--version").strip()
        finally:
            slurm.close()
    medians = {name: statistics.median(found) for name, found in times.items()}
    found = {f"{name} s": round(median, 2) for name, median in medians.items()}
    found |= {f"{name} s all": [round(took, 2) for took in times[name]] for name in times}  # type: ignore[misc]
    ratio = round(medians["rain"] / medians["dask-jobqueue"], 3)
    load = [round(before, 1), round(os.getloadavg()[0], 1)]
    print(json.dumps(found | {"ratio": ratio, "load": load, "versions": versions}))


if __name__ == "__main__":
    main()
