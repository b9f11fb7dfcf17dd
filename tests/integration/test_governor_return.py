"""A governor is killed and another one is started on its host: what it held is there again, what it ran runs again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Session, remote, tasks
from rain.client.task import Task
from rain.common.states import TaskState
from tests.integration.test_cli import RAIN, Shell, ends, shell  # noqa: F401
from tests.support.waiting import until

LARGE = 1 << 20


def executions(folder: Path) -> Counter[str]:
    """How often each task ran."""
    return Counter(name.split(".")[0] for name in os.listdir(folder) if "." in name)


@remote(auto_encode="pickle")
def made(ctx: Any, folder: str, number: int, *before: Any) -> Any:
    import os
    import time

    open(f"{folder}/made{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    return bytes([number + sum(value.load()[0] for value in before)]) * (1 << 20)


@remote(auto_encode="pickle")
def patient(ctx: Any, folder: str) -> Any:
    import os
    import time

    open(f"{folder}/patient.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.01)
    return b"\1"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (folder := tmp_path / "work").mkdir()
    return folder


def finished(session: Session, *tasks: Task) -> None:
    for task in tasks:
        for output in task.outputs:
            output.keep()
    session.submit()
    for task in tasks:
        task.wait()


def test_of_a_private_cluster(work: Path) -> None:
    with Client.local(cpus=2) as client, client.new_session("return") as session:
        first = made(str(work), 1)
        second = made(str(work), 2, first.output)
        folder = tasks.MakeDirectory([("first", first.output)])
        finished(session, first, second, folder)
        took = first.info.duration
        long = patient(str(work))
        long.output.keep()
        user = made(str(work), 3, second.output, long.output)
        user.output.keep()
        session.submit()
        until(lambda: executions(work)["patient"] == 1)
        until(lambda: long.state is TaskState.RUNNING)
        [governor] = client.get_server_info()["governors"]
        assert client._cluster is not None
        client._cluster.kill_governor(governor["governor_id"])
        assert second.output.fetch().load() == bytes([3]) * LARGE
        until(lambda: executions(work)["patient"] == 2)
        (work / "go").touch()
        assert user.output.fetch().load() == bytes([7]) * LARGE
        folder.output.fetch().write(work / "copy")
        assert (work / "copy" / "first").stat().st_size > LARGE
        assert first.output.fetch().load() == bytes([1]) * LARGE
        assert executions(work) == {"made1": 1, "made2": 1, "made3": 1, "patient": 2}
        assert first.info.duration == took
        [died, came] = long.attempts
        assert (died.governor, came.governor != died.governor) == (governor["governor_id"], True)


@pytest.fixture
def daemons(shell: Shell) -> Iterator[tuple[Shell, str, Session]]:  # noqa: F811
    process, address = shell.server()
    token = shell.file(process.pid).credentials.token("client")
    with Client(address, token=token) as client, client.new_session("return") as session:
        yield shell, address, session


def stores() -> set[Path]:
    return set(Path("/dev/shm").glob("rain-store-*"))


def test_of_one_started_by_hand(daemons: tuple[Shell, str, Session], work: Path) -> None:
    """What was damaged meanwhile is computed again."""
    host, address, session = daemons
    before = stores()
    governor = host.daemon("governor", address, "--cpus", "1")
    all = [made(str(work), number) for number in range(4)]
    finished(session, *all)
    [store] = stores() - before
    ends(governor, signal.SIGKILL)
    damaged = max((store / "objects").iterdir(), key=lambda path: int(path.name))
    [number] = {damaged.read_bytes()[-100]}
    seen = damaged.stat()
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"damage")
    os.utime(damaged, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    host.daemon("governor", address, "--cpus", "1")
    until(lambda: not store.exists())
    assert [task.output.fetch().load() for task in all] == [bytes([number]) * LARGE for number in range(4)]
    assert executions(work) == {f"made{each}": 1 + (each == number) for each in range(4)}


@remote(auto_encode="pickle")
def brief(ctx: Any, folder: str) -> Any:
    import os
    import time

    open(f"{folder}/brief.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    while not os.path.exists(f"{folder}/stopped"):
        time.sleep(0.01)
    open(f"{folder}/ended", "w").close()
    return bytes([2]) * (1 << 20)


def test_of_one_that_was_not_heard_for_too_long(shell: Shell, work: Path) -> None:  # noqa: F811
    """The server has given it up; it lives, and comes back with what it holds, what has ended, and what it runs."""
    hurried = ("--deadlines", "0.2")
    process, address = shell.server(*hurried)
    token = shell.file(process.pid).credentials.token("client")
    with Client(address, token=token) as client, client.new_session("away") as session:
        governor = shell.daemon("governor", address, "--cpus", "3", *hurried)
        first = made(str(work), 1)
        second = made(str(work), 2, first.output)
        finished(session, first, second)
        long, once, ends = patient(str(work)), patient(str(work), rerun="never"), brief(str(work))
        user = made(str(work), 3, second.output, long.output, once.output, ends.output)
        user.output.keep()
        session.submit()
        until(lambda: executions(work) == {"made1": 1, "made2": 1, "patient": 2, "brief": 1})
        until(lambda: {task.state for task in (long, once, ends)} == {TaskState.RUNNING})
        [before] = client.get_server_info()["governors"]
        governor.send_signal(signal.SIGSTOP)
        until(lambda: not client.get_server_info()["governors"], "it is given up")
        assert once.state is TaskState.READY, "it may run there still"
        (work / "stopped").touch()
        until(lambda: (work / "ended").exists(), "one has ended while nobody heard it")
        governor.send_signal(signal.SIGCONT)
        until(lambda: {long.state, once.state} == {TaskState.RUNNING}, "they go on")
        (work / "go").touch()
        assert user.output.fetch().load() == bytes([10]) * LARGE
        assert [task.output.fetch().load() for task in (first, second)] == [bytes([1]) * LARGE, bytes([3]) * LARGE]
        [after] = client.get_server_info()["governors"]
        assert after["governor_id"] == before["governor_id"]
        assert executions(work) == {"made1": 1, "made2": 1, "made3": 1, "patient": 2, "brief": 1}
        assert [len(task.attempts) for task in (long, once, ends)] == [1, 1, 1]


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_fifty_pauses_lose_nothing(shell: Shell, work: Path) -> None:  # noqa: F811
    """One of two governors is stopped until it is given up, 50 times, while tasks run that end in the meantime or
    after it; one of them may run once."""
    hurried = ("--deadlines", "0.1")
    process, address = shell.server(*hurried)
    token = shell.file(process.pid).credentials.token("client")
    with Client(address, token=token) as client, client.new_session("pauses") as session:
        governors = [shell.daemon("governor", address, "--cpus", "2", *hurried) for _ in range(2)]
        until(lambda: len(client.get_server_info()["governors"]) == 2)
        once = patient(str(work), rerun="never")
        once.keep_outputs()
        session.submit()
        until(lambda: once.state is TaskState.RUNNING)
        expected = []
        for turn in range(50):
            some = [made(str(work), number) for number in range(2 * turn, 2 * turn + 2)]
            for task in some:
                task.keep_outputs()
            session.submit()
            expected += some
            paused = governors[turn % 2]
            paused.send_signal(signal.SIGSTOP)
            until(lambda: len(client.get_server_info()["governors"]) == 1, "it is given up")
            paused.send_signal(signal.SIGCONT)
            until(lambda: len(client.get_server_info()["governors"]) == 2, "it is back")
            for task in some:
                task.wait()
        (work / "go").touch()
        assert once.output.fetch().load() == b"\1"
        assert executions(work)["patient"] == 1
        values = [task.output.fetch().load()[:1] for task in expected]
        assert values == [bytes([number]) for number in range(100)]


def test_one_that_is_started_while_its_server_is_away_waits_for_it(shell: Shell, work: Path) -> None:  # noqa: F811
    """As that of a job which has waited for hours, and begins in such a moment. Ctrl-C ends it at once."""
    process, address = shell.server()
    token = shell.file(process.pid).credentials.token("client")
    with Client(address, token=token) as client, client.new_session("waits", default=True) as session:
        process.send_signal(signal.SIGSTOP)
        words = [*RAIN, "governor", address, "--cpus", "1", "--deadlines", "0.5", "--logdir"]
        started = [
            subprocess.Popen([*words, f"{work}/{number}"], env=shell.environment, stdin=subprocess.DEVNULL, text=True)
            for number in range(2)
        ]
        shell.daemons += started
        said = "the server is being started, or stands still"
        until(lambda: all(said in "".join(map(Path.read_text, work.glob(f"{number}/*"))) for number in range(2)))
        ends(started[0], signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert session.run(made(str(work), 1)) == bytes([1]) * LARGE
        assert len(client.get_server_info()["governors"]) == 1
        assert started[1].poll() is None
