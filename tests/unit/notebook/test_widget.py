"""The session's widget: what the browser asks and gets, without a browser."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from rain import RainException, Session, TaskState, blob, remote, tasks
from rain.client.core import stalls
from rain.common.jupyter import display_hooks
from rain.common.protocol.messages import SessionUpdate, TaskUpdate
from rain.common.spec import TaskError, TaskInfo
from rain.notebook import widget_base, widget_of
from rain.notebook.protocol.layout import Box
from rain.notebook.protocol.requests import GetCard
from rain.notebook.widget import SessionWidget
from rain.notebook.widget_base import LiveWidget
from tests.support.waiting import GUARD_S
from tests.unit.client.fake import FakeLink


@remote()
def double(ctx: Any, x: Any) -> Any:
    return x


@pytest.fixture
def session() -> Session:
    return Session(None, 3, "shown")


def test_a_snapshot_then_deltas(session: Session, browser: Any) -> None:
    page = browser(widget_of(session))
    first = page.ask("snapshot")
    assert first["session"] == {"id": 3, "name": "shown", "state": "open", "note": ""}
    assert first["topology"]["dot"].startswith("digraph")
    assert "running" in first["looks"]
    with session.bind_only():
        task = double(1)
    grown = page.wait_for(lambda told: f"t{task.id.id}" in told["status"])
    assert {node["key"] for node in grown["topology"]["nodes"]} == {f"t{task.id.id}"}
    page.ask("objects", all=True)
    grown = page.wait_for(lambda told: f"o{task.output.id.id}" in told["status"])
    assert grown["topology"]["all_objects"]
    assert {node["key"] for node in grown["topology"]["nodes"]} == {f"t{task.id.id}", f"o{task.output.id.id}"}
    session._inside.mirror.submitting(list(session._inside.mirror.pending))
    session._inside.mirror.fold([TaskUpdate(task.id, TaskState.RUNNING)], [])
    page.wait_for(lambda told: told["status"].get(f"t{task.id.id}", {}).get("state") == "running")
    versions = [(message["data"]["base"], message["data"]["version"]) for message in page.news]
    assert all(base + 1 == version for base, version in versions)
    assert [base for base, _ in versions[1:]] == [version for _, version in versions[:-1]]


def test_an_open_session_shows_why_nothing_can_go_on(session: Session, browser: Any) -> None:
    page = browser(widget_of(session))
    page.ask("snapshot")
    stalls.tell(session._inside.connection.core, session._inside.mirror, server="no governor is here")
    told = page.wait_for(lambda told: told.get("session", {}).get("note") == "no governor is here")
    assert told["session"]["state"] == "open"
    stalls.tell(session._inside.connection.core, session._inside.mirror, server="")
    page.wait_for(lambda told: told.get("session", {}).get("note") == "")


def test_nothing_is_sent_while_no_browser_looks(session: Session) -> None:
    widget = widget_of(session)
    with session.bind_only():
        double(1)
    widget.advance()
    assert widget.comm.sent.empty()


def test_one_widget_for_each_session(session: Session) -> None:
    assert widget_of(session) is widget_of(session)
    assert widget_of(Session(None, 4)) is not widget_of(session)


def test_only_a_session_has_a_widget() -> None:
    with pytest.raises(RainException, match="takes a session, not int"):
        widget_of(5)  # type: ignore[arg-type]


def test_details_of_tasks_objects_and_groups(session: Session, browser: Any) -> None:
    with session.bind_only():
        text = blob("abc", label="letters")
        task = double(text, name="part/one", timeout=5.0)
        double(task, name="part/two")
    page = browser(widget_of(session))
    page.ask("snapshot")
    found = page.ask("details", key=f"t{task.id.id}")
    assert found["kind"] == "task"
    assert found["title"] == "part/one"
    assert found["state"] == "new"
    assert found["options"] == {"timeout": 5.0}
    assert [link["title"] for link in found["inputs"]] == ["letters"]
    assert "def double" in found["source"]["text"]
    assert "test_widget.py" in found["made"]
    assert not found["can_cancel"]
    assert not found["can_retry"]
    found = page.ask("details", key=f"o{text.id.id}")
    assert found["users"][0]["title"] == "part/one"
    assert not found["can_inspect"]
    assert "submit" in found["why_not"]
    (frame,) = page.ask("snapshot")["topology"]["frames"]
    found = page.ask("details", key=frame["key"])
    assert (found["title"], found["counts"]) == ("part", {"new": 2})


def test_the_reason_of_a_failure_and_what_to_do(session: Session, browser: Any) -> None:
    with session.bind_only():
        task = double(0)
    session._inside.mirror.submitting(list(session._inside.mirror.pending))
    error = TaskError("exception", "Traceback (most recent call last):\nValueError: no")
    session._inside.mirror.fold([TaskUpdate(task.id, TaskState.FAILED, TaskInfo(attempts=1), error)], [])
    page = browser(widget_of(session))
    page.ask("snapshot")
    found = page.ask("details", key=f"t{task.id.id}")
    assert "ValueError: no" in found["error"]
    assert found["hints"]
    assert found["can_retry"]


def test_groups_are_opened_and_closed_for_all_views(session: Session, browser: Any) -> None:
    with session.bind_only():
        double(double(1, name="a/x"), name="a/y")
    page = browser(widget_of(session))
    (frame,) = page.ask("snapshot")["topology"]["frames"]
    page.ask("close", key=frame["key"])
    told = page.wait_for(lambda told: "topology" in told and not told["topology"]["frames"])
    assert [node["key"] for node in told["topology"]["nodes"]] == [frame["key"]]
    page.ask("open", key=frame["key"])
    assert page.ask("snapshot")["topology"]["frames"] == [frame]


def test_selected_is_a_handle(session: Session, browser: Any) -> None:
    with session.bind_only():
        task = tasks.Concat([blob("a")])
    widget = widget_of(session)
    page = browser(widget)
    page.ask("snapshot")
    assert widget.selected is None
    page.ask("select", key=f"t{task.id.id}")
    assert widget.selected is task
    page.ask("select", key=f"o{task.output.id.id}")
    assert widget.selected is task.output
    page.ask("select", key=None)
    assert widget.selected is None


def test_geometry_of_the_browser_is_kept_for_the_picture(session: Session, browser: Any) -> None:
    with session.bind_only():
        task = tasks.Concat([])
        task.output.keep()
    widget = widget_of(session)
    page = browser(widget)
    number = page.ask("snapshot")["topology"]["number"]
    size = {"width": "1", "height": "0.5"}
    objects = [
        {"_gvid": 0, "name": f"t{task.id.id}", "pos": "50,100", **size},
        {"_gvid": 1, "name": f"o{task.output.id.id}", "pos": "50,30", **size},
    ]
    layout = {"bb": "0,0,100,120", "objects": objects, "edges": []}
    told = page.ask("geometry", number=number, layout=layout)
    assert told["nodes"][f"t{task.id.id}"] == [50, 20, 72, 36]
    assert widget.present()[1].nodes[f"t{task.id.id}"] == Box(50, 20, 72, 36)
    assert "no layout by Graphviz" in page.refused("geometry", number=number, layout={**layout, "bb": "x"})
    page.ask("geometry", number=number, layout={**layout, "objects": []})
    assert widget.present()[1].nodes, "that is no layout of this graph"
    with session.bind_only():
        tasks.Concat([])
    assert widget.present()[1] is None  # it was another graph


@pytest.mark.parametrize(
    ("type", "parameters", "text"),
    [
        ("nonsense", {}, "no request 'nonsense'"),
        ("details", {"key": "t99"}, "nothing in this session"),
        ("details", {"key": 5}, "Expected `str`, got `int` - at `$.key`"),
        ("details", {"key": "x" * 1000}, "length <= 100 - at `$.key`"),
        ("details", {}, "missing"),
        ("details", {"key": "t1", "more": 1}, "unknown field `more`"),
        ("open", {"key": "g77"}, "no group"),
        ("output", {"key": "o1"}, "no task"),
        ("search", {"pattern": "("}, "not a regular expression"),
        ("table", {"offset": -1}, "`int` >= 0 - at `$.offset`"),
        ("table", {"sort": "x"}, "'x' - at `$.sort`"),
        ("table", {"states": "x"}, "`$.states`"),
        ("timeline", {"begin": "x"}, "`$.begin`"),
        ("timeline", {"begin": float("nan")}, "`$.begin`"),
        ("search", {"pattern": "x" * 1000}, "length <= 500 - at `$.pattern`"),
        ("card", {}, "no request 'card'"),
        ("cancel", {"key": "t99"}, "no task there"),
        ("governors", {}, "detached"),
        ("inspect", {"key": "o99"}, "no object"),
        ("asset", {"name": "../live.py"}, "no file"),
        ("asset", {"name": None}, "`$.name`"),
    ],
)
def test_what_cannot_be_answered_gets_an_error(
    session: Session, browser: Any, type: str, parameters: dict[str, Any], text: str
) -> None:
    assert text in browser(widget_of(session)).refused(type, **parameters)


def test_whatever_comes_is_survived(session: Session, browser: Any) -> None:
    page = browser(widget_of(session))
    for content in (None, [], "x", {}, {"type": "snapshot"}, {"request": "1"}, {"request": None, "type": 3}):
        page.say(content)
    assert page.ask("snapshot")["version"] >= 0


def test_the_files_for_the_browser_are_given(session: Session, browser: Any) -> None:
    page = browser(widget_of(session))
    page.ask("asset", name="app.js")
    assert len(page.buffers[0]) > 1000


def test_too_many_requests_at_once_are_refused(browser: Any) -> None:
    release = threading.Event()

    class Slow(LiveWidget):
        def __init__(self) -> None:
            super().__init__("session")
            self._handlers[GetCard] = lambda _: release.wait(GUARD_S) and None

    page = browser(Slow())
    for number in range(1000, 1000 + widget_base.REQUESTS_MAX):
        page.say({"type": "card", "request": number})
    assert "REQUESTS_MAX" in page.refused("card")
    release.set()
    answers = [page.messages.get(timeout=GUARD_S) for _ in range(widget_base.REQUESTS_MAX)]
    assert all(answer["data"] == {} for answer in answers)


def test_what_would_be_too_small_to_read_is_drawn_as_groups(session: Session) -> None:
    with session.bind_only():
        for n in range(60):
            double(double(n, name=f"first/{n}"), name=f"second/{n}")
    small = widget_of(session).drawn()[0]
    assert small.count("<ellipse") < 5
    assert "first" in small
    assert "scale(" not in small
    told, _ = widget_of(session).present()
    assert len(told.topology.nodes) == 2, "the live graph is folded by the same rule"
    assert "60" in small


def test_a_widget_as_the_last_expression_is_the_session(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setitem(display_hooks._shows, "session", seen.append)
    widget_of(session)._ipython_display_()
    assert seen == [session]
    assert repr(widget_of(session)) == "<SessionWidget of <Session 3 'shown' open, nothing submitted>>"


def test_the_end_of_the_session_is_told_and_watched_no_longer(session: Session, browser: Any) -> None:
    widget = widget_of(session)
    page = browser(widget)
    page.ask("snapshot")
    session.close()
    told = page.wait_for(lambda told: "session" in told)
    assert told["session"]["state"] == "closed"
    assert session._inside.mirror.feeds == {}


def test_a_closed_widget_keeps_nothing_alive(session: Session) -> None:
    widget = SessionWidget(session)
    gone = weakref.ref(widget)
    session.close()
    widget.advance()
    widget.close()
    del widget
    gc.collect()
    assert gone() is None


def test_only_governors_of_a_private_cluster_are_killed(session: Session, browser: Any) -> None:
    link = FakeLink()
    with link.client.new_session("shared") as shared:
        page = browser(widget_of(shared))
        refused = page.refused("kill", governor="g:1")
        assert "only governors of a private cluster (Client.local) can be killed" in refused
    assert "detached" in browser(widget_of(session)).refused("kill", governor="g:1")


def test_stale_results_are_offered_with_their_plan_and_run_on_demand(browser: Any) -> None:
    link = FakeLink()
    with link.client.new_session("stale") as session:
        page = browser(widget_of(session))
        page.ask("snapshot")
        assert page.ask("stale") == {"offer": "", "lines": []}
        given = remote(lambda ctx, x, y=1: x)
        task = given(5, name="fit")
        session.submit()
        record = task._record
        over = TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(duration=2.0))
        link.say(SessionUpdate(session.session_id, [over], []))
        given.function.__defaults__ = (2,)  # as an edit would
        assert page.ask("stale") == {"offer": "run 1 task again, about 2.0 s", "lines": ["fit"]}
        page.wait_for(lambda told: told["summary"]["stale"] == 1)
        page.ask("rerun")
        assert record.renewed is not None
        assert page.ask("details", key=f"t{task.id.id}")["renewed"]["key"] == f"t{record.renewed.spec.id.id}"
        assert page.ask("stale") == {"offer": "", "lines": []}
