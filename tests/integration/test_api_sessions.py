"""What the API says on clients, sessions, objects, options and resources, where it is easily broken."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import (
    Client,
    RainException,
    Session,
    SessionException,
    TaskException,
    TaskState,
    blob,
    remote,
    tasks,
)
from tests.support.waiting import GUARD_S, until

CONFIG = """
[resources]
gpus = 2
mem = 400000000
tokens = 1.5
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cluster whose governor has more resources than cpus."""
    config = tmp_path_factory.mktemp("config") / "governor.toml"
    config.write_text(CONFIG)
    with Client.local(cpus=2, config=config) as client:
        yield client


@pytest.fixture
def second(client: Client) -> Iterator[Client]:
    """Another client of the same server."""
    with Client(client.address, connection_file=connection_file(client)) as second:
        yield second


def connection_file(client: Client) -> str:
    path: str = client._cluster.connection_file
    return path


@remote(auto_load=True, auto_encode="pickle")
def same(ctx: Any, x: Any = None) -> Any:
    return x


@remote(auto_load=True, auto_encode="pickle")
def fail(ctx: Any, x: Any = None) -> Any:
    raise ValueError("wrong", 7)


@remote()
def announce_and_wait(ctx: Any, folder: str, x: Any = None) -> bytes:
    """Leave a file with the process's id, and wait for the file ``open``."""
    import os
    import time
    import uuid

    name = uuid.uuid4().hex
    with open(os.path.join(folder, name), "w") as file:
        file.write(str(os.getpid()))
    os.rename(os.path.join(folder, name), os.path.join(folder, f"running-{name}"))
    while not os.path.exists(os.path.join(folder, "open")):
        time.sleep(0.002)
    return b"seen"


def running(folder: Path) -> list[int]:
    """Processes of `announce_and_wait` that were started with that folder."""
    return [int(path.read_text()) for path in folder.glob("running-*")]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def waiters(session: Session, task: Any) -> list[Callable[[], Any]]:
    """All ways to wait for a task."""

    async def awaiting() -> Any:
        return await task

    async def iterating() -> Any:
        async for item in session.as_completed([task]):
            return item

    return [
        task.wait,
        task.output.wait,
        session.wait_all,
        lambda: session.wait_all(raise_on_failure=False),
        lambda: session.wait_all(progress=True),
        lambda: session.wait_some([task]),
        lambda: next(session.as_completed([task])),
        lambda: asyncio.run(awaiting()),
        lambda: asyncio.run(iterating()),
    ]


