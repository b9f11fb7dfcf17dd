"""Interruptions that cost nothing: half-open connections, pauses of a minute, processes that stand still.

Most tests let the loop's clock jump, so a minute takes a moment. The others use real processes with a tenth of all
deadlines; the same at full length is `soak`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rain.client.operations.link
from rain import Client, RainException, RainWarning, blob, remote, tasks
from rain.common.limits import DEADLINES, Deadlines
from rain.net.peer_identity import has_ended, is_known, is_stopped, own_identity
from rain.net.transfer import TransferError
from rain.net.transfer.outages import through_outages
from tests.integration.test_transport import Peer, Server, Word, in_loop, open_client
from tests.support.waiting import GUARD_S, until

TENTH = 0.1


class Wire:
    """A proxy whose connections can be broken halfway in every way."""

    def __init__(self) -> None:
        self.pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self.swallowed: set[int] = set()  # writers (by id) that get nothing any more
        self.new = "answer"
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self, target: str) -> str:
        self.target = target
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "{}:{}".format(*self.server.sockets[0].getsockname()[:2])

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self.new == "refuse":
            client.close()
            return
        if self.new == "swallow":  # as a stopped server does, whose kernel accepts
            while await self._read(reader):
                pass
            return
        host, _, port = self.target.rpartition(":")
        there, server = await asyncio.open_connection(host, int(port))
        self.pairs.append((client, server))
        await asyncio.gather(self._pump(reader, server), self._pump(there, client))

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await self._read(reader):
            if id(writer) not in self.swallowed:
                writer.write(data)
        if id(writer) not in self.swallowed:
            writer.close()

    def break_(self, how: str) -> None:
        """Break the present connections, and not the next ones."""
        for client, server in self.pairs:
            if how in ("mute", "silent"):
                self.swallowed.add(id(client))
            if how in ("deaf", "silent"):
                self.swallowed.add(id(server))
            if how == "server sees it":
                self.swallowed.add(id(client))
                server.transport.abort()
            if how == "client sees it":
                self.swallowed.add(id(server))
                client.transport.abort()

    async def close(self) -> None:
        self.server.close()
        for pair in self.pairs:
            for writer in pair:
                writer.transport.abort()


class Clock:
    """Lets a loop's time run ahead, with turns enough for what travels meanwhile.

    What these turns take themselves does not count: on a busy machine that is seconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = asyncio.get_running_loop()
        self._real = self.loop.time
        self._stopped: float | None = None
        self.offset = 0.0
        monkeypatch.setattr(self.loop, "time", self._time)

    def _time(self) -> float:
        return (self._real() if self._stopped is None else self._stopped) + self.offset

    async def pass_by(self, seconds: float) -> None:
        began = self._stopped = self._real()
        for _ in range(round(2 * seconds)):
            self.offset += 0.5
            for _ in range(8):
                await asyncio.sleep(0)
        self.offset -= self._real() - began
        self._stopped = None


def _talk(client: Peer, server: Peer, words: range) -> None:
    for word in words:
        client.conversation.send(Word(word))
        server.conversation.send(Word(word))


async def _all_arrived(client: Peer, server: Peer, count: int) -> None:
    for peer in (client, server):
        await peer.until(lambda peer=peer: len(peer.words) >= count)
        assert peer.words == list(range(count)), "exactly once and in order"
        assert peer.gone == []


