"""Methods that wait, as `help`, `inspect` and subclasses see them and their awaitable twins."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import pydoc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rain import Client, DataObject, RainException, Session, Task, blob
from rain.client.operations.operation import Operation, check_timeout
from rain.client.operations.twins import awaitable, blocking

CLASSES = [
    base
    for kind in (Client, Session, Task, DataObject)
    for base in kind.__mro__
    if base.__module__.startswith("rain.client.")
]
WITHOUT_TWIN = ("as_completed", "report")
BEGIN_AT_CALL = ("run_async", "result_async", "exception_async")
"""These say to the server what they wait for, also while nobody awaits them."""


def public_functions() -> Iterator[tuple[type, str, Any]]:
    for kind in CLASSES:
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                yield kind, name, value


TWINS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind, name, _ in public_functions()
    if name.endswith("_async")
]


def test_each_method_that_waits_has_a_twin() -> None:
    timed = {
        (kind, name)
        for kind, name, function in public_functions()
        if "timeout" in inspect.signature(function).parameters and name not in WITHOUT_TWIN
    }
    twins = {(kind, name) for kind, name in timed if name.endswith("_async")}
    assert twins == {(kind, f"{name}_async") for kind, name in timed - twins}
    assert len(twins) == len(TWINS) == 41


@pytest.mark.parametrize(("kind", "name"), TWINS)
def test_twins_show_the_same_parameters_text_and_result(kind: type, name: str) -> None:
    twin, blocks = getattr(kind, name), getattr(kind, name.removesuffix("_async"))
    assert twin.__name__ == name
    assert twin.__qualname__ == f"{kind.__name__}.{name}"
    assert twin.__module__ == kind.__module__
    assert twin.__doc__ == blocks.__doc__
    signature = inspect.signature(twin)
    assert signature == inspect.signature(blocks)
    assert next(iter(signature.parameters)) == "self"
    assert "timeout" in signature.parameters
    assert "Operation" not in str(signature)
    assert inspect.getsource(twin) == inspect.getsource(blocks)
    assert f"def {blocks.__name__}(" in inspect.getsource(twin)
    assert inspect.iscoroutinefunction(twin) or name in BEGIN_AT_CALL
    assert f"{name}(self" in pydoc.render_doc(twin, renderer=pydoc.plaintext)
    assert name in dir(kind)


def test_a_signature_in_full() -> None:
    assert str(inspect.signature(Session.wait_all_async)) == (
        "(self, raise_on_failure: 'bool' = True, progress: 'bool' = False, timeout: 'float | None' = None)"
        " -> 'list[Task]'"
    )
    assert str(inspect.signature(blob(b"x", session=Session(None, 1)).fetch)) == (
        "(timeout: 'float | None' = None) -> 'DataInstance'"
    )


def test_handles_have_no_state_of_their_twins(detached: Session) -> None:
    task = Task([], ["a"], task_type="mine/method")
    for handle in (task, task.output):
        assert not hasattr(handle, "__dict__")
        assert copy.copy(handle) is handle
        with pytest.raises(RainException, match="argument"):
            pickle.dumps(handle)


class Patient(Task):
    """A kind of task that counts how often it is waited for."""

    __slots__ = ("waits",)
    TASK_TYPE = "mine/patient"

    def wait(self, timeout: float | None = None) -> None:  # type: ignore[override]
        self.waits = getattr(self, "waits", 0) + 1
        super().wait(timeout)


def test_subclasses_can_override_one_of_them(session: Session) -> None:
    task = Patient([], 0)
    with pytest.raises(RainException, match="not submitted"):
        task.wait()
    with pytest.raises(RainException, match="not submitted"):
        asyncio.run(task.wait_async())
    assert task.waits == 1


class Counter:
    """Tells what its operation was given, and when its parts ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    @blocking
    def count(self, *items: int, timeout: float | None = None) -> Operation[int]:
        self.ran.append("body")
        return self._count(len(items))

    count_async = awaitable(count)
    begun_async = awaitable(count, begin_at_call=True)

    def _count(self, number: int) -> Operation[int]:
        self.ran.append("operation")
        return number
        yield


@pytest.mark.parametrize(("method", "at_call"), [("count_async", []), ("begun_async", ["body"])])
def test_when_a_twin_begins(method: str, at_call: list[str]) -> None:
    counter = Counter()
    waiting: Any = getattr(counter, method)(1, 2)
    assert counter.ran == at_call
    assert asyncio.run(waiting) == 2
    assert counter.ran == ["body", "operation"]


@pytest.mark.parametrize(
    "call", [Session.wait_some, lambda *args, **kwargs: asyncio.run(Session.wait_some_async(*args, **kwargs))]
)
def test_the_time_limit_may_be_given_by_place_or_name(call: Callable[..., Any], session: Session) -> None:
    for endless in (1e300, 10**400, float("inf")):
        call(session, [], endless)
        assert check_timeout(endless) is None
    for refused in (lambda: call(session, [], -1), lambda: call(session, items=[], timeout=-1)):
        with pytest.raises(RainException, match="timeout is a number of seconds"):
            refused()
    assert call(session, []) == ([], [])


def test_seconds_in_the_place_of_progress_are_refused(session: Session) -> None:
    with pytest.raises(RainException, match=r"progress is True or False, not 5\.0; seconds are timeout="):
        session.wait_all(True, 5.0)  # type: ignore[arg-type]


def test_what_a_traceback_calls_them(session: Session) -> None:
    with pytest.raises(RainException) as caught:
        session.wait_some([None])  # type: ignore[list-item]
    names = [entry.name for entry in caught.traceback]
    assert "wait_some" in names
    assert "blocks" not in names