def outcomes(session: Session, task: Any, event: Callable[[], object]) -> list[Any]:
    """What all ways to wait give or raise when something happens meanwhile."""
    found: list[Any] = []

    def wait(way: Callable[[], Any]) -> None:
        try:
            found.append(way())
        except BaseException as error:
            found.append(error)

    ways = waiters(session, task)
    threads = [threading.Thread(target=wait, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    until(lambda: len(session._inside.mirror.gates) == len(ways), "all wait")
    event()
    for thread in threads:
        thread.join(GUARD_S)
    assert len(found) == len(ways)
    return found


# -- the end of sessions and clients --------------------------------------------------------------


def test_whoever_waits_learns_of_the_sessions_end(client: Client, tmp_path: Path) -> None:
    session = client.new_session("closed meanwhile")
    with session.bind_only():
        task = announce_and_wait(str(tmp_path))
        session.submit()
    until(lambda: running(tmp_path), "the task runs")
    for error in outcomes(session, task, session.close):
        assert type(error) is SessionException, error
        assert "is closed" in str(error)
    assert not any(map(alive, running(tmp_path)))
    assert client.get_server_info()["governors"][0]["tasks"] == []


def test_whoever_waits_learns_of_the_failure_that_stops_a_session(client: Client, tmp_path: Path) -> None:
    with client.new_session("stopped", on_failure="stop") as session:
        task, waiting = announce_and_wait(str(tmp_path)), same(0, cpus=2)
        session.submit()
        until(lambda: running(tmp_path), "the task runs")
        bad = fail(1, cpus=0)
        errors = outcomes(session, task, session.submit)
        for error in errors:
            assert type(error) is TaskException, error
            assert error.task == bad
            assert "wrong" in str(error)
        assert len({id(error) for error in errors}) == len(errors)
        until(lambda: not any(map(alive, running(tmp_path))), "what ran was killed")
        for access in (
            lambda: session.update(bad), lambda: session.unkeep([]), session.submit, session.keep_all, session.cancel,
            task.wait, bad.stdout, waiting.explain, lambda: blob("x"), lambda: same(1), lambda: session.wait([]),
        ):  # fmt: skip
            for _ in range(2):
                with pytest.raises(TaskException, match="wrong"):
                    access()
    with pytest.raises(SessionException, match="is closed"):
        session.submit()


def test_a_clients_sessions_end_with_it(client: Client, tmp_path: Path) -> None:
    with Client(client.address, connection_file=connection_file(client)) as other:
        session = other.new_session("of another client")
        with session.bind_only():
            task = announce_and_wait(str(tmp_path))
            session.submit()
        until(lambda: running(tmp_path), "the task runs")
    with pytest.raises(SessionException, match="of another client"):
        task.wait()
    session.close()
    until(lambda: not any(map(alive, running(tmp_path))), "what ran was killed")
    until(lambda: session.session_id not in [summary.session_id for summary in client.sessions()], "it is gone")


def test_clients_share_a_server(client: Client, second: Client) -> None:
    with client.new_session("first") as one, second.new_session("second") as two:
        assert two.run(same(2)) == 2
        assert one.run(same(1, session=one)) == 1
        assert {"first", "second"} <= {summary.name for summary in second.sessions()}
        with pytest.raises(RainException, match="belongs to session 'first'"):
            two.run(tasks.Concat([blob("x", session=one)]))


# -- Ctrl-C ----------------------------------------------------------------------------------------

INTERRUPTED = """
import asyncio, sys
from rain import Client, Session, remote

@remote()
def wait_for_file(ctx, path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.002)
    return b"seen"

address, file, gate = sys.argv[1:]
client = Client(address, connection_file=file)
with client.new_session("interrupted") as session:
    task = wait_for_file(gate)
    task.keep_outputs()
    session.submit()
    ways = [
        task.wait, session.wait_all, task.output.fetch, lambda: session.wait_some([task]),
        lambda: next(session.as_completed([task])), lambda: session.run(task), lambda: client.wait_for_governors(9),
        lambda: asyncio.run(task.wait_async()), lambda: session.wait_all(progress=True),
    ]
    for way in ways:
        print("waiting", flush=True)
        try:
            way()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    open(gate, "w").close()
    assert task.output.fetch().get_bytes() == b"seen"
    print("usable", flush=True)
"""


def test_ctrl_c_in_every_wait(client: Client, tmp_path: Path) -> None:
    arguments = [client.address, connection_file(client), str(tmp_path / "gate")]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1] == "waiting":
                until(lambda: sleeps(process.pid), "it waits")
                process.send_signal(signal.SIGINT)
    assert lines == ["waiting", "interrupted"] * 9 + ["usable"]
    assert process.returncode == 0


def sleeps(pid: int) -> bool:
    """Whether a process's main thread waits for a lock or for events."""
    return Path(f"/proc/{pid}/wchan").read_text().startswith(("futex", "ep_poll", "do_epoll"))


# -- data and handles ------------------------------------------------------------------------------


def test_what_was_fetched_can_be_read_without_a_handle(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "large").write_bytes(bytes(300_000))

    with client.new_session("dropped handles") as session:

        def fetched() -> Any:
            task = tasks.Concat([blob(bytes(200_000)), blob(bytes(100_000))])
            task.output.keep()
            session.submit()
            return task.output.fetch()

        blob_instance, directory_instance = fetched(), session.run(tasks.LoadDir(str(folder)))
        gc.collect()
        session.submit()  # this is when dropped objects are released
        client.get_server_info()
        assert blob_instance.get_bytes() == bytes(300_000)
        directory_instance.write(tmp_path / "copy")
        assert (tmp_path / "copy" / "large").stat().st_size == 300_000


def test_the_last_handle_releases(client: Client) -> None:
    def held(id: Any) -> bool:
        return id in client.get_server_info()["governors"][0]["objects"]

    with client.new_session("released") as session:
        task = same(1)
        task.keep_outputs()
        obj, id = task.output, task.output.id
        session.submit()
        task.wait(timeout=GUARD_S)
        del task
        gc.collect()
        session.wait_all()
        assert held(id)
        del obj
        gc.collect()
        until(lambda: not held(id), "the object is released")
        (made_anew,) = [item for item in session.objects if item.id == id]
        assert not made_anew.is_kept()
        with pytest.raises(RainException, match="not kept"):
            made_anew.fetch()


# -- options and resources -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({}, 2),
        ({"cpus": 0.5}, 4),
        ({"cpus": 1.5}, 1),
        ({"cpus": 0, "resources": {"gpus": 1}}, 2),
        ({"cpus": 0, "resources": {"tokens": 0.5}}, 3),
    ],
    ids=["one cpu", "halves", "more than half", "gpus", "tokens"],
)
def test_a_governor_runs_as_many_as_it_can_hold(
    client: Client, options: dict[str, Any], at_once: int, tmp_path: Path
) -> None:
    with client.new_session("filled") as session:
        for _ in range(at_once + 2):
            announce_and_wait.options(**options)(str(tmp_path))
        session.submit()
        until(lambda: len(running(tmp_path)) == at_once, f"{at_once} run")
        # A task that needs nothing is run meanwhile, after everything that could have been started.
        assert session.run(same(1, cpus=0), timeout=GUARD_S) == 1
        assert len(running(tmp_path)) == at_once
        (tmp_path / "open").touch()
        session.wait_all(timeout=GUARD_S)
        assert len(running(tmp_path)) == at_once + 2


