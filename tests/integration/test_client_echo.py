"""What tasks print appears where the user is, on a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rain import Client, Session, TaskException, remote, tasks
from rain.client.report import echo
from tests.support.waiting import until


class Shown(list[tuple[str, str, str]]):
    """What came to the sink, by name of the task."""

    def __call__(self, record: Any, stream: str, text: str) -> None:
        self.append((record.spec.name, stream, text))

    def text(self, name: str, stream: str = "stdout") -> str:
        return "".join(text for one, which, text in self if (one, which) == (name, stream))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(echo, "sink", found)
    return found


@remote()
def talk(ctx, gate: str) -> bytes:
    import os
    import sys
    import time

    print("begun")
    print("careful", file=sys.stderr)
    while not os.path.exists(gate):
        time.sleep(0.001)
    print("done", end="")
    return b""


def test_while_it_runs_and_when_it_is_done(session: Session, shown: Shown, tmp_path: Path) -> None:
    session.echo = True
    talk(str(tmp_path / "gate"), name="a")
    session.submit()
    until(lambda: shown.text("a") == "begun\n" and shown.text("a", "stderr") == "careful\n", "what it printed first")
    (tmp_path / "gate").touch()
    session.wait_all()
    assert shown.text("a") == "begun\ndone"
    assert shown.text("a", "stderr") == "careful\n"


def test_programs_and_many_tasks(session: Session, shown: Shown) -> None:
    session.echo = True
    for number in range(250):
        tasks.Execute(f"echo this is {number}", shell=True, name=f"p{number}")
    session.submit()
    session.wait_all()
    assert {number for number in range(250) if shown.text(f"p{number}") != f"this is {number}\n"} == set()


def test_a_failure_comes_behind_what_was_printed(session: Session, shown: Shown) -> None:
    @remote()
    def fail(ctx) -> bytes:
        print("last words")
        raise ValueError("no")

    session.echo = True
    fail(name="f")
    session.submit()
    with pytest.raises(TaskException):
        session.wait_all()
    assert shown.text("f") == "last words\n"


def test_a_session_that_is_closed_shows_the_rest(client: Client, shown: Shown, tmp_path: Path) -> None:
    with client.new_session("closed") as session:
        session.echo = True
        task = talk(str(tmp_path / "never"), name="c")
        session.submit()
        until(lambda: task.stdout() == "begun\n", "its first line")
    assert shown.text("c") == "begun\n"
