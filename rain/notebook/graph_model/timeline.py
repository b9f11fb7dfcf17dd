"""What ran when, as the timeline's tab asks for it: lanes of bars, and how many tasks waited for room."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from rain.common.formatting import size_text
from rain.notebook.graph_model.lanes import MOVED, Joined, Run, kind_of
from rain.notebook.graph_model.records import title
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.graph_model.view import View
from rain.notebook.protocol.lookups import Bar, LaneKind, QueuePoint, Timeline, TimelineLane

PIXELS_MAX = 10_000
QUEUE_POINTS_MAX = 400
READY_MAX = 20_000
"""Of more tasks that are ready it is not looked up since when."""


def timeline(view: View, begin: float | None, end: float | None, pixels: int, now: float) -> Timeline:
    """What ran when, between two times (seconds since the epoch; None: all), for a picture so many pixels wide."""
    lanes = view.lanes
    running: dict[tuple[str, LaneKind], list[Run]] = {}
    for leaf in list(view.running.values()):
        info = leaf.record.info
        run = view.run_of(leaf, _began(leaf, now), 0.0)
        running.setdefault(((info.governor if info is not None else None) or "", kind_of(leaf.record)), []).append(run)
    starts = [run.start for group in running.values() for run in group]
    first = min([*starts, lanes.begin if lanes.begin is not None else now])
    last = now if running else (lanes.end if lanes.end is not None else now)
    begin = first if begin is None else begin
    end = max(last if end is None else end, begin + 1e-6)
    pixels = max(1, min(pixels, PIXELS_MAX))
    told = []
    for governor, kind in sorted(lanes.groups.keys() | running.keys()):
        here = sorted(running.get((governor, kind), ()))
        found, places = lanes.group(governor, kind).lanes(here)
        bars = [[_bar(view, one) for one in lane.seen(begin, end, (end - begin) / pixels)] for lane in found]
        for run, lane in zip(here, places, strict=True):
            start = max(run.start, found[lane].free_from)  # the client heard of it late, or its clock is another one
            bars[lane].append(
                _bar(view, Joined(run._replace(start=start), max(0.0, now - start), run.state, run.function, 1))
            )
        told += [TimelineLane(governor, slot, kind, one) for slot, one in enumerate(bars)]
    return Timeline(begin, end, now, told, view.functions, _queue(view, begin, min(end, now), pixels))


def _began(leaf: TaskLeaf, now: float) -> float:
    info = leaf.record.info
    if info is not None and info.start_time is not None:
        return info.start_time
    return leaf.began if leaf.began is not None else now


def _bar(view: View, joined: Joined) -> Bar:
    run = joined.first
    if run.state == MOVED:
        return _transfer(view, joined)
    leaf = view.tree.tasks.get(run.number)
    alone = joined.tasks == 1
    return Bar(
        run.start,
        joined.seconds,
        joined.state,
        f"t{run.number}",
        title(leaf.record) if leaf is not None else "",
        joined.tasks,
        joined.function,
        run.waited if alone else 0.0,
        run.transfer if alone else 0.0,
    )


def _transfer(view: View, joined: Joined) -> Bar:
    run = joined.first
    obj = view.objects.get(run.number)
    name = (obj.spec.label if obj is not None else None) or f"object {run.number}"
    if obj is not None and obj.task is not None:
        name = f"{name} of {title(obj.task)}"
    told = f"{size_text(run.size)} from {run.source}" if joined.tasks == 1 else ""
    return Bar(run.start, joined.seconds, MOVED, f"o{run.number}", name, joined.tasks, -1, told=told)


def _ready_since(view: View, otherwise: float) -> Iterator[float]:
    """Since when those are ready that are."""
    for leaf in list(view.tree.tasks.values()):
        if leaf.state == "ready":
            since = view.ready_since(leaf)
            yield otherwise if since is None else since


def _queue(view: View, begin: float, end: float, pixels: int) -> list[QueuePoint]:
    """How many tasks were ready and did not run: the points at which that changed."""
    ready = view.tree.root.counts.get("ready", 0)
    since = sorted(_ready_since(view, begin)) if 0 < ready <= READY_MAX else []
    points: list[QueuePoint] = []
    count = min(QUEUE_POINTS_MAX, max(2, pixels // 2))
    for place in range(count):
        at = begin + (end - begin) * place / (count - 1)
        waiting = view.lanes.waiting(at) + bisect_right(since, at)
        if not points or waiting != points[-1].count:
            points.append(QueuePoint(at, waiting))
    return points if any(point.count for point in points) else []