def test_gpus_are_told_apart(client: Client, tmp_path: Path) -> None:
    @remote(auto_encode="json", cpus=0, resources={"gpus": 1})
    def which(ctx: Any, folder: str) -> Any:
        import os
        import time

        gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        open(os.path.join(folder, gpu), "w").close()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.002)
        return gpu

    with client.new_session("gpus") as session:
        tasks_ = [which(str(tmp_path)) for _ in range(2)]
        assert sorted(session.run(*tasks_, timeout=GUARD_S)) == ["0", "1"]


def test_gpus_have_the_names_that_the_cluster_was_given_them_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,GPU-8932f937,7")

    @remote(auto_encode="json", cpus=0, resources={"gpus": 1})
    def which(ctx: Any) -> Any:
        import os

        return os.environ["CUDA_VISIBLE_DEVICES"]

    with Client.local(cpus=1, governors=2) as client, client.new_session("gpus") as session:
        client.wait_for_governors(2, timeout=GUARD_S)
        assert sorted(one["resources"]["gpus"] for one in client.get_server_info()["governors"]) == [1, 2]
        names = session.run(*[which() for _ in range(6)], timeout=GUARD_S)
        assert set(names) <= {"6", "GPU-8932f937", "7"}
        both = which.options(resources={"gpus": 2})()
        assert session.run(both, timeout=GUARD_S) == "6,7"


@pytest.mark.parametrize(
    "options",
    [{"cpus": 3}, {"resources": {"gpus": 3}}, {"resources": {"tpus": 1}}, {"resources": {"mem": 1 << 40}}],
    ids=str,
)
def test_what_no_governor_can_hold_fails_and_says_so(client: Client, options: dict[str, Any]) -> None:
    with client.new_session("too much") as session:
        task = same(1, **options)
        session.submit()
        with pytest.raises(TaskException, match="no governor can ever hold it"):
            task.wait(timeout=GUARD_S)


def test_too_much_memory(client: Client) -> None:
    @remote(resources={"mem": 150_000_000})
    def eat(ctx: Any) -> bytes:
        import time

        eaten = bytearray(b"x") * 200_000_000
        while eaten:
            time.sleep(0.002)
        return b""

    with client.new_session("memory") as session:
        task = eat()
        session.submit()
        with pytest.raises(TaskException, match=r"declared resources=\{\"mem\": 150000000\}"):
            task.wait(timeout=GUARD_S)
        assert session.run(same(1)) == 1


def test_higher_priorities_start_first(client: Client, tmp_path: Path) -> None:
    log = tmp_path / "log"

    @remote(cpus=2)
    def note(ctx: Any, text: str) -> bytes:
        with open(str(log), "a") as file:
            file.write(text)
        return b""

    with client.new_session("priorities") as session:
        announce_and_wait(str(tmp_path), cpus=2)
        session.submit()
        until(lambda: running(tmp_path), "the cpus are taken")
        for priority in (1, 5, -1, 3, 0):
            note(f"{priority} ", priority=priority)
        session.submit()
        (tmp_path / "open").touch()
        session.wait_all(timeout=GUARD_S)
    assert log.read_text() == "5 3 1 0 -1 "


