"""Graphs for Graphviz, and the program ``dot`` where there is one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from rain.notebook.drawing import dot
from rain.notebook.drawing.arrangement import stacked
from rain.notebook.drawing.dot import dot_source, native_geometry
from rain.notebook.drawing.text_metrics import node_size
from rain.notebook.protocol.graph import Arc, Topology
from tests.support.commands import write_command
from tests.unit.notebook.graphs import data, frame, group, mixed, scattered, size_of, small, task, topology

SLOW = 6
"""How many times slower than the machine that figures were taken on a test may be."""

HOSTILE = [
    'a"b',
    "a\\",
    '\\"',
    "\\N\\G\\l",
    "<b>x</b>",
    "&amp;&lt;",
    "a\nb\0c",
    "\udcff\u202e",
    "]; x -> y [",
    "{|}",
    "",
]


def test_source() -> None:
    source = dot_source(small())
    assert source.startswith("digraph rain {")
    assert '"t1" [label="split" shape=oval width=' in source
    assert '"o1" -> "t1" [label="0: numbers"]' in source
    assert "rankdir=TB" in source
    assert "rankdir=LR" in dot_source(replace(small(), sideways=True))
    assert "color" not in source


def test_frames_are_clusters_inside_each_other() -> None:
    graph = topology(
        [task(1, "a", "g2"), task(2, "b", "g1"), task(3, "c")],
        [],
        [frame(2, "in", "g1"), frame(1, "out"), frame(3, "none")],
    )
    lines = [line.strip() for line in dot_source(graph).splitlines()]
    inside, depth = {}, []
    for line in lines:
        if line.startswith("subgraph"):
            depth.append(line.split()[1])
        elif line == "}" and depth:
            depth.pop()
        elif found := re.match(r'"(t\d)"', line):
            inside[found[1]] = list(depth)
    assert inside == {"t1": ["clusterg1", "clusterg2"], "t2": ["clusterg1"], "t3": []}


@pytest.mark.parametrize("key", ["", 'a"', "a:b", "a b", "a\\", "<a>", "g/ä"])
def test_keys_that_could_mean_something_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name in DOT"):
        dot_source(topology([replace(task(1, "a"), key=key)], []))
    with pytest.raises(ValueError, match="cannot be a name in DOT"):
        dot_source(topology([task(1, "a")], [["t1", key, "", 1]]))
    assert native_geometry(topology([replace(task(1, "a"), key=key)], []), 30) is None


def test_labels_of_many_arcs_are_left_out() -> None:
    assert dot_source(scattered(50, 80)).count('label="0: a"') == 80
    assert 'label="0: a"' not in dot_source(scattered(50, 81))
    assert "nslimit" not in dot_source(scattered(50, 81))
    assert "nslimit" in dot_source(scattered(300, 300))


def test_source_of_many_nodes_takes_no_time() -> None:
    graph = scattered(500, 1000, frames=10)
    before = time.process_time()
    dot_source(graph)
    assert time.process_time() - before < 0.010 * SLOW


# -- the program ----------------------------------------------------------------------------------
@pytest.mark.needs("dot")
@pytest.mark.parametrize(
    "graph",
    [small(), mixed(), scattered(60, 90, frames=3), scattered(500, 700)],
    ids=size_of,
)
def test_native_geometry(graph: Topology) -> None:
    geometry = native_geometry(graph, 60)
    assert geometry is not None
    for node in graph.nodes:
        assert (geometry.nodes[node.key].width, geometry.nodes[node.key].height) == node_size(node)
    assert len(geometry.arcs) == len(graph.arcs)
    assert len(geometry.frames) == len(graph.frames)


@pytest.mark.needs("dot")
def test_native_labels_stay_text() -> None:
    nodes = [data(n, label, "g7") for n, label in enumerate(HOSTILE)] + [task(1, "x")]
    arcs = [[f"o{n}", "t1", label, 1] for n, label in enumerate(HOSTILE)]
    for label in HOSTILE:
        geometry = native_geometry(topology(nodes, arcs, [frame(7, label)]), 30)
        assert geometry is not None
        assert len(geometry.nodes) == len(HOSTILE) + 1
        assert len(geometry.arcs) == len(HOSTILE)


def program(folder: Path, text: str) -> None:
    path = folder / "dot"
    write_command(path, f"#!/bin/sh\n{text}\n")


@pytest.mark.parametrize(
    "text", ["exit 3", "echo hello", "kill -9 $$", "cat /dev/null", 'echo \'{"bb": "0,0,1,1"}\'', "printf '\\377'"]
)
def test_bad_programs_give_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    program(tmp_path, text)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert native_geometry(small(), 30) is None


def test_slow_programs_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert native_geometry(small(), 3.0) is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_no_program_and_too_many_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot, "DOT_NODES_MAX", 4)
    program(tmp_path, f"touch {tmp_path}/called")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert native_geometry(small(), 30) is None
    assert not (tmp_path / "called").exists()
    monkeypatch.setenv("PATH", "")
    assert native_geometry(topology([task(1, "a")], []), 30) is None


def test_what_is_not_connected_is_stacked_in_rows() -> None:
    wide = topology([replace(group(1, "x", 1, "g1"), key=f"g1.{i}") for i in range(30)], [], [frame(1, "x")])
    below = list(stacked(wide))
    assert below[0] == ("g1.0", "g1.6")
    assert len(below) == 24
    assert dot.dot_source(wide).count("style=invis") == 24
    chain = [Arc(f"g1.{i}", f"g1.{i + 1}", "") for i in range(29)]
    assert list(stacked(replace(wide, arcs=chain))) == []
    pairs = [Arc(f"g1.{i}", f"g1.{i + 1}", "") for i in range(0, 30, 2)]
    assert next(iter(stacked(replace(wide, arcs=pairs)))) == ("g1.1", "g1.12")
