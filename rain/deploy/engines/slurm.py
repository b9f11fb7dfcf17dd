"""Slurm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from rain.common.errors import RainException
from rain.common.limits import MIB, NODES_MAX
from rain.deploy.engines.batch import Order, clock_time, job_ids, job_script, seconds_of
from rain.deploy.pools.supplier import Job, JobState

_PENDING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"})
_ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "SPECIAL_EXIT", "TIMEOUT",
    }
)  # fmt: skip
"""Job states of squeue(1); one that is in neither set occupies its hosts."""

_COLUMNS = ("%i", "%T", "%r", "%S", "%L")
_FORMAT = "|".join(_COLUMNS)


class Slurm:
    """Jobs of Slurm (https://slurm.schedmd.com/sbatch.html, "output environment variables")."""

    name = "slurm"
    job_variable = "SLURM_JOB_ID"
    step_reads = True
    index = "SLURM_ARRAY_TASK_ID"
    index_in_path = "%a"
    gone = r"scancel: error: .*(Invalid job id specified|already completing or completed)"

    def hosts(self, environment: Mapping[str, str]) -> dict[str, int]:
        nodes = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST")
        if not nodes:
            raise RainException("--autoconf slurm works inside a Slurm job only: SLURM_JOB_NODELIST is not set")
        return {host: number for number, host in enumerate(expand_nodes(nodes))}

    def step(self, host: str, number: int, line: str) -> list[str]:
        # Beside what runs there, with all that the job has of the host.
        words = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--mem=0", "--cpu-bind=none", f"--nodelist={host}"]
        return [*words, "/bin/sh", "-c", line]

    def script(self, order: Order, name: str, lines: str, log: str, elements: int) -> str:
        options = [f"--job-name={name}", f"--output={log}", "--nodes=1", "--ntasks=1", f"--cpus-per-task={order.cpus}"]
        options += [f"--array=1-{elements}"] if elements > 1 else []
        options += [f"--partition={order.partition}"] if order.partition else []
        options += [f"--time={clock_time(order.time_s)}"] if order.time_s else []
        options += [f"--mem={-(-order.memory_bytes // MIB)}M"] if order.memory_bytes else []
        options += [f"--gpus={order.gpus}"] if order.gpus else []
        return job_script("#SBATCH", [[option] for option in options], lines)

    def submit(self, order: Order, path: str) -> list[str]:
        for argument in order.arguments:
            if argument.startswith(("-M", "--cluster")):
                raise RainException(
                    f"{argument}: squeue and scancel would not look there; name the cluster by the variable "
                    "SLURM_CLUSTERS, which all of Slurm's commands heed"
                )
        clusters = os.environ.get("SLURM_CLUSTERS") or os.environ.get("SBATCH_CLUSTERS", "")
        if "," in clusters or clusters.strip() == "all":
            raise RainException(
                f"SLURM_CLUSTERS is {clusters!r}: jobs of several clusters can have the same number, and another job "
                "than Rain's could be ended; name the one cluster that is meant"
            )
        return ["sbatch", *order.arguments, path]

    def submitted(self, output: str, elements: int) -> list[str]:
        found = re.search(r"Submitted batch job (\d+)", output)
        return job_ids(found and found[1], elements, "{}_{}", "sbatch", output)

    def show(self, jobs: Sequence[str]) -> list[str]:
        # Asked by ids, squeue fails when all of them are forgotten. scontrol has no word on when a job will start.
        return ["squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", _FORMAT]

    def shown(self, output: str) -> dict[str, Job]:
        jobs = {}
        for line in output.splitlines():
            if not line.strip() or line.startswith("CLUSTER: "):  # where SLURM_CLUSTERS names it
                continue
            parts = [part.strip() for part in line.split("|", 4)]
            if len(parts) != len(_COLUMNS):
                raise RainException(f"squeue printed a line that is no job, {line!r}, where -o {_FORMAT} was asked for")
            number, word, reason, starts_at, left = parts
            state = JobState.PENDING if word in _PENDING else JobState.ENDED if word in _ENDED else JobState.RUNNING
            known = "" if reason in ("None", "(null)") else reason
            left_s = seconds_of(left) if state is JobState.RUNNING else None
            jobs[number] = Job(state, word, known, "" if starts_at in ("N/A", "Unknown") else starts_at, left_s)
        return jobs

    def why(self, job: str) -> list[str]:
        return []

    def reason(self, output: str) -> str:
        return ""

    def lingers(self, job: Job) -> bool:
        return False

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        return ["scancel", *jobs]

    def cancel_named(self, name: str) -> list[str]:
        return ["scancel", f"--name={name}", f"--user={os.getuid()}"]


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
