"""What is told of failed tasks, and what to do about them."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from rain import Session, Task, TaskException, TaskState, blob, remote, tasks
from rain.client.report import failures
from rain.client.report.failures import hints
from rain.common.errors import TaskCancelled
from rain.common.spec import TaskError
from tests.unit.client.fake import FakeLink


@remote
def work(ctx, *values):
    return b""


def test_ipython_is_given_the_text_alone() -> None:
    error = TaskException("Task 'f' failed:\n\nCell In[3], line 4")
    assert error._render_traceback_() == ["TaskException: Task 'f' failed:", "", "Cell In[3], line 4"]
    assert pickle.loads(pickle.dumps(TaskCancelled("x")))._render_traceback_() == ["TaskCancelled: x"]


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("exception", "After correcting the function, session.retry()"),
        ("rain", "After correcting the function, session.retry()"),
        ("crash", "too little memory"),
        ("memory", "more resources={'mem': bytes}"),
        ("timeout", "a longer timeout="),
        ("lost", "although it has rerun='never'"),
        ("input", "task.explain()"),
        ("resources", "client.get_server_info()"),
        ("some new kind", "task.capsule('folder')"),
    ],
)
def test_hints_depend_on_what_happened(session: Session, link: FakeLink, kind: str, part: str) -> None:
    task = work()
    session.submit()
    assert hints(session, task._record) == []
    link.fail(task, TaskError(kind, "no good"))
    assert any(part in hint for hint in hints(session, task._record))
    with pytest.raises(TaskException) as caught:
        task.wait()
    assert str(caught.value).endswith("\n\n" + "\n".join(hints(session, task._record)))


CALLED = re.compile(r"([a-z_]\w*(?:\.client|\.find\('[\d/]+'\))?)\.(\w+)\(([^()]*)\)")


def hints_in_a_notebook(session: Session, task: Task, variables: dict[str, Any], monkeypatch: Any) -> str:
    """What is advised where the user's only code is a notebook with these variables."""
    main = ModuleType("__main__")
    vars(main).update(variables)
    monkeypatch.setitem(sys.modules, "__main__", main)
    with ThreadPoolExecutor(1) as pool:
        return " ".join(pool.submit(hints, session, task._record).result(20))


@pytest.mark.parametrize("named", [True, False], ids=["with variables", "without"])
@pytest.mark.parametrize("kind", sorted({*failures._LOOK, *failures._REPAIR}))
def test_the_names_in_hints_exist(
    session: Session, link: FakeLink, kind: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they call can be copied: the variable is there, the method too, and so are its parameters."""
    made = [work(name="twice"), work(name="twice")]
    session.submit()
    state = TaskState.CANCELLED if kind == "cancelled" else TaskState.FAILED
    link.fail(made[0], TaskError(kind, "no good"), state=state)
    variables = {"shown": session, "c": session.client, "bad": made[0], "_3": made[0]} if named else {}
    advice = hints_in_a_notebook(session, made[0], variables, monkeypatch)
    calls = CALLED.findall(advice)
    assert calls, advice
    for owner, method, given in calls:
        assert owner.partition(".")[0] in (variables or {"session": session}), advice
        thing = eval(owner, {**(variables or {"session": session})})
        assert thing in (session, session.client, made[0])
        parameters = inspect.signature(getattr(thing, method)).parameters
        assert all(keyword in parameters for keyword in re.findall(r"(\w+)=", given)), advice


@pytest.mark.parametrize("kind", sorted({*failures._LOOK, *failures._REPAIR}))
def test_hints_for_users_of_interfaces_name_no_session(
    session: Session, link: FakeLink, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session._inside.of_interface = True
    made = work()
    session.submit()
    state = TaskState.CANCELLED if kind == "cancelled" else TaskState.FAILED
    link.fail(made, TaskError(kind, "no good"), state=state)
    advice = hints_in_a_notebook(session, made, {"client": session.client}, monkeypatch)
    assert not re.search(r"session|SESSION|TASK", advice)
    with pytest.raises(TaskException) as caught:
        made.wait()
    for called in re.findall(r"error\.task\.\w+", advice):
        assert callable(eval(called, {"error": caught.value}))
    assert ("`error` is this" in advice) == ("error.task" in advice)
    assert advice or kind in ("lost", "cancelled")


def test_hints_for_programs(session: Session, link: FakeLink) -> None:
    task = tasks.Execute("false")
    session.submit()
    link.fail(task, TaskError("exit", "exit status 1"))
    assert "run the program here" in " ".join(hints(session, task._record))
    assert "function" not in " ".join(hints(session, task._record))


def test_hints_of_dependents_name_what_failed_first(session: Session, link: FakeLink) -> None:
    first = work(name="first")
    second = work(first, name="second")
    session.submit()
    link.fail(first, TaskError("exception", "no good"))
    link.fail(second, TaskError("dependency", "because of first", cause=first.id))
    look, repair = hints(session, second._record)
    assert look.startswith(f"To look closer at Task 'first' ({first.id}, py/), which failed first: first.stdout()")
    assert repair.startswith("After correcting the function")


def test_hints_for_what_was_cancelled(session: Session, link: FakeLink) -> None:
    task = work()
    session.submit()
    link.fail(task, TaskError("cancelled", "cancelled"), state=TaskState.CANCELLED)
    assert hints(session, task._record) == ["session.retry([task]) runs it after all. session.forget() lets it go."]


def test_no_hints_that_are_no_longer_true(session: Session, link: FakeLink) -> None:
    task = tasks.Concat([blob("a")])
    session.submit()
    link.fail(task)
    with session:
        assert "bind_only" in hints(session, task._record)[-1]
    assert hints(session, task._record) == []


def test_a_stopped_session_says_how_to_look(link: FakeLink) -> None:
    with link.client.new_session("s", on_failure="stop").bind_only() as session:
        task = work()
        session.submit()
        link.stop(session, task)
        assert hints(session, task._record) == ['To look closer, run it in a session with on_failure="continue".']
