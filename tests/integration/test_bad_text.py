"""Names, messages and outputs that are not UTF-8: nothing is lost, and nobody dies of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, OutputDir, RainException, Session, Task, directory, remote, tasks
from tests.support.waiting import GUARD_S

BAD = "caf\udce9 \ud800"
GOOD = "caf\\udce9 \\ud800"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client.local(cpus=1) as found:
        yield found


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    with client.new_session("text") as found:
        yield found


@remote()
def raises(ctx: Any) -> bytes:
    raise ValueError(BAD)


@remote()
def notes(ctx: Any) -> bytes:
    error = ValueError("noted")
    error.add_note(BAD)
    raise error


@remote()
def tells(ctx: Any) -> bytes:
    ctx.info.error = BAD
    return b""


@remote()
def debugs(ctx: Any) -> bytes:
    ctx.debug(BAD)
    print(BAD)
    print(BAD, file=sys.stderr)
    os.write(2, b"caf\xe9\n")
    return b"good"


@remote()
def after(ctx: Any) -> bytes:
    return b"after"


def failed(task: Task, session: Session) -> str:
    session.submit()
    with pytest.raises(RainException) as caught:
        task.wait(timeout=GUARD_S)
    assert task.info.attempts == 1, "an executor died of it"
    return str(caught.value)


@pytest.mark.parametrize("make", [raises, notes, tells])
def test_errors(session: Session, make: Callable[[], Task]) -> None:
    task = make()
    assert GOOD in failed(task, session)
    session.forget([task])


def test_what_a_good_task_says(session: Session) -> None:
    task = debugs()
    task.output.keep()
    session.submit()
    task.wait(timeout=GUARD_S)
    assert task.output.fetch().get_bytes() == b"good"
    assert task.info.debug == GOOD
    assert task.info.attempts == 1
    assert GOOD in task.stdout()
    assert GOOD in task.stderr()


def test_a_link_that_leads_out(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    os.symlink(b"/etc/passwd", os.fsencode(folder) + b"/caf\xe9")
    task = tasks.LoadDir(str(folder))
    text = failed(task, session)
    assert "caf\\udce9" in text
    session.forget([task])
    good = after()
    session.submit()
    good.wait(timeout=GUARD_S)


def test_names_in_directories_stay_as_they_are(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "named"
    folder.mkdir()
    name = os.fsencode(folder) + b"/caf\xe9"
    with open(name, "wb") as file:
        file.write(b"content")

    @remote(outputs=OutputDir("copy"))
    def copy(ctx: Any, data: Any) -> Any:
        os.mkdir("made")
        with open(b"made/caf\xe9", "wb") as file:
            file.write(b"made")
        return ctx.stage_directory("made")

    made, loaded = copy(directory(str(folder))), tasks.LoadDir(str(folder))
    for task in (made, loaded):
        task.output.keep()
    session.submit()
    session.wait_all(timeout=GUARD_S)
    for task, content in ((made, b"made"), (loaded, b"content")):
        target = tmp_path / f"got-{task.id.id}"
        task.output.fetch().write(str(target))
        with open(os.fsencode(target) + b"/caf\xe9", "rb") as file:
            assert file.read() == content


def test_a_program_that_leaves_a_bad_name_where_an_output_is_missing(session: Session) -> None:
    task = tasks.Execute(["sh", "-c", "printf x > \"$(printf 'caf\\351')\""], output_paths=["made"])
    assert "made" in failed(task, session)
    session.forget([task])
