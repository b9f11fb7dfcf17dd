"""Topologies to lay out and to draw."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from rain.notebook.drawing.text_metrics import arc_text, frame_text, node_text
from rain.notebook.protocol.graph import (
    Arc,
    Frame,
    GroupNode,
    ObjectNode,
    Status,
    Summary,
    TaskNode,
    Topology,
)


def topology(nodes: list[Any], arcs: list[Any], frames: Iterable[Any] = ()) -> Topology:
    """`arcs` are lists of tail, head, label, and how many arcs of the whole graph it stands for."""
    return Topology(1, nodes, [Arc(tail, head, arc_text(label, n)) for tail, head, label, n in arcs], list(frames))


def size_of(graph: Topology) -> str:
    """The name of a test with this graph."""
    return f"{len(graph.nodes)} nodes"


def task(number: int, label: str, inside: str | None = None) -> TaskNode:
    return TaskNode(f"t{number}", label, node_text(label), inside, type="py/")


def data(number: int, label: str, inside: str | None = None) -> ObjectNode:
    return ObjectNode(f"o{number}", label, node_text(label), inside)


def group(number: int, label: str, tasks: int, inside: str | None = None) -> GroupNode:
    return GroupNode(f"g{number}", label, node_text(label), inside, tasks=tasks, objects=tasks)


def frame(number: int, label: str, inside: str | None = None) -> Frame:
    return Frame(f"g{number}", label, frame_text(label), inside)


def small() -> Topology:
    """An object is split in two, one of which is counted."""
    return topology(
        [data(1, "numbers"), task(1, "split"), data(2, "even"), data(3, "odd"), task(2, "count")],
        [["o1", "t1", "0: numbers", 1], ["t1", "o2", "0: even", 1], ["t1", "o3", "1: odd", 1], ["o2", "t2", "0", 1]],
    )


def mixed() -> Topology:
    """Groups, a frame, a cycle between groups, an arc to itself, arcs that stand for many, twins."""
    return topology(
        [
            data(1, "corpus"),
            group(1, "load", 400),
            group(2, "tokenize", 120),
            task(3, "train", "g3"),
            task(4, "x", "g3"),
        ],
        [
            ["o1", "g1", "0: corpus", 400],
            ["g1", "g2", "", 400],
            ["g2", "g1", "", 3],
            ["g2", "g2", "", 7],
            ["g2", "t3", "0: a", 1],
            ["g2", "t3", "1: b", 1],
            ["t3", "t4", "", 1],
        ],
        [frame(3, "training")],
    )


def scattered(nodes: int, arcs: int, frames: int = 0, seed: int = 1) -> Topology:
    """A random graph without cycles, four of five nodes in frames."""
    draw = random.Random(seed)
    boxes = [frame(n, f"group {n}", f"g{n // 2}" if n > 1 and draw.random() < 0.5 else None) for n in range(frames)]
    made: list[Any] = []
    for n in range(nodes):
        inside = f"g{n * frames // nodes}" if frames and draw.random() < 0.8 else None
        made.append(task(n, f"task {n}", inside) if n % 2 else data(n, f"object {n}", inside))
    lines = []
    for _ in range(arcs):
        tail = draw.randrange(nodes - 1)
        head = min(nodes - 1, tail + 1 + int(draw.expovariate(1 / 12)))
        lines.append([made[tail].key, made[head].key, "0: a", 1])
    return topology(made, lines, boxes)


def status_of(graph: Topology, seed: int = 1) -> dict[str, Status]:
    draw = random.Random(seed)
    found: dict[str, Status] = {}
    for node in graph.nodes:
        if isinstance(node, GroupNode):
            found[node.key] = Status("running", counts={"finished": node.tasks - 2, "running": 2})
        elif isinstance(node, TaskNode):
            state = draw.choice(["finished", "running", "failed", "ready", "waiting", "new", "cancelled", "not run"])
            error = "ValueError: not a number" if state == "failed" else None
            took = f"{draw.random() * 100:.1f} s"
            found[node.key] = Status(state, took, governor="127.0.0.1:41000", error=error)
        else:
            state = draw.choice(["finished", "unfinished", "removed", "new", "not made"])
            size = f"{draw.randrange(10**3)} KiB"
            found[node.key] = Status(state, size=size, content_type="json", kept=draw.random() < 0.2)
    return found


def summary_of(graph: Topology, status: dict[str, Status]) -> Summary:
    tasks: dict[str, int] = {}
    for node in graph.nodes:
        counts = {status[node.key].state: 1} if isinstance(node, TaskNode) else {}
        for state, count in (status[node.key].counts or counts).items():
            tasks[state] = tasks.get(state, 0) + count
    return Summary(tasks, len(graph.nodes), elapsed=83.4, remaining=None, ticking=False)
