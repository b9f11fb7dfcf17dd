"""Topologies to lay out and to draw."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any


def topology(nodes: list[Any], arcs: list[Any], frames: Iterable[Any] = ()) -> dict[str, Any]:
    return {"number": 1, "nodes": nodes, "arcs": arcs, "frames": list(frames)}


def task(number: int, label: str, inside: str | None = None) -> dict[str, Any]:
    return {"key": f"t{number}", "kind": "task", "label": label, "type": "py/", "in": inside}


def data(number: int, label: str, inside: str | None = None) -> dict[str, Any]:
    return {"key": f"o{number}", "kind": "object", "label": label, "directory": False, "in": inside}


def group(number: int, label: str, tasks: int, inside: str | None = None) -> dict[str, Any]:
    return {"key": f"g{number}", "kind": "group", "label": label, "tasks": tasks, "objects": tasks, "in": inside}


def frame(number: int, label: str, inside: str | None = None) -> dict[str, Any]:
    return {"key": f"g{number}", "label": label, "in": inside}


def small() -> dict[str, Any]:
    """An object is split in two, one of which is counted."""
    return topology(
        [data(1, "numbers"), task(1, "split"), data(2, "even"), data(3, "odd"), task(2, "count")],
        [["o1", "t1", "0: numbers", 1], ["t1", "o2", "0: even", 1], ["t1", "o3", "1: odd", 1], ["o2", "t2", "0", 1]],
    )


def mixed() -> dict[str, Any]:
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


def scattered(nodes: int, arcs: int, frames: int = 0, seed: int = 1) -> dict[str, Any]:
    """A random graph without cycles, four of five nodes in frames."""
    draw = random.Random(seed)
    boxes = [frame(n, f"group {n}", f"g{n // 2}" if n > 1 and draw.random() < 0.5 else None) for n in range(frames)]
    made = []
    for n in range(nodes):
        inside = f"g{n * frames // nodes}" if frames and draw.random() < 0.8 else None
        made.append(task(n, f"task {n}", inside) if n % 2 else data(n, f"object {n}", inside))
    lines = []
    for _ in range(arcs):
        tail = draw.randrange(nodes - 1)
        head = min(nodes - 1, tail + 1 + int(draw.expovariate(1 / 12)))
        lines.append([made[tail]["key"], made[head]["key"], "0: a", 1])
    return topology(made, lines, boxes)


def status_of(graph: dict[str, Any], seed: int = 1) -> dict[str, Any]:
    draw = random.Random(seed)
    found: dict[str, Any] = {}
    for node in graph["nodes"]:
        if node["kind"] == "group":
            found[node["key"]] = {"s": "running", "c": {"finished": node["tasks"] - 2, "running": 2}}
        elif node["kind"] == "task":
            state = draw.choice(["finished", "running", "failed", "ready", "waiting", "new", "cancelled"])
            found[node["key"]] = {"s": state, "d": draw.random() * 100, "g": "127.0.0.1:41000"}
            if state == "failed":
                found[node["key"]]["e"] = "ValueError: not a number"
        else:
            state = draw.choice(["finished", "unfinished", "removed", "new"])
            found[node["key"]] = {"s": state, "z": draw.randrange(10**7), "c": "json", "k": draw.random() < 0.2}
    return found


def summary_of(graph: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    tasks: dict[str, int] = {}
    for node in graph["nodes"]:
        counts = {status[node["key"]]["s"]: 1} if node["kind"] == "task" else {}
        for state, count in (status[node["key"]]["c"] if node["kind"] == "group" else counts).items():
            tasks[state] = tasks.get(state, 0) + count
    return {"tasks": tasks, "objects": len(graph["nodes"]), "elapsed": 83.4, "remaining": None, "ticking": False}
