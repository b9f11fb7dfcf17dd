"""The graph for graphviz."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import graphviz
import pytest

from rain import Output, RainException, Session, Task, blob, remote, tasks
from rain.common.spec import TaskError
from rain.common.state_styles import LOOKS, NOT_RUN
from tests.unit.client.fake import FakeLink


@remote()
def work(ctx: Any, x: Any) -> Any:
    return x


def test_nodes_and_arcs(detached: Session) -> None:
    a = blob("a", label="first")
    joined = tasks.Concat([("left", a), a], output=Output("both"))
    work(joined, name="train/fold1")
    dot = detached.make_graph().make_dot("mine")
    assert dot.startswith("digraph mine {")
    assert 'n1_1 [label="first\\n1/1"' in dot
    assert "shape=box" in dot
    assert 'n1_2 [label="builtin/concat\\n1/2"' in dot
    assert "shape=oval" in dot
    assert 'n1_1 -> n1_2 [label="0: left"]' in dot
    assert "n1_1 -> n1_2 [label=1]" in dot
    assert 'n1_2 -> n1_3 [label="0: both"]' in dot
    assert "train/fold1" in dot
    assert 'n1_3 -> n1_5 [label="0: x"]' in dot
    assert "n1_4 " not in dot  # the function
    assert "1/1" not in detached.make_graph(show_ids=False).make_dot()


def test_states_are_shown(link: FakeLink, session: Session) -> None:
    task = work(1)
    before = session.make_graph().make_dot()
    session.submit()
    link.finish(task)
    assert session.make_graph().make_dot() != before


def test_what_was_not_run_is_not_red(link: FakeLink, session: Session) -> None:
    bad = work(1)
    after = work(bad)
    session.submit()
    link.fail(bad)
    link.fail(after, TaskError("dependency", "because of another", cause=bad.id))
    dot = session.make_graph().make_dot()
    assert dot.count(LOOKS["failed"].fill) == 1
    assert dot.count(LOOKS[NOT_RUN].fill) == 3, "the other task, and the outputs of both"


def test_labels_are_text(detached: Session) -> None:
    Task([blob("a", label='"]; evil [label="<b>\\G\n')], [Output("<i>x</i>")], task_type="a/b", name="<table>\\N")
    dot = detached.make_graph().make_dot()
    for line in dot.splitlines()[3:-1]:
        assert line.strip().startswith("n1_")
    assert "label=<" not in dot
    if shutil.which("dot"):
        graph = detached.make_graph()
        assert b"&lt;table&gt;\\N" in graph._rendered("svg")


def test_a_graph_with_text_that_is_not_unicode_is_written(detached: Session, tmp_path: Path) -> None:
    Task([blob("a")], 0, task_type="odd/\ud800")
    detached.make_graph().write(tmp_path / "odd.dot")
    assert "odd/\\ud800" in (tmp_path / "odd.dot").read_text()


def test_writing(detached: Session, tmp_path: Path) -> None:
    blob("a")
    graph = detached.make_graph()
    graph.write(tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text() == graph.make_dot()
    assert repr(graph) == "<Graph of 'test', 1 nodes, 0 arcs>"


def test_pictures_without_dot(detached: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RainException, match="graphviz"):
        detached.make_graph().write(tmp_path / "graph.svg")
    assert not (tmp_path / "graph.svg").exists()


@pytest.mark.needs("dot")
def test_showing_leaves_the_current_folder_alone(
    detached: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewed: list[str] = []
    monkeypatch.setattr(graphviz.Digraph, "_view", lambda self, path, **rest: viewed.append(path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "test.gv").write_text("the user's")
    blob("a")
    detached.make_graph().show()
    assert (tmp_path / "test.gv").read_text() == "the user's"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "test.gv"]
    assert os.path.getsize(viewed[0]) > 0


@pytest.mark.needs("dot")
def test_pictures(detached: Session, tmp_path: Path) -> None:
    blob("a")
    detached.make_graph().write(tmp_path / "graph.svg")
    assert b"<svg" in (tmp_path / "graph.svg").read_bytes()
