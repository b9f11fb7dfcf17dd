"""Servers in this process that die and come back: a full disk, another version of the code, a journal in use."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, RainException, SessionException, blob, remote
from rain.common.errors import ResourceError
from rain.common.protocol.address import parse_address
from rain.processes import scratch
from rain.server import shell
from rain.server.recovery import recorder
from rain.server.recovery.recorder import Recorder
from rain.server.shell import Server, ServerOptions
from tests.support.power import Disk
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S, until

MEMORY = Path("/dev/shm")


class Place:
    """Where one server after the other runs, on a loop in a thread; they have a journal, a port and keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = str(folder / "connection.json")
        self.options = ServerOptions(
            port=0,
            http_port=0,
            log_dir=str(folder / "logs"),
            connection_file=self.file,
            journal=str(folder / "journal"),
            guarded=True,
        )
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server: Server | None = None

    def do(self, call: Callable[[], Any]) -> Any:
        async def done() -> Any:
            value = call()
            return await value if asyncio.iscoroutine(value) else value

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(GUARD_S)

    def start(self) -> None:
        def begin() -> Any:
            self.server = Server(self.options)
            return self.server.open()

        self.do(begin)
        assert self.server is not None
        self.options.port = parse_address(self.server.address)[1]

    def die(self) -> None:
        """What is not in the journal is lost, and peers are told nothing."""
        assert self.server is not None
        self.do(self.server.close)

    def close(self) -> None:
        if self.server is not None:
            self.do(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.close()


@remote
def made(ctx: Any, ran: str, constant: Any, size: int) -> bytes:
    with open(ran, "a") as file:
        file.write(f"{size}\n")
    assert constant.get_bytes() == b"constant" * 100_000
    return b"x" * size


def governor(place: Place) -> subprocess.Popen[bytes]:
    """A governor of the server, in a process of its own."""
    assert place.server is not None
    words = [sys.executable, "-m", "rain", "governor", place.server.address, "--cpus", "1"]
    return subprocess.Popen([*words, "--connection-file", place.file])


def connected(place: Place) -> Client:
    assert place.server is not None
    return Client(place.server.address, connection_file=place.file)


def test_a_full_disk_refuses_new_work_and_loses_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.start()
    with connected(place) as client, client.new_session("full") as session:
        first = blob(b"first" * 1000)
        first.keep()
        session.submit()
        full = f"the disk of the server's journal {place.options.journal} is full: 12 bytes are free"
        with monkeypatch.context() as patch:
            patch.setattr(Recorder, "full", full)
            second = blob(b"second" * 100_000)
            second.keep()
            with pytest.raises(RainException, match="12 bytes are free"):
                session.submit()
            with pytest.raises(RainException, match="12 bytes are free"):
                client.new_session("another")
            assert first.fetch().get_bytes() == b"first" * 1000, "what is there is served"
        place.die()
        size = sum(path.stat().st_size for path in Path(place.options.journal).glob("*.journal"))
        place.start()
        assert size < 200 << 20
        third = blob(b"third")
        third.keep()
        session.submit()
        assert first.fetch().get_bytes() == b"first" * 1000
        assert third.fetch().get_bytes() == b"third"
        assert [found.name for found in client.sessions()] == ["full"]


def test_a_peer_that_cannot_be_told_something_is_let_go_also_after_a_death(place: Place) -> None:
    """The message waited when an image was written, and it is found in the image's process that it cannot be sent."""
    place.start()
    with connected(place) as client:
        session = client.new_session("lost")

        def last_moment() -> None:
            assert place.server is not None
            server: Any = place.server
            (sender,) = server._peers._senders.values()
            sender._waiting.append(object())
            server._snapshots.last()
            server.close()

        place.do(last_moment)
        place.start()
        until(lambda: not session.active, "it is told that it is over")


def test_what_was_acknowledged_survives_a_loss_of_power(
    marked: Marked, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `durable`: only what was synced is there, shared memory is empty, and the machine has another boot. Sessions
    come back with constants and small results; a large one, which lay in memory, is computed again."""
    (tmp_path / "disk").mkdir()
    ran, journal = tmp_path / "ran", tmp_path / "disk" / "state" / "journal"
    disk = Disk(tmp_path / "disk", tmp_path / "synced", monkeypatch)
    place.options = dataclasses.replace(place.options, journal=str(journal), durable=True)
    place.start()
    before = set(MEMORY.iterdir())
    first = governor(place)
    with connected(place) as client:
        session = client.new_session("kept", persistent=True)
        with session.bind_only():
            constant = blob(b"constant" * 100_000)
            small, large = made(str(ran), constant, 1), made(str(ran), constant, 100_000)
            for kept in (constant, small.output, large.output):
                kept.keep()
            session.submit()
            for task in (small, large):
                task.wait()

        def power() -> None:
            assert place.server is not None
            server: Any = place.server
            server._recorder.end()  # nothing leaves and nothing is written any more
            server.close()

        place.do(power)
        for process in marked.processes():  # also the keeper, which would wait for an heir of what is gone
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        first.wait()
        disk.lose_power()
        for path in set(MEMORY.iterdir()) - before:
            shutil.rmtree(path, ignore_errors=True)
        for path in (Path(place.file), *tmp_path.glob("logs/*")):
            path.unlink()
        client.close()
    machine, _ = scratch._machine()
    monkeypatch.setattr(scratch, "_machine", lambda: (machine, "another boot"))
    monkeypatch.setattr(recorder, "time", types.SimpleNamespace(monotonic=lambda: time.monotonic() - 1e6))
    place.start()
    second = governor(place)
    try:
        with connected(place) as client, client.attach("kept").bind_only() as session:
            assert [task.output.fetch(timeout=GUARD_S).get_bytes() for task in session.tasks] == [b"x", b"x" * 100_000]
        assert sorted(ran.read_text().split()) == ["1", "100000", "100000"], "only what lay in memory is made again"
    finally:
        second.terminate()
        second.wait()


def test_another_version_brings_sessions_back_and_lets_peers_begin_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.start()
    with connected(place) as client, connected(place) as other:
        session = client.new_session("ordinary")
        with session.bind_only():
            held = blob(b"x")
            held.keep()
            session.submit()
        kept = client.new_session("kept", persistent=True)
        with kept.bind_only():
            value = blob(b"value", label="value")
            value.keep()
            kept.submit()
        place.die()
        monkeypatch.setattr(shell, "fingerprint", lambda policy: "another version")
        place.start()
        until(lambda: not session.active, "it is told that it is over")
        with pytest.raises(SessionException, match=r"replaced by another version.*attach\(\) of a new Client takes up"):
            session.submit()
        until(lambda: not kept.active, "this client's part in it is over too")
        other.close()
    with connected(place) as client:
        assert sorted(found.name for found in client.sessions()) == ["kept", "ordinary"]
        again = client.attach("ordinary")
        assert [obj.fetch().get_bytes() for obj in again.objects] == [b"x"]
        again.close()


def test_a_second_server_at_the_same_journal_is_refused(place: Place, tmp_path: Path) -> None:
    place.start()
    other = Place(tmp_path)
    with pytest.raises(RainException, match="journal"):
        other.start()
    other.server = None
    other.close()
    with connected(place) as client:
        assert client.sessions() == []


def test_a_server_that_cannot_write_its_journal_does_not_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "commit", lambda self: False)
    with pytest.raises(ResourceError, match="journal cannot be written"):
        place.start()
