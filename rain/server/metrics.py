"""What Prometheus reads of a server: its text format, version 0.0.4; pure.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/; names follow
https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rain.common.protocol.messages import GovernorBrief, ServerBrief
from rain.common.state_styles import NOT_RUN
from rain.common.states import TaskState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TASK_STATES = (*(state.value for state in TaskState), NOT_RUN)
"""All of them are told, also those of which there are none, so that no series comes and goes."""
LOADS = {
    "own_cpus": ("governor_busy_cpus", "Cpus that the governor and its executors keep busy."),
    "tasks_waiting": ("governor_tasks_waiting", "Tasks at the governor that wait for inputs."),
    "tasks_ready": ("governor_tasks_ready", "Tasks at the governor that wait for an executor."),
    "executors": ("governor_executors", "Processes that run tasks."),
    "inline_bytes": ("governor_inline_bytes", "Bytes of small objects in memory."),
    "memory_bytes": ("governor_memory_bytes", "Bytes of objects in shared memory."),
    "memory_max_bytes": ("governor_memory_max_bytes", "Bytes of objects that may be in shared memory."),
    "disk_bytes": ("governor_disk_bytes", "Bytes of objects on disk."),
    "spilled_bytes": ("governor_spilled_bytes", "Bytes of objects moved to disk so far."),
}
"""Of what governors say of themselves (`Load`): names and meanings here."""


class Own(NamedTuple):
    """What the server's process says of itself.

    Attributes
    ----------
    cpu_seconds : float
    memory_bytes : int
    start_time : float
        Seconds since the epoch.
    journal_bytes : int or None
        What it wrote into its journal since the last image; None: it has no journal.
    """

    cpu_seconds: float
    memory_bytes: int
    start_time: float
    journal_bytes: int | None


def exposition(brief: ServerBrief, own: Own) -> str:
    """All metrics as text.

    Parameters
    ----------
    brief : ServerBrief
    own : Own

    Returns
    -------
    str
    """
    lines: list[str] = []

    def tell(name: str, meaning: str, values: Iterable[tuple[Mapping[str, str], float]], kind: str = "gauge") -> None:
        lines.append(f"# HELP {name} {meaning}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{_labels(labels)} {_number(value)}" for labels, value in values)

    tell("rain_info", "The server.", [({"version": brief.version, "address": brief.address}, 1)])
    tell("rain_sessions", "Open sessions.", [({}, len(brief.sessions))])
    totals = dict.fromkeys(TASK_STATES, 0)
    for session in brief.sessions:
        for state, count in session.tasks.items():
            totals[state] = totals.get(state, 0) + count
    tell("rain_tasks", "Tasks of open sessions.", [({"state": state}, count) for state, count in totals.items()])
    tell("rain_governors", "Governors that are here.", [({}, len(brief.governors))])
    governors = [(_who(one), one) for one in brief.governors]
    tell("rain_governor_cpus", "Cpus of the governor.", [(who, one.cpus) for who, one in governors])
    tell("rain_governor_tasks", "Tasks that the governor was given.", [(who, one.tasks) for who, one in governors])
    tell("rain_governor_objects", "Objects that the governor holds.", [(who, one.objects) for who, one in governors])
    for key, (name, meaning) in LOADS.items():
        kind = "counter" if name == "governor_spilled_bytes" else "gauge"
        values = [(who, one.load[key]) for who, one in governors if key in one.load]
        tell(f"rain_{name}{'_total' if kind == 'counter' else ''}", meaning, values, kind)
    if own.journal_bytes is not None:
        tell("rain_journal_bytes", "Bytes of records in the journal since its last image.", [({}, own.journal_bytes)])
    tell("process_cpu_seconds_total", "Processor time of the server.", [({}, own.cpu_seconds)], "counter")
    tell("process_resident_memory_bytes", "Memory of the server.", [({}, own.memory_bytes)])
    tell("process_start_time_seconds", "When the server started.", [({}, own.start_time)])
    return "\n".join(lines) + "\n"


def _who(governor: GovernorBrief) -> dict[str, str]:
    return {"governor": governor.id}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))
