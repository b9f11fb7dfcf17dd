"""The plain-Python twins of the magics, without a shell; completion and tables."""

from __future__ import annotations

from typing import Any

import pytest

from rain import RainException, Remote, Session, blob, pickled, tasks
from rain.notebook import magics
from rain.notebook.magics.completion import candidates
from rain.notebook.magics.table import aligned, tasks_text


@pytest.fixture
def session() -> Any:
    session = Session(None, 1, "plain")
    with session.bind_only():
        yield session


def test_a_body(session: Session) -> None:
    names: dict[str, Any] = {}
    made = magics.remote_cell("shout(text: load, mark='!') -> loud: text", "loud = text.upper() + mark", names)
    assert isinstance(made, Remote)
    assert names["shout"] is made
    assert made.local("a") == "A!"
    task = made(blob("a"), cpus=2)
    assert [(label, output.content_type) for label, output in task.outputs.items()] == [("loud", "text")]


def test_functions(session: Session) -> None:
    names: dict[str, Any] = {"base": 1}
    source = "import math\ndef plain(x): return x + base\ndef f(ctx, x): return plain(x)\nplain(1)"
    assert magics.remote_cell("--name a/b --auto-encode json", source, names) == 2
    assert isinstance(names["f"], Remote)
    assert names["f"].local(2) == 3
    assert names["f"](2).name == "a/b"
    assert not isinstance(names["plain"], Remote)


def test_await_without_a_loop() -> None:
    source = "import asyncio\ndef f(ctx): pass\nawait asyncio.sleep(0, result=5)"
    assert magics.remote_cell("", source, {}) == 5


def test_nothing_is_run_of_a_cell_that_is_wrong() -> None:
    names: dict[str, Any] = {}
    with pytest.raises(SyntaxError):
        magics.remote_cell("", "x = 1\ndef f(ctx): pass\nreturn 1", names)
    with pytest.raises(RainException, match="no function of the cell"):
        magics.remote_cell("", "x = 1", names)
    assert "x" not in names


def test_future_imports_hold() -> None:
    names: dict[str, Any] = {}
    magics.remote_cell("", "from __future__ import annotations\ndef f(ctx, x: nothing) -> nobody: pass", names)
    assert names["f"].function.__annotations__ == {"x": "nothing", "return": "nobody"}


def test_without_a_namespace() -> None:
    with pytest.raises(RainException, match="needs a namespace"):
        magics.remote_cell("", "def f(ctx): pass")


def test_look_up(session: Session) -> None:
    task = tasks.Concat([blob("a", label="first")], name="join/all")
    assert magics.api.look_up("join/all") == task
    assert magics.api.look_up("first") == task.inputs[0]
    assert magics.api.look_up("x.output", {"x": task}) == task.output
    assert magics.api.look_up("x", {"x": "join/all"}) == task
    with pytest.raises(RainException, match="no task or object called 'nobody'"):
        magics.api.look_up("nobody")
    with pytest.raises(RainException, match="3 is int, not a task"):
        magics.api.look_up("3")
    with pytest.raises(ZeroDivisionError):
        magics.api.look_up("1/0")


def test_completion(session: Session) -> None:
    blob("a", label="numbers")
    tasks.Concat([], name="train/fold 1")
    mine = pickled(1)
    names = {"mine": mine, "other": 5}
    assert candidates("print(1)", names) is None
    assert candidates("%time x", names) is None
    assert candidates("%rain_connect --l", names) == ("--l", ["--local"])
    assert candidates("%rain_connect --local 2 --", names) == ("--", ["--session"])
    assert candidates("x = %rain_fetch tr", names) == ("tr", ["train/fold 1"])
    assert candidates("%rain_fetch train/fold ", names) == ("train/fold ", ["train/fold 1"])
    assert candidates("    %rain_inspect m", names) == ("m", ["mine"])
    assert candidates("%rain_fetch num", names) == ("num", ["numbers"])
    assert candidates("%%rain_remote f(x: l", names) == ("l", ["load"])
    assert candidates("%%rain_remote f(x) -> y: mi", names) == ("mi", ["mime/"])
    assert candidates("%%rain_remote f(x", names) == ("x", [])
    assert candidates("%%rain_remote --run a=", names) == ("", ["mine"])
    assert candidates("%rain_tasks ", names) == ("", ["--limit"])
    assert candidates("%rain_submit ", names) == ("", [])


def test_tables(session: Session) -> None:
    assert tasks_text(session, 10) == "0 tasks in session 'plain'"
    for number in range(3):
        tasks.Concat([], name=f"t{number}\n\x1b[31m")
    text = tasks_text(session, 2)
    assert text.endswith("3 tasks in session 'plain': 3 not submitted (2 shown)")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 4
    assert aligned([("a", "1"), ("bb", "22")], right=[1]) == "a    1\nbb  22"
