"""Calls of remote functions as text: which of three tasks called `inv` failed?"""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rain import RainWarning, Session, TaskException, blob, remote, tasks
from rain.client.report.call_text import ARGUMENTS_MAX, CALL_CHARS_MAX, call_text
from tests.unit.client.fake import FakeLink


@remote()
def inv(ctx: Any, x: Any, *more: Any, scale: Any = 1.0, **rest: Any) -> Any:
    return x


class Touchy:
    """Whose class and state must not be touched when it is only shown."""

    def __init__(self) -> None:
        self.x = 1

    def __repr__(self) -> str:
        raise AssertionError("it was made")

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("it was unpickled")


class Evil:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('it ran')",)


def text(task: Any) -> str:
    return call_text(task._record, task._session._inside.mirror.records)


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((0,), {}, "inv(x=0)"),
        ((1, 2, 3.5), {"scale": None}, "inv(x=1, 2, 3.5, scale=None)"),
        (("a" * 100,), {}, f"inv(x='{'a' * 40}'… (100 chars))"),
        ((b"\x00" * 50,), {}, f"inv(x={bytes(40)!r}… (50 bytes))"),
        (([1, [2, [3]], (4,)],), {}, "inv(x=[1, [2, <list of 1>], (4,)])"),
        (({"a": list(range(20))},), {}, "inv(x={'a': [0, 1, 2, 3, 4, 5, … 14 more]})"),
        ((set(), {}, frozenset()), {}, "inv(x=set(), {}, frozenset())"),
        ((10**5000,), {}, "inv(x=<a large int>)"),
        ((Touchy(),), {"b": [Touchy()]}, "inv(x=<Touchy>, b=[<Touchy>])"),
        (("x",), {"api_key": "hunter2", "password": ["hunter2"]}, "inv(x='x', api_key=•••, password=•••)"),
        ((1,), {"tokens": 512}, "inv(x=1, tokens=512)"),
        (({"user": "me", "secret": "hunter2"},), {}, "inv(x={'user': 'me', 'secret': •••})"),
        (("\n\x1b[31m",), {}, r"inv(x='\n\x1b[31m')"),
    ],
)  # fmt: skip
def test_values(detached: Session, args: Any, kwargs: Any, expected: str) -> None:
    assert text(inv(*args, **kwargs)) == expected


def test_nothing_is_run(detached: Session) -> None:
    assert text(inv(Evil())) == "inv(x=<exec>)"
    task = inv(1)
    task._record.spec.config.args = b"no pickle"
    assert text(task) == "inv()"
    task._record.spec.config.args = pickle.dumps("no arguments")
    assert text(task) == "inv()"


def test_it_is_never_long(detached: Session) -> None:
    found = text(inv(*["word" * 9] * 50))
    assert len(found) <= CALL_CHARS_MAX
    assert found.endswith("…)")
    assert text(inv(*range(50))).endswith(f"… {50 - ARGUMENTS_MAX} more)")
    with pytest.warns(RainWarning, match="Pickled object x"):
        large = inv("x" * 2**19)
    assert text(large) == "inv(x=<x>)", "what travels as an object of its own is told by its label"


def test_objects_are_told_by_their_labels(detached: Session) -> None:
    data = blob(b"a", label="table.csv")
    first = inv(data, name="fold/first")
    assert text(first) == "inv(x=<table.csv>)"
    assert text(inv([first, data])) == "inv(x=[<output of fold/first>, <table.csv>])"
    assert text(tasks.Concat([data])) == "", "no function was called for it"


def test_the_text_of_a_failure_says_which(session: Session, link: FakeLink) -> None:
    made = [inv(x) for x in (4, 0, 2)]
    session.submit()
    link.fail(made[1])
    with pytest.raises(TaskException, match=r"The task was made at .*\nIt was called as inv\(x=0\)\n"):
        session.wait_all()
