"""What is stale after a function was edited, and what running it again sends; without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from rain import RainException, Session, Task, blob, pickled
from rain.client.handles import inside, record_of
from rain.client.stale.rerun import plan_of
from rain.common.protocol.messages import ObjectUpdate, SessionUpdate, Submit, TaskUpdate
from rain.common.spec import TaskInfo
from rain.common.states import DataObjectState, TaskState
from tests.unit.client.fake import FakeLink

FIT = """
from rain import remote
def helper(x):
    return x + 1
@remote(auto_load=True)
def fit(ctx, x, y=0):
    return helper(x)
@remote(auto_load=True)
def total(ctx, *parts):
    return sum(parts)
"""


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What stands for a notebook: `run(source)` runs a cell in it."""
    module: Any = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    module.run = lambda source: exec(compile(source, "<cell>", "exec"), vars(module))
    return module


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def session(link: FakeLink) -> Iterator[Session]:
    with link.client.new_session("s") as session:
        yield session


def ended(link: FakeLink, *tasks: Task, state: TaskState = TaskState.FINISHED, took: float = 2.0) -> None:
    """These have come to their end, one after the other."""
    for number, task in enumerate(tasks):
        info = TaskInfo(start_time=100.0 + number * took, duration=took, governor="g:1")
        objects = [ObjectUpdate(out.spec.id, DataObjectState.FINISHED) for out in record_of(task).outputs]
        link.say(SessionUpdate(task.id.session_id, [TaskUpdate(task.id, state, info)], objects))