@pytest.mark.parametrize("how", ["mute", "deaf", "silent", "server sees it", "client sees it"])
@pytest.mark.parametrize("role", ["client", "governor"])
def test_a_half_open_connection_costs_nothing(how: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if (role, how) == ("governor", "deaf"):
        return _a_governor_that_is_not_heard_is_lost(monkeypatch)

    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        client = await open_client(server, address=await wire.open(server.address), role=role)
        clock = Clock(monkeypatch)
        peer = server.peers[0]
        _talk(client, peer, range(10))
        await _all_arrived(client, peer, 10)
        wire.break_(how)
        _talk(client, peer, range(10, 20))
        await clock.pass_by(30)
        _talk(client, peer, range(20, 30))
        await _all_arrived(client, peer, 30)
        assert client.events[:2] == ["away", "back"]
        assert len(server.peers) == 1
        client.conversation.close()
        server.listener.close()
        await wire.close()

    scenario()


def _a_governor_that_is_not_heard_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `GOVERNOR_LOST_S`; it is told, and its return is harmless."""

    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        governor = await open_client(server, address=await wire.open(server.address), role="governor")
        clock = Clock(monkeypatch)
        wire.break_("deaf")
        await clock.pass_by(DEADLINES.governor_lost_s + 2)
        assert "no sign of life" in server.peers[0].gone[0]
        await governor.until(lambda: bool(governor.gone))
        assert governor.conversation.ended == "forgotten"
        server.listener.close()
        await wire.close()

    scenario()


@pytest.mark.parametrize("new", ["refuse", "swallow"])
@pytest.mark.parametrize("how", ["silent", "server sees it", "client sees it"])
def test_a_pause_of_a_minute_is_an_interruption(how: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        client = await open_client(server, address=await wire.open(server.address))
        clock = Clock(monkeypatch)
        peer = server.peers[0]
        wire.new = new
        wire.break_(how)
        _talk(client, peer, range(10))
        await clock.pass_by(DEADLINES.interruption_s)
        assert (client.gone, peer.gone, client.words) == ([], [], [])
        wire.new = "answer"
        await clock.pass_by(DEADLINES.server_away_s - DEADLINES.interruption_s)
        await _all_arrived(client, peer, 10)
        client.conversation.close()
        server.listener.close()
        await wire.close()

    scenario()


def test_who_waits_for_a_server_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody accepts and says nothing both wait for its return; else a client nearly as long as its grace, and
    a governor not so long."""

    @in_loop
    async def scenario() -> None:
        server, wires = Server(), [Wire() for _ in range(3)]
        addresses = [await wire.open(server.address) for wire in wires]
        client = await open_client(server, address=addresses[0])
        paused = await open_client(server, address=addresses[1], role="governor")
        cut_off = await open_client(server, address=addresses[2], role="governor")
        clock = Clock(monkeypatch)
        for wire, new in zip(wires, ["refuse", "swallow", "refuse"], strict=True):
            wire.new = new
            wire.break_("silent")
        await clock.pass_by(DEADLINES.governor_lost_s + 2)
        assert "was away for 10 s" in cut_off.gone[0]
        await clock.pass_by(DEADLINES.server_away_s - DEADLINES.governor_lost_s - 4)
        assert client.gone == []
        await clock.pass_by(4)
        await client.until(lambda: bool(client.gone))
        assert "was away for 75 s" in client.gone[0]
        await clock.pass_by(DEADLINES.server_return_s - DEADLINES.server_away_s - 8)
        assert paused.gone == []
        await clock.pass_by(8)
        await paused.until(lambda: bool(paused.gone))
        assert "was away for 300 s" in paused.gone[0]
        server.listener.close()
        for wire in wires:
            await wire.close()

    scenario()


@pytest.mark.parametrize("role", ["client", "governor"])
def test_a_server_that_is_seen_not_to_run_is_waited_for(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at its address, or it accepts and says nothing: also if it cannot be reached afterwards."""

    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        address = await wire.open(server.address)
        peer = await open_client(server, address=address, role=role)
        clock = Clock(monkeypatch)
        wire.break_("client sees it")
        wire.server.close()
        await clock.pass_by(30)
        assert (peer.gone, peer.conversation.absence) == ([], "refused")
        wire.new = "refuse"  # a connection that is closed at once tells nothing
        host, _, port = address.rpartition(":")
        wire.server = await asyncio.start_server(wire._serve, host, int(port))
        await clock.pass_by(DEADLINES.server_return_s - 40)
        assert peer.gone == []
        await clock.pass_by(10)
        await peer.until(lambda: bool(peer.gone))
        assert "was away for 300 s" in peer.gone[0]
        server.listener.close()
        await wire.close()

    scenario()


def test_what_fails_beside_a_conversation_is_done_again_if_the_peer_was_away() -> None:
    """And only then: an error that the peer answered with is raised at once, another one when the peer is heard."""

    @in_loop
    async def scenario() -> None:
        quick = DEADLINES.scaled(TENTH)
        server, wire = Server(deadlines=quick), Wire()
        client = await open_client(server, address=await wire.open(server.address), deadlines=quick)
        tries: list[str] = []

        async def broken(error: Exception, away: bool) -> str:
            tries.append("")
            if len(tries) > 1:
                return "done"
            if away:
                wire.break_("client sees it")
            raise error

        for error in (RainException("nothing listens"), ConnectionError("reset"), TransferError("reset")):
            tries.clear()
            assert await through_outages(client.conversation, lambda error=error: broken(error, True)) == "done"
            await client.until(lambda: client.conversation._link is not None)
            tries.clear()
            with pytest.raises(type(error)):
                await through_outages(client.conversation, lambda error=error: broken(error, False))
        wire.new = "refuse"
        wire.break_("client sees it")
        tries.clear()
        with pytest.raises(TransferError, match="not here"):
            await through_outages(client.conversation, lambda: broken(TransferError("not here", answered=True), False))
        tries.clear()
        waiting = asyncio.ensure_future(
            through_outages(client.conversation, lambda: broken(RainException("nothing listens"), False))
        )
        await asyncio.sleep(0)
        client.conversation.close()
        with pytest.raises(RainException, match="nothing listens"):
            await waiting
        server.listener.close()
        await wire.close()

    scenario()


def test_time_in_which_a_process_stood_still_is_held_against_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while there is a connection nor while the one side dials and the other waits for that."""

    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        client = await open_client(server, address=await wire.open(server.address))
        clock = Clock(monkeypatch)
        wire.new = "refuse"
        wire.break_("server sees it")
        await clock.pass_by(10)
        assert client.events == server.peers[0].events == ["away"]
        clock.offset += 1000
        await clock.pass_by(10)
        wire.new = "answer"
        _talk(client, server.peers[0], range(5))
        await clock.pass_by(2)
        await _all_arrived(client, server.peers[0], 5)
        client.conversation.close()
        server.listener.close()
        await wire.close()

    scenario()


# -- peers on the same machine --------------------------------------------------------------------

PEER = """
    import asyncio, os, sys
    from rain.common.protocol.messages import Hello
    from rain.net.auth import Credentials
    from rain.net.transport import converse

    async def main():
        address, token, fork = sys.argv[1:]
        await converse(address, Credentials.from_token(token), Hello("client", ""), object, print, print)
        if fork == "fork" and os.fork() == 0:
            os.read(0, 1)
            os._exit(0)
        print("ready", flush=True)
        await asyncio.sleep(1000)

    asyncio.run(main())
"""


@contextmanager
def peer_process(server: Server, fork: str = "") -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-c", textwrap.dedent(PEER), server.address, server.credentials.token("client"), fork]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        assert process.stdout
        process.stdin.close()  # ends a forked child
        process.stdout.close()


@pytest.mark.parametrize("fork", ["", "fork"])
def test_a_client_whose_process_has_ended_is_not_waited_for(fork: str) -> None:
    """Also where a child of it holds its connection open."""

    @in_loop
    async def scenario() -> None:
        server = Server(deadlines=DEADLINES._replace(heartbeat_s=0.1, link_silent_s=0.5))
        with peer_process(server, fork) as process:
            await _until(lambda: bool(server.peers))
            peer = server.peers[0]
            await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline)  # type: ignore[union-attr]
            process.kill()
            await peer.until(lambda: bool(peer.gone))
            assert "its process has ended" in peer.gone[0]
        server.listener.close()

    scenario()


def test_a_stopped_client_is_waited_for() -> None:
    """Even when its connection broke meanwhile, and its grace is over."""

    @in_loop
    async def scenario() -> None:
        server = Server(deadlines=DEADLINES._replace(heartbeat_s=0.02, client_grace_s=0.1))
        with peer_process(server) as process:
            await _until(lambda: bool(server.peers))
            peer = server.peers[0]
            process.send_signal(signal.SIGSTOP)
            await _until(lambda: is_stopped(peer.conversation.peer.process))
            peer.conversation._link.abort()
            await peer.until(lambda: peer.events == ["away"])
            looks = 0
            look = peer.conversation._look

            def counted(pause_s: float) -> None:
                nonlocal looks
                looks += 1
                look(pause_s)

            peer.conversation._look = counted
            await _until(lambda: looks > 10)  # each of them would have counted 0.02 s
            assert peer.gone == []
            process.send_signal(signal.SIGCONT)
            await peer.until(lambda: peer.events == ["away", "back"] or bool(peer.gone))
        server.listener.close()

    scenario()


async def _until(condition: Any) -> None:
    await asyncio.get_running_loop().run_in_executor(None, until, condition, "what the test waits for")


def test_which_process_a_peer_is() -> None:
    assert is_known(own_identity())
    assert not has_ended(own_identity())
    assert not is_stopped(own_identity())
    with subprocess.Popen(["sleep", "100"]) as process:
        host, namespace, _, _ = own_identity().split("/")
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        identity = f"{host}/{namespace}/{process.pid}/{fields[19]}"
        assert not has_ended(identity)
        process.send_signal(signal.SIGSTOP)
        until(lambda: is_stopped(identity), "it is stopped")
        process.kill()
        until(lambda: has_ended(identity), "a zombie has ended")
    assert has_ended(identity)
    assert has_ended(f"{host}/{namespace}/{os.getpid()}/1"), "another process had the number before"
    # Nothing is known of processes elsewhere, nor of peers that do not say.
    for other in (f"x/{namespace}/1/1", f"{host}/pid:[1]/{process.pid}/1", "", "a/b", f"{host}/{namespace}/x/1"):
        assert not has_ended(other)
        assert not is_known(other)


# -- real processes -------------------------------------------------------------------------------


@remote(auto_encode="json")
def sleep_and_count(ctx: Any, seconds: float, mark: str) -> int:
    import time

    with open(mark, "a") as file:
        file.write("x")
    time.sleep(seconds)
    return 1


@contextmanager
def cluster(folder: Path, factor: float) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A server and a governor with `factor` of all deadlines; the server's process and its connection file."""
    file = folder / "connection.json"
    common = ["--logdir", str(folder), "--connection-file", str(file), "--deadlines", str(factor)]
    rain_ = [sys.executable, "-m", "rain"]
    ready = [folder / "server.ready", folder / "governor.ready"]
    server = subprocess.Popen(
        [*rain_, "server", "--listen", "0", "--http-listen", "0", *common, "--ready-file", str(ready[0])],
        stderr=subprocess.DEVNULL,
    )
    governor = None
    try:
        until(ready[0].exists, "the server is ready")
        words = [*rain_, "governor", _address(file), "--cpus", "2", *common, "--ready-file", str(ready[1])]
        governor = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        until(ready[1].exists, "the governor is ready")
        yield server, file
    finally:
        for process in (governor, server):
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait()


def _address(file: Path) -> str:
    from rain.processes import connection_files

    return connection_files.read(file).address


def scaled(factor: float) -> Deadlines:
    """As `rain server --deadlines` takes it."""
    return DEADLINES.scaled(factor)._replace(handshake_s=DEADLINES.handshake_s)


def _pause(process: subprocess.Popen[Any], seconds: float) -> None:
    """Stop a process for a time; it is no time that a test waits for an event in, but the event itself."""
    process.send_signal(signal.SIGSTOP)
    select.select([], [], [], seconds)
    process.send_signal(signal.SIGCONT)


def _server_pauses(folder: Path, factor: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rain.client.operations.link, "DEADLINES", scaled(factor))
    mark = folder / "mark"
    with (
        cluster(folder, factor) as (server, file),
        Client(_address(file), connection_file=file) as client,
        client.new_session("paused") as session,
    ):
        made = [sleep_and_count(0.4 * seconds, str(mark)) for _ in range(4)]
        for task in made:
            task.keep_outputs()
        session.submit()
        until(mark.exists, "tasks run")
        _pause(server, seconds)
        assert [task.output.fetch(timeout=GUARD_S).load() for task in made] == [1] * 4
        assert [task.info.attempts for task in made] == [1] * 4, "nothing was done again"


def test_a_server_that_stands_still_loses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _server_pauses(tmp_path, TENTH, 14 * TENTH, monkeypatch)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [14.0, 60.0])
def test_a_server_that_stands_still_loses_nobody_at_full_length(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _server_pauses(tmp_path, 1.0, seconds, monkeypatch)


CLIENT = """
    import sys
    from rain import *
    count, file, address = int(sys.argv[1]), sys.argv[2], sys.argv[3]

    @remote()
    def part(ctx, number: int):
        return bytes([number % 251]) * 60_000

    with Client(address, connection_file=file) as client, client.new_session("stopped") as session:
        parts = [part(number) for number in range(count)]
        for each in parts:
            each.keep_outputs()
        session.submit()
        print("ready", flush=True)
        session.wait_all()
        right = [each.output.fetch().get_bytes() == bytes([n % 251]) * 60_000 for n, each in enumerate(parts)]
        print(all(right), len(right), max(each.info.attempts for each in parts))
"""


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_client_that_stands_still_keeps_its_session_and_all_results(tmp_path: Path) -> None:
    """For longer than its grace, while more than a channel keeps waits for it."""
    count = 8000
    with cluster(tmp_path, 1.0) as (_, file):
        words = [sys.executable, "-c", textwrap.dedent(CLIENT), str(count), str(file), _address(file)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            _pause(process, 120.0)
            assert process.stdout.readline() == f"True {count} 1\n"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["deaf", "silent", "server sees it"])
def test_half_open_and_away_for_a_minute_at_full_length(how: str) -> None:
    """Without a clock that jumps."""

    @in_loop
    async def scenario() -> None:
        server, wire = Server(), Wire()
        client = await open_client(server, address=await wire.open(server.address))
        peer = server.peers[0]
        wire.new = "swallow"
        wire.break_(how)
        _talk(client, peer, range(10))
        await asyncio.sleep(DEADLINES.interruption_s)
        wire.new = "answer"
        await asyncio.wait_for(_all_arrived(client, peer, 10), GUARD_S)
        client.conversation.close()
        server.listener.close()
        await wire.close()

    scenario()


@pytest.mark.soak
def test_a_wait_without_a_governor_says_so() -> None:
    with Client.local(governors=0) as client, client.new_session("alone") as session:
        task = tasks.Concat([blob("a")])
        session.submit()
        with pytest.warns(RainWarning, match="no governor is here"), pytest.raises(TimeoutError):
            session.wait_all(timeout=20)
        assert "Nothing can run: no governor is here" in task.explain()
