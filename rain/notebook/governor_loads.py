"""What a governor says of its load, as measures to be shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rain.client.handles import core_of
from rain.common.formatting import size_text
from rain.notebook.protocol.lookups import Card, Governor, Governors, Measure, SessionLine

if TYPE_CHECKING:
    from rain.client.client import Client

# Names that a governor's load is known to have (see `rain.common.protocol.messages.Load`), in the order of the tiles.
_LABELS = {
    "load": "load",
    "cpu": "processor",
    "memory": "memory of the host",
    "memory_bytes": "store in memory",
    "disk_bytes": "store on disk",
    "inline_bytes": "small results",
    "spilled_bytes": "moved to disk",
    "executors": "executors",
    "own_cpus": "cpus kept busy",
    "tasks_waiting": "tasks waiting for data",
    "tasks_ready": "tasks ready to run",
    "fetches": "transfers",
}
_ORDER = list(_LABELS)
_WHOLES = {"memory_bytes": "memory_max_bytes", "disk_bytes": "disk_max_bytes"}
"""The names of the wholes that parts belong to."""
_HOST = {"host_used_bytes", "host_max_bytes", "host_cpus"}
_ELSEWHERE = {"objects", "tasks", "executors_running", *_HOST, *_WHOLES.values()}
"""Told in other places, or in a line with another one."""
_UNLESS_ZERO = {"spilled_bytes", "fetches", "tasks_waiting", "tasks_ready", "inline_bytes"}

Load = Mapping[str, float]


def governors_of(client: Client, seconds: float) -> Governors:
    """The governors of the server that a client is connected to; it may take so many `seconds` to answer."""
    info = client._brief_info(timeout=seconds)
    governors = list(map(governor_of, info["governors"]))
    cluster = client._cluster
    own = cluster is not None and cluster.governor_count > 0
    return Governors(info["address"], info["version"], own, governors)


def card_of(client: Client, seconds: float) -> Card:
    """What the card of a client shows; the server may take so many `seconds` to answer."""
    core = core_of(client)
    if not core.connected:
        return Card(client.address, "", "", core.over_because or "closed")
    info = client._brief_info(timeout=seconds)
    return Card(
        address=info["address"],
        http=info["http"] or "",
        version=info["version"],
        state="connected",
        governors=list(map(governor_of, info["governors"])),
        sessions=[SessionLine(one["id"], one["name"], one["persistent"], one["tasks"]) for one in info["sessions"]],
    )


def governor_of(brief: Mapping[str, Any]) -> Governor:
    """A governor as it is shown.

    Parameters
    ----------
    brief : dict
        As of `Client._brief_info`.
    """
    cpus, tasks, load = brief["cpus"], brief["tasks"], brief["load"]
    busy = processor_share(cpus, tasks, load)
    text = f"{_percent(busy)} of {_many(cpus, 'cpu')} · {_many(tasks, 'task')}"
    return Governor(
        id=brief["id"],
        cpus=cpus,
        tasks=tasks,
        objects=brief["objects"],
        processor=busy,
        memory=_share(load, "memory"),
        brief=Measure(brief["id"], brief["id"], text, busy),
        measures=list(measures(cpus, brief["resources"], tasks, load)),
        leaves=brief.get("leaves", ""),
    )


def processor_share(cpus: float, tasks: int, load: Load) -> float:
    """How busy the processors are, from 0 to 1, by the best that is known."""
    known = _share(load, "cpu")
    if known is not None:
        return known
    if cpus <= 0:
        return 0.0
    average = load.get("load")
    return _clamp(average / cpus) if average is not None else _cpus_used(cpus, tasks, load) / cpus


def measures(cpus: float, resources: Mapping[str, float], tasks: int, load: Load) -> Iterator[Measure]:
    """What is known of a governor's load: what has a fixed place first, then the rest.

    Examples
    --------
    >>> for measure in measures(4, {}, 3, {"cpu_percent": 50, "own_cpus": 1.5}):
    ...     print(measure.label, measure.text, measure.share)
    cpus in use 3 of 4 0.75
    processor 50 % 0.5
    cpus kept busy 1.5 None
    """
    yield _of_whole("cpus", "cpus in use", _cpus_used(cpus, tasks, load), cpus)
    told = set(_ELSEWHERE) | {f"{name}_used" for name in resources}
    for name, whole in resources.items():
        if name != "cpus":
            yield _of_whole(f"resource {name}", name, load.get(f"{name}_used", 0), whole)
    for name in ("cpu", "memory"):
        share = _share(load, name)
        told |= {name, f"{name}_percent"}
        ours = _ours(load) if name == "cpu" else None
        if share is not None and ours is not None:
            told.add("own_cpus")
            ours = min(ours, share)
            text = f"{_percent(share)}, {_percent(ours)} by Rain"
            yield Measure(name, _LABELS[name], text, share, ours)
        elif share is not None:
            host = load.get("host_max_bytes") if name == "memory" else None
            text = _percent(share) if host is None else f"{size_text(share * host)} of {size_text(host)}"
            yield Measure(name, _LABELS[name], text, share)
    for key in sorted(load.keys() - told, key=lambda key: (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)):
        value = load[key]
        if value or key not in _UNLESS_ZERO:
            yield _measure(key, value, cpus, load)


def _measure(key: str, value: float, cpus: float, load: Load) -> Measure:
    label = _LABELS.get(key, key)
    if key == "load":
        return Measure(key, label, f"{value:.2f}", _clamp(value / cpus) if cpus else None)
    if key == "executors":
        running = load.get("executors_running")
        return Measure(key, label, _plain(value) + ("" if running is None else f", {_plain(running)} at work"), None)
    if key.endswith("_percent"):
        return Measure(key, label, _percent(_clamp(value / 100)), _clamp(value / 100))
    if key.endswith("_bytes"):
        whole = load.get(_WHOLES.get(key, ""))
        text = size_text(value) if whole is None else f"{size_text(value)} of {size_text(whole)}"
        return Measure(key, label, text, _clamp(value / whole) if whole else None)
    return Measure(key, label, _plain(value), None)


def _of_whole(key: str, label: str, used: float, whole: float) -> Measure:
    return Measure(key, label, f"{_plain(used)} of {_plain(whole)}", _clamp(used / whole) if whole else 0.0)


def _ours(load: Load) -> float | None:
    """How much of the host's processors the governor and what it runs keep busy, from 0 to 1."""
    own, whole = load.get("own_cpus"), load.get("host_cpus")
    return _clamp(own / whole) if own is not None and whole else None


def _cpus_used(cpus: float, tasks: int, load: Load) -> float:
    """How many cpus tasks use; a governor has more tasks than run, since work is sent ahead."""
    return min(cpus, load.get("cpus_used", tasks))


def _share(load: Load, name: str) -> float | None:
    """A value that is sent as a share of 1 under its name, or in percent under its name with ``_percent``."""
    percent, plain = load.get(f"{name}_percent"), load.get(name)
    if percent is not None:
        return _clamp(percent / 100)
    return None if plain is None else _clamp(plain / 100 if plain > 1 else plain)


def _clamp(value: float) -> float:
    return max(0.0, min(1.0, value)) if math.isfinite(value) else 0.0


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _plain(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else str(round(value, 2))


def _many(count: float, what: str) -> str:
    return f"{_plain(count)} {what}" + "s" * (count != 1)
