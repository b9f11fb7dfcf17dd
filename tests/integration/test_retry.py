"""`retry` and `forget` on a real cluster, as they are used from a notebook."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rain import Client, RainException, Session, TaskCancelled, TaskException, TaskState, remote, tasks
from tests.integration.cells import Shell, shell
from tests.support.waiting import GUARD_S, at_this_load, until

__all__ = ["shell"]


@remote(auto_load=True, auto_encode="json")
def logged(ctx: Any, name: str, log: str, *values: int) -> int:
    with open(log, "a") as file:
        file.write(f"{name}\n")
    return 1 + sum(values)


@remote(auto_load=True, auto_encode="json")
def needs_file(ctx: Any, name: str, log: str, path: str, *values: int) -> int:
    import os

    with open(log, "a") as file:
        file.write(f"{name}\n")
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    return 10 + sum(values)


@remote(auto_load=True, auto_encode="json")
def wait_for(ctx: Any, path: str) -> int:
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.01)
    return 1


def ran(log: Path) -> list[str]:
    return sorted(log.read_text().split())


def test_what_finished_does_not_run_again(session: Session, tmp_path: Path) -> None:
    log, missing = tmp_path / "log", tmp_path / "missing"
    first = logged("first", str(log))
    other = logged("other", str(log))
    bad = needs_file("bad", str(log), str(missing), first)
    after = logged("after", str(log), bad, other)
    last = logged("last", str(log), after)
    last.keep_outputs()
    session.submit()
    assert session.wait_all(raise_on_failure=False, timeout=GUARD_S) == [bad, after, last]
    missing.touch()
    session.retry()
    assert session.wait_all(timeout=GUARD_S) == []
    assert last.output.fetch().load() == 1 + 1 + 1 + 10 + 1
    assert ran(log) == ["after", "bad", "bad", "first", "last", "other"]
    with pytest.raises(RainException, match="did not fail"):
        session.retry([first])
    session.retry()


def test_forgotten_tasks_hold_nothing_and_cannot_be_retried(client: Client, session: Session, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    source = logged("source", log)
    bad = needs_file("bad", log, str(tmp_path / "missing"), source)
    after = logged("after", log, bad)
    session.submit()
    session.wait_all(raise_on_failure=False, timeout=GUARD_S)
    source.output.update()
    assert source.output.state.value == "finished", "held for the failed task, although nobody keeps it"
    session.forget(tasks=[bad])
    source.output.update()
    assert source.output.state.value == "removed"

    def held() -> list[Any]:
        found = client.get_server_info()["governors"][0]
        return [id for id in found["objects"] if id == source.output.id]

    until(lambda: not held(), "the governor dropped it")
    for task in (bad, after):
        with pytest.raises(RainException, match="it was forgotten, and what was held for it was let go"):
            session.retry([task])
        with pytest.raises(TaskException, match="cannot be retried: make and submit it anew"):
            task.wait()
    assert session.wait_all() == []
    with pytest.raises(RainException, match="cannot be forgotten: it did not fail"):
        session.forget([source])
    session.forget()


def test_cancelled_tasks_are_retried_by_name(session: Session, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = wait_for(str(gate))
    task.keep_outputs()
    session.submit()
    until(lambda: task.update() or task.state is TaskState.RUNNING, "it runs")
    task.cancel()
    session.retry([task])
    task.cancel()
    with pytest.raises(TaskCancelled, match=r"session.retry\(\[task\]\) runs it after all"):
        task.wait(timeout=GUARD_S)
    session.retry()
    assert task.state is TaskState.CANCELLED
    gate.touch()
    session.retry(tasks=[task])
    assert task.output.fetch(timeout=GUARD_S).load() == 1


def test_whoever_waits_goes_on(session: Session, tmp_path: Path) -> None:
    """A retry from another thread, while a wait for all is under way."""
    gate, missing, log = tmp_path / "gate", tmp_path / "missing", str(tmp_path / "log")
    slow = wait_for(str(gate))
    bad = needs_file("bad", log, str(missing))
    after = logged("after", log, bad)
    session.submit()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(session.wait_all(raise_on_failure=False, timeout=GUARD_S)))
    thread.start()
    with pytest.raises(TaskException):
        after.wait(timeout=GUARD_S)
    missing.touch()
    session.retry()
    after.wait(timeout=GUARD_S)
    assert thread.is_alive()
    gate.touch()
    thread.join(GUARD_S)
    assert found == [[]]
    assert slow.state is TaskState.FINISHED


def test_many_that_failed_together(session: Session, tmp_path: Path) -> None:
    log, missing = tmp_path / "log", tmp_path / "missing"
    made = [needs_file(f"{number}", str(log), str(missing)) for number in range(300)]
    total = logged("total", str(log), *made)
    total.keep_outputs()
    session.submit()
    assert len(session.wait_all(raise_on_failure=False, timeout=GUARD_S)) == 301
    missing.touch()
    begin = time.perf_counter()
    session.retry()
    session.wait_all(timeout=GUARD_S)
    assert time.perf_counter() - begin < at_this_load(10)
    assert total.output.fetch().load() == 3001


def test_programs_and_builtin_tasks(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "data"
    loaded = tasks.Load(str(path))
    counted = tasks.Execute(["cat", loaded], stdout="text")
    counted.keep_outputs()
    session.submit()
    with pytest.raises(TaskException, match=r"session\.retry"):
        session.wait_all(timeout=GUARD_S)
    session.wait_all(raise_on_failure=False, timeout=GUARD_S)
    path.write_text("here")
    session.retry()
    session.wait_all(timeout=GUARD_S)
    assert counted.output.fetch().get_bytes() == b"here"


# -- cells ----------------------------------------------------------------------------------------


def test_a_redefined_function(shell: Shell) -> None:
    shell.cell("@remote(auto_encode='json')\ndef f(ctx, x):\n    return x / 0")
    text = shell.cell(
        "tasks_ = f.map(range(3))\nfor t in tasks_: t.keep_outputs()\nsession.submit()\nsession.wait_all()"
    )
    assert "ZeroDivisionError" in text
    shell.cell("session.wait_all(raise_on_failure=False)")
    shell.cell("@remote(auto_encode='json')\ndef f(ctx, x):\n    return x + 1")
    assert shell.cell("session.retry()\nsession.wait_all()\nprint([t.output.fetch().load() for t in tasks_])") == (
        "[1, 2, 3]\n"
    )


def test_a_redefined_plain_function(shell: Shell) -> None:
    shell.cell(
        "def g(ctx):\n    raise ValueError('no')\nh = Remote(g, auto_encode='json')\ntask = h()\ntask.keep_outputs()"
    )
    assert "ValueError: no" in shell.cell("session.submit()\nsession.wait_all()")
    shell.cell("def g(ctx):\n    return 'yes'")
    assert shell.cell("session.retry()\nprint(task.output.fetch().load())") == "yes\n"


def test_a_corrected_helper(shell: Shell) -> None:
    shell.cell("FACTOR = 0\ndef helper(x):\n    return inner(x)\ndef inner(x):\n    return 1 / (x * FACTOR)")
    shell.cell("@remote(auto_encode='json')\ndef f(ctx, x):\n    return helper(x)")
    assert "ZeroDivisionError" in shell.cell("task = f(4)\ntask.keep_outputs()\nsession.submit()\nsession.wait_all()")
    shell.cell("FACTOR = 1")
    assert shell.cell("session.retry()\nprint(task.output.fetch().load())") == "0.25\n"
    shell.cell("def inner(x):\n    raise KeyError(x)\ntask = f(5)\ntask.keep_outputs()\nsession.submit()")
    text = shell.cell("session.wait_all()")
    assert "KeyError: 5" in text
    shell.cell("def inner(x):\n    return x")
    assert shell.cell("session.retry(task)\nprint(task.output.fetch().load())") == "5\n"


def test_a_function_that_wants_other_inputs(shell: Shell) -> None:
    shell.cell("@remote\ndef f(ctx):\n    raise ValueError('no')")
    shell.cell("task = f()\nsession.submit()\nsession.wait_all(raise_on_failure=False)\nextra = blob('x')")
    shell.cell("@remote\ndef f(ctx):\n    return extra.get_bytes()")
    assert "is not among its inputs; submit it as a new task" in " ".join(shell.cell("session.retry()").split())
