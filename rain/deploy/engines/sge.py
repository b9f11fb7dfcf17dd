"""Grid Engine: Sun's, Son of, Altair's, Open Cluster Scheduler."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from rain.common.errors import RainException
from rain.common.limits import MIB, PLACES_MAX
from rain.deploy.engines.batch import Order, job_ids, job_script
from rain.deploy.pools.supplier import Job, JobState


class GridEngine:
    """Jobs of Grid Engine (qsub(1), qstat(1), sge_status(5) and sge_pe(5) of version 8.1.9).

    ``qdel`` kills at once what was not submitted with ``-notify``; what was gets SIGUSR2 first, and the time that its
    queue's ``notify`` says. So places are.
    """

    name = "sge"
    job_variable = "SGE_TASK_ID"
    step_reads = True
    index = "SGE_TASK_ID"
    index_in_path = "$TASK_ID"
    gone = r"denied: job \S+ does not exist|\S+ has (deleted|registered the) job.*|denied: \S+ \"\S+\" does not exist"

    def hosts(self, environment: Mapping[str, str]) -> dict[str, int]:
        path = environment.get("PE_HOSTFILE")
        if not path:
            raise RainException(
                "--autoconf sge works inside a job of Grid Engine only, with a parallel environment: "
                "PE_HOSTFILE is not set"
            )
        try:
            with open(path, encoding="utf-8") as file:
                hosts = [line.split()[0] for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RainException(f"the host file {path} of Grid Engine cannot be read: {why}") from None
        return {host: number for number, host in enumerate(dict.fromkeys(hosts))}

    def step(self, host: str, number: int, line: str) -> list[str]:
        return ["qrsh", "-inherit", host, line]  # which a shell there reads

    def script(self, order: Order, name: str, lines: str, log: str, elements: int) -> str:
        options = [["-S", "/bin/sh"], ["-N", name], ["-j", "y"], ["-o", log], ["-notify"], ["-r", "y"]]
        options += [["-t", f"1-{elements}"]] if elements > 1 else []
        options += [["-q", order.partition]] if order.partition else []
        options += [["-l", f"h_rt={order.time_s}"]] if order.time_s else []
        if order.cpus > 1 and "-pe" not in order.arguments:
            options += [["-pe", "smp", str(order.cpus)]]
        if order.memory_bytes:  # what is asked for is asked for each slot
            options += [["-l", f"mem_free={-(-order.memory_bytes // (order.cpus * MIB))}M"]]
        if order.gpus:
            options += [["-l", f"gpu={order.gpus}"]]
        return job_script("#$", options, lines)

    def submit(self, order: Order, path: str) -> list[str]:
        return ["qsub", "-terse", *order.arguments, path]

    def submitted(self, output: str, elements: int) -> list[str]:
        found = re.search(r"(?m)^(\d+)(?:\.\d+-\d+:\d+)?$", output)
        return job_ids(found and found[1], elements, "{}.{}", "qsub", output)

    def show(self, jobs: Sequence[str]) -> list[str]:
        return ["qstat", "-xml", "-r", "-u", "$user"]

    def shown(self, output: str) -> dict[str, Job]:
        try:
            root = ElementTree.fromstring(output)
        except ElementTree.ParseError as error:
            raise RainException(f"qstat printed no XML ({error}) but {output[:200]!r}") from None
        jobs = {}
        for entry in root.iter("job_list"):
            number, word = entry.findtext("JB_job_number", ""), entry.findtext("state", "")
            if "E" in word:
                job = Job(JobState.ENDED, word)
            elif "q" in word:
                job = Job(JobState.PENDING, word, "held" if "h" in word else "")
            else:
                job = Job(JobState.RUNNING, word, left_s=_left_s(entry))
            tasks = entry.findtext("tasks", "")
            for name in [f"{number}.{task}" for task in _tasks(tasks)] if tasks else [number]:
                jobs[name] = job
        return jobs

    def why(self, job: str) -> list[str]:
        return ["qstat", "-j", job.partition(".")[0]]

    def reason(self, output: str) -> str:
        # The scheduler's word is the last entry, a line for each reason; sites may have it turned off.
        told = re.search(r"(?m)^scheduling info:\s*(.*(?:\n\s+\S.*)*)", output)
        broken = re.search(r"(?m)^error reason\s+\d+:\s*(.*)", output)
        found = broken or told
        if found is None or found[1].startswith("(Collecting of scheduler job information is turned off)"):
            return ""
        lines = dict.fromkeys(line.strip() for line in found[1].splitlines() if line.strip())
        return next((line for line in lines if "cannot run" in line), next(iter(lines), ""))

    def lingers(self, job: Job) -> bool:
        return "E" in job.word

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        return ["qdel", *jobs]

    def cancel_named(self, name: str) -> list[str]:
        return ["qdel", name]


def _tasks(text: str) -> Iterator[int]:
    """The numbers that ``1,3-7:2`` means."""
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+)(?::(\d+))?)?\s*", part)
        if found is None:
            raise RainException(f"qstat printed tasks {text!r}, which cannot be read")
        first, last = int(found[1]), int(found[2] or found[1])
        yield from range(first, min(last, first + PLACES_MAX) + 1, int(found[3] or 1) or 1)


def _left_s(entry: ElementTree.Element) -> float | None:
    limits = [found.text or "" for found in entry.iter("hard_request") if found.get("name") == "h_rt"]
    try:
        began = time.mktime(time.strptime(entry.findtext("JAT_start_time", ""), "%Y-%m-%dT%H:%M:%S"))
        return max(0.0, began + float(limits[0]) - time.time())
    except (ValueError, IndexError):
        return None
