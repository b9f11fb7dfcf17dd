"""PBS: OpenPBS and PBS Professional."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import MIB
from rain.deploy.engines.batch import Order, clock_time, job_ids, job_script, seconds_of
from rain.deploy.nodes import parse_host_file
from rain.deploy.pools.supplier import Job, JobState

_PENDING = frozenset("HQTW")
_ENDED = frozenset("FMX")
"""Job states of qstat(1B); one that is in neither set occupies its host."""


class Pbs:
    """Jobs of PBS (PBS Professional User's Guide, "PBS_NODEFILE"; qsub(1B), qstat(1B) and qdel(1B) of OpenPBS)."""

    name = "pbs"
    job_variable = "PBS_JOBID"
    step_reads = False
    index = "PBS_ARRAY_INDEX"
    index_in_path = "^array_index^"
    gone = r"q\w+: (Unknown Job Id|(\S+ )?Job has finished|Request invalid for state of job).*"

    def hosts(self, environment: Mapping[str, str]) -> dict[str, int]:
        path = environment.get("PBS_NODEFILE")
        if not path:
            raise RainException("--autoconf pbs works inside a PBS job only: PBS_NODEFILE is not set")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RainException(f"the PBS node file {path} cannot be read: {why}") from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # A host has a line for each of its MPI processes, and pbsdsh counts lines.
        return {host: lines.index(host) for host in parse_host_file(text)}

    def step(self, host: str, number: int, line: str) -> list[str]:
        return ["pbsdsh", "-n", str(number), "--", "/bin/sh", "-c", line]

    def script(self, order: Order, name: str, lines: str, log: str, elements: int) -> str:
        select = f"select=1:ncpus={order.cpus}"
        select += f":ngpus={order.gpus}" if order.gpus else ""
        select += f":mem={-(-order.memory_bytes // MIB)}mb" if order.memory_bytes else ""
        options = [["-N", name], ["-j", "oe"], ["-o", f"{log}.pbs"], ["-l", select]]
        options += [["-J", f"1-{elements}"]] if elements > 1 else []
        options += [["-q", order.partition]] if order.partition else []
        options += [["-l", f"walltime={clock_time(order.time_s)}"]] if order.time_s else []
        # PBS keeps what a job prints on the job's host until it ends; what is to be read before goes its own way.
        before, mark, after = log.partition(self.index_in_path)
        here = f'{shlex.quote(before)}"${self.index}"{shlex.quote(after)}' if mark else shlex.quote(log)
        return job_script("#PBS", options, f"exec >>{here} 2>&1\n{lines}")

    def submit(self, order: Order, path: str) -> list[str]:
        return ["qsub", *order.arguments, path]

    def submitted(self, output: str, elements: int) -> list[str]:
        lines = [line.strip() for line in output.splitlines() if line.strip()[:1].isdigit()]
        found = lines[-1] if lines else None
        if elements > 1 and found is not None:
            number, bracket, server = found.partition("[]")
            return job_ids(number if bracket else None, elements, f"{{}}[{{}}]{server}", "qsub", output)
        return job_ids(found, elements, "", "qsub", output)

    def show(self, jobs: Sequence[str]) -> list[str]:
        arrays = dict.fromkeys(_array_of(job) for job in jobs)
        return ["qstat", "-x", "-t", "-f", "-F", "json", *arrays]

    def shown(self, output: str) -> dict[str, Job]:
        if not output.strip():
            return {}
        try:
            entries: dict[str, dict[str, Any]] = json.loads(output, strict=False).get("Jobs") or {}
            return {number: _job(entry) for number, entry in entries.items()}
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise RainException(
                f"qstat's list of jobs cannot be read ({type(error).__name__}: {error}): {output[:200]!r}"
            ) from None

    def why(self, job: str) -> list[str]:
        return []

    def reason(self, output: str) -> str:
        return ""

    def lingers(self, job: Job) -> bool:
        return False

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        return ["qdel", *jobs]

    def cancel_named(self, name: str) -> list[str]:
        return ["sh", "-c", f'found=$(qselect -N {shlex.quote(name)}) && [ -z "$found" ] || qdel $found']


def _array_of(job: str) -> str:
    number, bracket, rest = job.partition("[")
    return f"{number}[]{rest.partition(']')[2]}" if bracket else job


def _job(entry: Mapping[str, Any]) -> Job:
    word = str(entry["job_state"])
    comment = str(entry.get("comment", ""))
    if word in _PENDING:
        starts_at = str((entry.get("estimated") or {}).get("start_time", ""))
        return Job(JobState.PENDING, word, comment.removeprefix("Not Running: "), starts_at)
    if word in _ENDED:
        status = entry.get("Exit_status")
        return Job(JobState.ENDED, word if status is None else f"{word}, exit status {status}")
    limit = seconds_of(str((entry.get("Resource_List") or {}).get("walltime", "")))
    used = seconds_of(str((entry.get("resources_used") or {}).get("walltime", "")))
    return Job(JobState.RUNNING, word, left_s=None if limit is None else max(0.0, limit - (used or 0)))