def test_an_edit_marks_results_and_all_that_depends_on_them(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    fits = [cells.fit(i) for i in range(3)]
    whole, apart = cells.total(*fits), cells.total(1, 2)
    for task in (*fits, whole, apart):
        task.keep_outputs()
    session.submit()
    ended(link, *fits, whole, apart)
    assert session.stale == []
    cells.run(FIT)
    assert session.stale == []
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert session.stale == [*fits, whole]
    assert "4 stale" in repr(session)
    assert "stale" in repr(fits[0])
    assert "stale" in repr(fits[0].output)
    assert not apart.stale
    assert "stale" not in repr(apart)
    cells.run(FIT)
    assert session.stale == []
    assert "stale" not in repr(session)


def test_a_rerun_makes_new_tasks_and_leaves_the_old(
    link: FakeLink, session: Session, cells: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cells.run(FIT)
    given = pickled(5, "given")
    first = cells.fit(given)
    whole = cells.total(first)
    first.keep_outputs()
    whole.keep_outputs()
    session.submit()
    ended(link, first, whole)
    cells.run(FIT.replace("x + 1", "x + 2"))
    again = session.rerun_stale()
    assert capsys.readouterr().out == "run 2 tasks again, about 4.0 s\n    fit, total\n"
    assert again == {first: first.renewed, whole: whole.renewed}
    assert first.renewed != first
    assert first.state is TaskState.FINISHED
    assert first.renewed.name == "fit"
    sent = link.of(Submit)[-1]
    old, new = record_of(first).spec, record_of(first.renewed).spec
    assert [task.id for task in sent.tasks] == [again[first].id, again[whole].id]
    assert [obj.id for obj in sent.objects if obj.user] == [new.function]
    assert new.function != old.function
    assert new.inputs == old.inputs
    assert new.config.args == old.config.args
    made = record_of(whole.renewed).spec
    assert [item.id for item in made.inputs] == [first.renewed.output.id]
    assert made.config.stand_ins == [(tuple(first.output.id), tuple(first.renewed.output.id))]
    assert made.function == record_of(whole).spec.function
    assert set(sent.keep) == {first.renewed.output.id, whole.renewed.output.id}
    assert first.output.renewed is again[first].output
    # What was run again is not offered once more, though it stays stale.
    assert session.stale == [first, whole]
    assert session.rerun_stale() == {}
    with pytest.raises(RainException, match=r"is not stale: <Task .* stands for it now"):
        session.rerun_stale(first)


def test_a_second_edit_renews_what_was_renewed(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    first = cells.fit(1)
    whole = cells.total(first)
    for task in (first, whole):
        task.keep_outputs()
    session.submit()
    ended(link, first, whole)
    for step in (2, 3):
        cells.run(FIT.replace("x + 1", f"x + {step}"))
        before = first.renewed, whole.renewed
        assert list(session.rerun_stale()) == list(before)
        ended(link, first.renewed, whole.renewed)
    made = record_of(whole.renewed).spec
    newest = tuple(first.renewed.output.id)
    assert dict(made.config.stand_ins)[tuple(first.output.id)] == newest
    assert first.renewed == before[0].renewed


def test_what_was_let_go_and_is_needed_runs_again_too(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    parts = [cells.total(i) for i in range(2)]
    last = cells.fit(parts[0], parts[1])
    last.keep_outputs()
    session.submit()
    ended(link, *parts, last)
    cells.run(FIT.replace("x + 1", "x + 2"))
    plan, _ = plan_of(session)
    assert plan.offer() == "run 3 tasks again, about 6.0 s"
    assert plan.lines() == ["total × 2, fit, 2 of them only because their data were let go"]
    assert [task.name for task in session.rerun_stale()] == ["total", "total", "fit"]


def test_running_stale_tasks_are_named_and_an_input_that_is_gone_is_told(
    link: FakeLink, session: Session, cells: Any
) -> None:
    cells.run(FIT)
    busy, waiting = cells.fit(1), cells.fit(blob("x", "raw"))
    session.submit()
    ended(link, waiting)
    record_of(waiting.inputs[0]).ephemeral = True
    cells.run(FIT.replace("x + 1", "x + 2"))
    plan, _ = plan_of(session)
    assert plan.offer() == "run 1 task again, about 2.0 s"  # as long as the other one of that name took
    assert plan.lines() == [
        "fit",
        f"still running as submitted, with the code before the change: fit ({busy.id}); they go on unless they are "
        "cancelled",
        f"cannot run again: fit ({waiting.id}): its input 'x' was let go; give it as pickled(...) or blob(...) to have "
        "it kept",
    ]
    with pytest.raises(RainException, match="its input 'x' was let go"):
        session.rerun_stale(waiting)


def test_what_was_made_anew_by_the_same_calls_is_not_offered(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    before = [cells.fit(i) for i in range(3)]
    session.submit()
    ended(link, *before)
    cells.run(FIT.replace("x + 1", "x + 2"))
    cells.fit(0)
    session.submit()
    assert plan_of(session)[0].offer() == "run 2 tasks again, about 4.0 s"
    for i in range(1, 3):
        cells.fit(i)
    session.submit()
    plan, _ = plan_of(session)
    assert plan.offer() == ""
    assert plan.lines() == ["3 more tasks stale, but made anew since"]


def test_a_failed_task_is_for_retry(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    task = cells.fit(1)
    session.submit()
    ended(link, task, state=TaskState.FAILED)
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert session.stale == []


def test_a_refused_rerun_leaves_the_old_ones_to_be_run_again(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    task = cells.fit(1)
    session.submit()
    ended(link, task)
    cells.run(FIT.replace("x + 1", "x + 2"))
    link.refusals[Submit] = "the server has no room"
    with pytest.raises(RainException, match="no room"):
        session.rerun_stale()
    assert task.renewed is task
    assert list(session.rerun_stale()) == [task]
    assert task.renewed is not task


def test_what_the_user_has_not_submitted_stays_so(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    task = cells.fit(1)
    session.submit()
    ended(link, task)
    cells.run(FIT.replace("x + 1", "x + 2"))
    own = cells.total(1)
    session.rerun_stale()
    assert own.state is None
    assert session.task_count == 1
    session.submit()
    assert own.state is TaskState.WAITING


def test_a_helper_of_a_local_function_counts_where_the_function_is_held(
    link: FakeLink, session: Session, cells: Any
) -> None:
    cells.run(FIT + "\ndef make(n):\n    @remote\n    def inner(ctx):\n        return helper(n)\n    return inner\n")
    task = cells.make(1)()
    session.submit()
    ended(link, task)
    cells.run("def helper(x):\n    return x * 2\n")
    assert session.stale == [task]
    assert list(session.rerun_stale()) == [task]


def test_estimates_go_by_what_ran_at_the_same_time(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    tasks = [cells.fit(i) for i in range(4)]
    session.submit()
    for number, task in enumerate(tasks):  # two at a time
        ended(link, task, took=3.0)
        record_of(task).info = TaskInfo(start_time=100.0 + 3.0 * (number // 2), duration=3.0)
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert plan_of(session)[0].seconds == 6.0
    assert inside(session).mirror.stale == 4


def test_what_is_not_known_of_how_long_it_takes_is_told(link: FakeLink, session: Session, cells: Any) -> None:
    cells.run(FIT)
    tasks = [cells.fit(1), cells.fit(2, name="other")]
    session.submit()
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert plan_of(session)[0].offer() == "run 2 tasks again, of unknown length"
    ended(link, tasks[0])
    assert plan_of(session)[0].offer() == "run 2 tasks again, about 2.0 s, and 1 of them of unknown length"


def test_the_cell_that_was_run_last_says_what_a_name_means(
    link: FakeLink, session: Session, cells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(monkeypatch, "c1")
    cells.run(FIT)
    first, whole = cells.fit(1), cells.total(1)
    session.submit()
    ended(link, first, whole)
    run_in(monkeypatch, "c2")
    cells.run(FIT)
    assert session.stale == [], "the same code in another cell"
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert session.stale == [first]
    cells.run("fit = total")
    assert session.stale == [], "another function, which has that name too"


@pytest.mark.parametrize(("notebook", "stale"), [("mine.ipynb", 1), ("other.ipynb", 0), ("", 0)])
def test_another_notebooks_function_of_the_same_name_is_another_one(
    link: FakeLink, session: Session, cells: Any, monkeypatch: pytest.MonkeyPatch, notebook: str, stale: int
) -> None:
    run_in(monkeypatch, "c1", "mine.ipynb")
    cells.run(FIT)
    task = cells.fit(1)
    session.submit()
    ended(link, task)
    record_of(task).source = None  # as of a session that this process has attached to
    run_in(monkeypatch, "c2", notebook)
    cells.run(FIT.replace("x + 1", "x + 2"))
    assert len(session.stale) == stale


def run_in(monkeypatch: pytest.MonkeyPatch, cell: str, notebook: str = "") -> None:
    monkeypatch.setattr("rain.client.functions.function.cell", lambda: cell)
    monkeypatch.setattr("rain.client.functions.function.notebook_name", lambda: notebook)