def test_retries_are_for_the_named_exceptions(client: Client, tmp_path: Path) -> None:
    @remote(auto_encode="json")
    def third_time(ctx: Any, path: str) -> int:
        with open(path, "a+") as file:
            file.write("x")
            tries = file.tell()
        if tries < 3:
            raise KeyError(tries)
        return tries

    with client.new_session("retries") as session:
        for number, retry_on in enumerate((None, KeyError, LookupError, (ValueError, KeyError), "KeyError")):
            assert session.run(third_time(str(tmp_path / f"good{number}"), retries=2, retry_on=retry_on)) == 3
        for number, options in enumerate(({}, {"retries": 1}, {"retries": 5, "retry_on": ValueError})):
            task = third_time(str(tmp_path / f"bad{number}"), **options)
            session.submit()
            with pytest.raises(TaskException) as caught:
                task.wait(timeout=GUARD_S)
            assert caught.value.attempts == (2 if options == {"retries": 1} else 1)
            assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("options", "attempts"), [({}, 3), ({"rerun": "never"}, 1)], ids=["often", "never"])
def test_crashes(client: Client, tmp_path: Path, options: dict[str, Any], attempts: int) -> None:
    @remote()
    def die(ctx: Any, path: str) -> bytes:
        import os
        import signal

        with open(path, "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    with client.new_session("crashes") as session:
        task = die(str(tmp_path / "tries"), **options)
        session.submit()
        with pytest.raises(TaskException, match="SIGKILL"):
            task.wait(timeout=GUARD_S)
    assert (tmp_path / "tries").read_text() == "x" * attempts


def test_time_limits_of_all_kinds_of_tasks(client: Client, tmp_path: Path) -> None:
    with client.new_session("limits") as session:
        late = [
            announce_and_wait(str(tmp_path), timeout=0.05),
            tasks.Execute(["sleep", "1000"], timeout=0.05),
            tasks.Sleep.options(timeout=0.05)(blob("x"), 1000),
        ]
        session.submit()
        for task in late:
            with pytest.raises(TaskException, match=r"timeout of 0\.05 s"):
                task.wait(timeout=GUARD_S)
        assert session.run(same(1, timeout=100)) == 1


# -- events ----------------------------------------------------------------------------------------


def test_events(client: Client) -> None:
    def ask(query: Any, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            f"http://{client.http_address}/events", json.dumps(query).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=GUARD_S) as answer:
            return json.load(answer)

    with client.new_session("told") as session:
        good, _ = same(1), fail(2)
        good.keep_outputs()
        session.submit()
        session.wait_all(raise_on_failure=False, timeout=GUARD_S)
        good.unkeep_outputs()
    number = session.session_id
    found = ask({"session": number}, client.http_headers)
    assert [set(item) for item in found] == [{"id", "time", "event"}] * len(found)
    assert [item["id"] for item in found] == sorted(item["id"] for item in found)
    assert {item["event"]["session"] for item in found} == {number}
    kinds = [item["event"]["type"] for item in found]
    assert kinds[0] == "SessionNew"
    assert kinds[-1] == "SessionClosed"
    assert {"ClientSubmit", "TaskStarted", "TaskFinished", "DataObjectFinished", "ClientUnkeep"} <= set(kinds)
    some = [{"value": "SessionNew", "mode": "="}, {"value": "TaskFinished", "mode": "="}]
    chosen = ask({"event_types": some, "session": number}, client.http_headers)
    assert [item["event"]["type"] for item in chosen] == ["SessionNew", "TaskFinished", "TaskFinished"]
    assert {item["event"]["state"] for item in chosen[1:]} == {"finished", "failed"}
    assert ask({"id": chosen[1]["id"]}, client.http_headers) == [chosen[1]]
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask({}, {})
    assert caught.value.code == 401
    caught.value.close()


def test_states_are_known_right_after_submit(client: Client, tmp_path: Path) -> None:
    with client.new_session("states") as session:
        task = announce_and_wait(str(tmp_path))
        assert (task.state, task.info, task.output.state) == (None, None, None)
        session.submit()
        until(lambda: task.update() or task.state is TaskState.RUNNING, "the task runs")
        until(lambda: running(tmp_path) and os.path.exists(f"/proc/{running(tmp_path)[0]}"), "the task has begun")
        task.cancel()
        with pytest.raises(TaskException, match="cancelled"):
            task.wait(timeout=GUARD_S)
        task.update()
        assert task.state is TaskState.CANCELLED
