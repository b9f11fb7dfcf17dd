"""Conversations and data connections over real sockets, with every kind of peer and network trouble.

Nothing waits for time to pass: tests wait for the events that they are about, or let a loop's clock jump.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.ids import ID
from rain.common.limits import CHUNK_BYTES, DEADLINES, FRAME_BYTES_MAX, HANDSHAKES_PENDING_MAX, Deadlines
from rain.common.protocol.framing import encode_prefix
from rain.common.protocol.messages import DataEnd, DataError, DataGet, Hello, Message, Welcome
from rain.net import auth, handshake, listener, transport
from rain.net import connection as connections
from rain.net.auth import Credentials
from rain.net.transport import Listener, converse, listen, open_data
from tests.support.waiting import Changes

pytestmark = pytest.mark.timeout(30)


class Word(Message):
    number: int
    text: bytes = b""


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Peer:
    """One side's callbacks, recorded; `until` waits for them."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.events: list[str] = []
        self.gone: list[str] = []
        self.conversation: Any = None
        self._changes = Changes()
        self.until = self._changes.until

    def messages(self, messages: list[Word]) -> None:
        self.words += [message.number for message in messages]
        self._changes.tell()

    def is_gone(self, reason: str) -> None:
        self.gone.append(reason)
        self.event("gone")

    def event(self, name: str, *_: object) -> None:
        self.events.append(name)
        self._changes.tell()


class Server:
    """A listener that records each conversation."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Credentials | None = None,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        self.credentials = credentials or Credentials.generate()
        self.peers: list[Peer] = []
        self.refusal = ""
        self.listener = Listener(
            host,
            port,
            self.credentials,
            self.joined,
            self.data,
            {"client": Word, "governor": Word},
            self.welcome,
            deadlines,
        )
        self.address = self.listener.address

    def welcome(self, hello: Hello) -> Welcome:
        if self.refusal:
            raise RainException(self.refusal)
        return Welcome("", False, 0, "host", peer_id="server")

    def joined(self, conversation: Any, hello: Hello) -> None:
        peer = Peer()
        peer.conversation = conversation
        conversation.on_messages = peer.messages
        conversation.on_gone = peer.is_gone
        conversation.on_away = lambda reason: peer.event("away")
        conversation.on_back = lambda: peer.event("back")
        self.peers.append(peer)

    async def data(self, connection: Any) -> None:
        """Answers DataGet(length=n) with n bytes in chunks; ends what else it gets."""
        while True:
            request = await connection.receive()
            left = request.length
            while left:
                piece = bytes([left % 251]) * min(left, CHUNK_BYTES)
                await connection.send_payload(piece)
                left -= len(piece)
            await connection.send(DataEnd(request.length))

    def client(self, role: str = "client") -> Credentials:
        return Credentials.from_token(self.credentials.token(role))


async def open_client(server: Server, *, address: str = "", role: str = "client", **options: Any) -> Peer:
    peer = Peer()
    peer.conversation = await converse(
        address or server.address,
        server.client(role),
        Hello(role, ""),
        Word,
        peer.messages,
        peer.is_gone,
        on_away=lambda reason: peer.event("away"),
        on_back=lambda: peer.event("back"),
        **options,
    )
    return peer


async def _a_turn() -> None:
    await asyncio.sleep(0)


class Proxy:
    """Stands between client and server; breaks connections when told."""

    def __init__(self) -> None:
        self.target = ""
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.chunk = 65536
        self.break_after: Callable[[], int | None] = lambda: None
        self.broken = 0
        self.refuse = False

    async def open(self, target: str) -> str:
        self.target = target
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "%s:%d" % self.server.sockets[0].getsockname()[:2]  # noqa: UP031

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        host, _, port = self.target.rpartition(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        self.writers |= {writer, to_writer}
        await asyncio.gather(self._pump(reader, to_writer, writer), self._pump(to_reader, writer, to_writer))

    async def _pump(self, reader: Any, writer: Any, other: Any) -> None:
        left = self.break_after()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(self.chunk):
                if left is not None and len(data) >= left:
                    writer.write(data[:left])
                    self.broken += 1
                    break
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
        for end in (writer, other):
            self.writers.discard(end)
            end.close()

    def cut(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()

    async def close(self) -> None:
        self.server.close()
        self.cut()


# -- the ordinary way -----------------------------------------------------------------------------


@in_loop
async def test_messages_arrive_in_order_and_as_batches():
    server = Server()
    client = await open_client(server)
    assert client.conversation.peer.peer_id == "server"
    for number in range(1000):
        client.conversation.send(Word(number))
    peer = server.peers[0]
    await peer.until(lambda: len(peer.words) == 1000)
    assert peer.words == list(range(1000))
    peer.conversation.send(Word(7))
    await client.until(lambda: client.words == [7])
    assert client.conversation._channel.kept_bytes == 0, "the answer carried the acknowledgement"
    server.listener.close()


@in_loop
async def test_large_batches_are_split_and_acknowledged():
    server = Server()
    client = await open_client(server)
    for number in range(40):
        client.conversation.send(Word(number, bytes(3 << 20)))
    peer = server.peers[0]
    await peer.until(lambda: len(peer.words) == 40)
    while client.conversation.backlog_bytes > 20 << 20:  # it becomes small without anything said in return
        await _a_turn()
    server.listener.close()


@in_loop
async def test_a_message_over_the_frame_limit_is_refused_where_it_is_sent():
    server = Server()
    client = await open_client(server)
    with pytest.raises(ProtocolError, match=r"Word message of \d+ bytes is over the limit FRAME_BYTES_MAX"):
        client.conversation.send(Word(0, bytes(FRAME_BYTES_MAX)))
    client.conversation.send(Word(1))
    await server.peers[0].until(lambda: server.peers[0].words == [1])
    server.listener.close()


@in_loop
async def test_closing_delivers_what_was_sent_and_says_why():
    server = Server()
    client = await open_client(server)
    client.conversation.send(Word(1))
    client.conversation.close("done for today")
    client.conversation.close()
    peer = server.peers[0]
    await peer.until(lambda: bool(peer.gone))
    assert (peer.words, peer.gone, peer.events) == ([1], ["done for today"], ["gone"])
    assert peer.conversation.ended == "left"
    assert client.gone == []
    server.listener.close()


@in_loop
async def test_closing_the_listener_tells_its_peers_at_once():
    server = Server()
    client = await open_client(server)
    server.listener.close("the server was stopped")
    await client.until(lambda: bool(client.gone))
    assert client.gone == ["the server was stopped"]
    assert client.conversation.ended == "left"
    with pytest.raises(RainException, match="nothing listens at"):
        await open_client(server)


# -- broken connections ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_exactly_once_and_in_order_while_connections_break(seed, monkeypatch, caplog):
    monkeypatch.setattr(transport, "_REDIAL_PAUSE_MIN_S", 0.001)

    @in_loop
    async def scenario():
        chance = random.Random(seed)
        server, proxy = Server(), Proxy()
        address = await proxy.open(server.address)
        quick = DEADLINES._replace(redial_pause_s=0.01)
        client = await open_client(server, address=address, away_s=600, deadlines=quick)
        peer = server.peers[0]
        proxy.chunk = 97  # frames are cut anywhere
        proxy.break_after = lambda: chance.randrange(1, 3000)
        proxy.cut()
        for number in range(0, 600, 3):
            for word in range(number, number + 3):
                client.conversation.send(Word(word, b"x" * chance.randrange(200)))
                peer.conversation.send(Word(word, b"y" * chance.randrange(200)))
            await asyncio.sleep(0)
        await peer.until(lambda: len(peer.words) >= 600)
        await client.until(lambda: len(client.words) >= 600)
        assert peer.words == client.words == list(range(600))
        assert proxy.broken > 3
        assert len(server.peers) == 1
        client.conversation.close()
        server.listener.close()
        await proxy.close()

    scenario()
    written_to_the_dead = [record for record in caplog.records if "socket.send()" in record.getMessage()]
    assert written_to_the_dead == []


@in_loop
async def test_both_sides_are_told_of_away_and_back():
    server, proxy = Server(), Proxy()
    address = await proxy.open(server.address)
    client = await open_client(server, address=address)
    peer = server.peers[0]
    proxy.cut()
    await client.until(lambda: client.events == ["away", "back"])
    await peer.until(lambda: peer.events == ["away", "back"])
    client.conversation.close()
    server.listener.close()
    await proxy.close()


@in_loop
async def test_a_peer_that_does_not_come_back_is_given_up_after_its_grace():
    server, proxy = Server(deadlines=DEADLINES._replace(client_grace_s=0.05)), Proxy()
    address = await proxy.open(server.address)
    client = await open_client(server, address=address, away_s=0.1)
    peer = server.peers[0]
    proxy.refuse = True
    proxy.cut()
    await peer.until(lambda: bool(peer.gone))
    assert "did not come back" in peer.gone[0]
    await client.until(lambda: bool(client.gone))
    assert "was away for 0.1 s" in client.gone[0]
    assert client.conversation.ended == peer.conversation.ended == "unreachable"
    assert server.listener._conversations == {}
    server.listener.close()
    await proxy.close()


@in_loop
async def test_a_conversation_that_the_server_forgot_is_over():
    server = Server()
    proxy = Proxy()
    client = await open_client(server, address=await proxy.open(server.address))
    other = Server(credentials=server.credentials)  # a restarted server
    proxy.target = other.address
    proxy.cut()
    await client.until(lambda: bool(client.gone))
    assert client.conversation.ended == "forgotten"
    assert "does not know this conversation any more" in client.gone[0]
    assert other.peers == []
    for one in (server, other):
        one.listener.close()
    await proxy.close()


class Clock:
    """Lets a loop's time jump without waiting."""

    def __init__(self, monkeypatch: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self._real = self.loop.time
        self.offset = 0.0
        monkeypatch.setattr(self.loop, "time", lambda: self._real() + self.offset)

    async def pass_by(self, seconds: float) -> None:
        """In small steps, so that nobody takes it for a loop that stood still."""
        for _ in range(int(seconds / 0.5)):
            self.offset += 0.5
            await asyncio.sleep(0)
            await asyncio.sleep(0)


def test_a_silent_governor_is_given_up_and_a_silent_client_is_not(monkeypatch):
    @in_loop
    async def scenario():
        server = Server()
        # Two peers that keep their connections open and say nothing, like stopped processes.
        governor = await open_client(server, role="governor")
        client = await open_client(server, role="client")
        for peer in (governor, client):
            monkeypatch.setattr(
                peer.conversation,
                "_acknowledge",
                lambda link, silent=peer.conversation: setattr(silent, "_wrote", True),
            )
            peer.conversation._silence_s = None
        clock = Clock(monkeypatch)
        await clock.pass_by(9)
        assert [peer.gone for peer in server.peers] == [[], []]
        await clock.pass_by(3)
        assert "no sign of life" in server.peers[0].gone[0]
        assert server.peers[1].gone == []
        client.conversation.close()
        governor.conversation.close()
        server.listener.close()

    scenario()


def test_heartbeats_keep_an_idle_conversation(monkeypatch):
    @in_loop
    async def scenario():
        server = Server()
        governor = await open_client(server, role="governor")
        clock = Clock(monkeypatch)
        for _ in range(60):
            await clock.pass_by(0.5)
            for _ in range(5):  # turns for the bytes to cross
                await asyncio.sleep(0)
        assert (governor.events, server.peers[0].events) == ([], [])
        governor.conversation.close()
        server.listener.close()

    scenario()


def test_a_loop_that_stood_still_does_not_blame_its_peers(monkeypatch):
    @in_loop
    async def scenario():
        server = Server()
        governor = await open_client(server, role="governor")
        clock = Clock(monkeypatch)
        clock.offset += 100
        for _ in range(20):
            await asyncio.sleep(0)
        assert (governor.events, server.peers[0].events) == ([], [])
        governor.conversation.close()
        server.listener.close()

    scenario()


# -- errors for newcomers -------------------------------------------------------------------------


@in_loop
async def test_nobody_listens():
    with listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(RainException, match=rf"nothing listens at {host}:{port}: is the server running"):
            await converse(f"{host}:{port}", Credentials.generate(), Hello("client", ""), Word, print, print)


@in_loop
async def test_an_unknown_host():
    with pytest.raises(RainException, match=r"the host of no\.such\.host\.invalid:7210 is not known"):
        await converse("no.such.host.invalid:7210", Credentials.generate(), Hello("client", ""), Word, print, print)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"220 smtp ready\r\n"])
def test_something_else_listens(answer):
    @in_loop
    async def scenario():
        async def other(reader, writer):
            writer.write(answer)

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RainException, match="is not a Rain server"):
            await converse(address, Credentials.generate(), Hello("client", ""), Word, print, print)
        server.close()

    scenario()


def test_something_silent_listens():
    quick = DEADLINES._replace(handshake_s=0.05)

    @in_loop
    async def scenario():
        with listen("127.0.0.1", 0) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(RainException, match="does not answer within HANDSHAKE_S"):
                await converse(
                    address, Credentials.generate(), Hello("client", ""), Word, print, print, deadlines=quick
                )

    scenario()


@pytest.mark.parametrize("secure", [False, True])
@in_loop
async def test_what_accepts_and_says_nothing_is_told_from_what_cannot_be_reached(secure):
    """Also where TLS comes first, as it does beyond one host: such a server is waited for."""
    with listen("127.0.0.1", 0) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(handshake.Unanswered, match="does not answer within HANDSHAKE_S"):
            await handshake._dial(address, "client", b"k" * 32, b"", 0.1, 0, secure=secure)


@in_loop
async def test_a_wrong_key(caplog):
    server = Server()
    with pytest.raises(RainException, match="has another key: the token or connection file is of another server"):
        await converse(server.address, Credentials.generate(), Hello("client", ""), Word, print, print)
    with pytest.raises(RainException, match="role client is needed; the token given is for: governor"):
        await converse(server.address, server.client("governor"), Hello("client", ""), Word, print, print)
    with pytest.raises(ProtocolError):
        await open_data(server.address, Credentials.generate())
    server.listener.close()


@in_loop
async def test_another_python_is_refused():
    server = Server()
    with pytest.raises(RainException, match=r"refused .* the client runs Python 2\.7, the server Python 3"):
        await converse(server.address, server.client(), Hello("client", "", python="2.7"), Word, print, print)
    server.refusal = "no room"
    with pytest.raises(RainException, match="no room"):
        await open_client(server)
    assert server.peers == []
    server.listener.close()


@in_loop
async def test_a_role_may_not_be_claimed_inside():
    server = Server()
    client = await handshake.dial(server.address, server.client("governor"), "governor")
    client.send(Hello("client", "x"))
    refused = await client.opening(transport.Opening)
    assert "proved to be a governor and said that it is a client" in refused.reason
    server.listener.close()


@in_loop
async def test_a_port_in_use():
    server = Server()
    with pytest.raises(ResourceError, match=rf"cannot listen at {server.address}: the port is in use"):
        Server(port=server.listener.port)
    with pytest.raises(ResourceError, match=r"cannot listen at no\.such\.invalid:1: the host is not known"):
        Server("no.such.invalid", 1)
    server.listener.close()


# -- hostile peers --------------------------------------------------------------------------------


async def raw(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass
    return True


@in_loop
async def test_garbage_before_the_handshake_reaches_no_decoder(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "rain.transport")
    decoded: list[object] = []
    monkeypatch.setattr(connections.msgspec.msgpack, "decode", lambda *a, **k: decoded.append(a))
    server, chance = Server(), random.Random(1)
    for size in (1, 39, 40, 200, 100_000):
        reader, writer = await raw(server)
        writer.write(chance.randbytes(size))
        if writer.can_write_eof():
            writer.write_eof()
        assert await is_closed(reader)
        writer.close()
    good = auth.Connecting("client", server.credentials.keys["client"])
    reader, writer = await raw(server)  # the right opening, then no proof but a Hello
    writer.write(good.opening + encode_prefix(b"x" * 100))
    assert await is_closed(reader)
    writer.close()
    assert decoded == []
    assert "does not speak Rain's protocol" in caplog.text
    assert "did not prove that it holds the key" in caplog.text
    assert "127.0.0.1:" in caplog.text
    server.listener.close()


def test_a_recorded_connection_cannot_be_replayed():
    @in_loop
    async def scenario():
        server = Server()
        recorded = bytearray()

        class Recorder(Proxy):
            async def _pump(self, reader, writer, other):
                while data := await reader.read(65536):
                    if other is not None and writer.get_extra_info("peername")[1] == server.listener.port:
                        recorded.extend(data)
                    writer.write(data)
                writer.close()

        proxy = Recorder()
        client = await open_client(server, address=await proxy.open(server.address))
        client.conversation.send(Word(1))
        await server.peers[0].until(lambda: server.peers[0].words == [1])
        reader, writer = await raw(server)
        writer.write(bytes(recorded))
        assert await is_closed(reader)
        writer.close()
        assert len(server.peers) == 1
        client.conversation.close()
        server.listener.close()
        await proxy.close()

    scenario()


@in_loop
async def test_a_server_cannot_be_used_to_answer_its_own_challenge():
    server = Server()
    reader, writer = await raw(server)
    opening = auth.Connecting("client", bytes(32)).opening
    writer.write(opening)
    answer = await reader.readexactly(auth.ANSWER_BYTES)
    other_reader, other_writer = await raw(server)
    other_writer.write(answer[: auth.OPENING_BYTES])  # its own nonce as ours
    other = await other_reader.readexactly(auth.ANSWER_BYTES)
    writer.write(other[-auth.PROOF_BYTES :])
    assert await is_closed(reader)
    other_writer.write(answer[-auth.PROOF_BYTES :])
    assert await is_closed(other_reader)
    assert server.peers == []
    for one in (writer, other_writer):
        one.close()
    server.listener.close()


@in_loop
async def test_idle_connections_do_not_keep_an_honest_one_out():
    server = Server()
    idle = [await raw(server) for _ in range(3 * HANDSHAKES_PENDING_MAX)]
    client = await open_client(server)
    assert len(server.listener._pending) <= HANDSHAKES_PENDING_MAX
    client.conversation.close()
    for _, writer in idle:
        writer.close()
    server.listener.close()


def test_dripping_connections_end_at_the_deadline():
    @in_loop
    async def scenario():
        server = Server(deadlines=DEADLINES._replace(handshake_s=0.2))
        reader, writer = await raw(server)
        drips = 0

        async def drip():
            nonlocal drips
            for byte in auth.Connecting("client", bytes(32)).opening:
                writer.write(bytes([byte]))
                drips += 1
                await asyncio.sleep(0.02)

        task = asyncio.create_task(drip())
        assert await is_closed(reader)
        assert 0 < drips < auth.OPENING_BYTES
        task.cancel()
        writer.close()
        server.listener.close()

    scenario()


@pytest.mark.parametrize(
    "bytes_",
    [
        struct.pack("<II", FRAME_BYTES_MAX, 1),
        struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF),
        encode_prefix(b"\xc1" * 50),
        encode_prefix(b"\x93\x01\x00\x91\x91\xa4Nope"),
        encode_prefix(b"\x93\x01\xcd\xff\xff\x90"),
        encode_prefix(b"\x91" * 50000),
    ],
    ids=["too long", "huge", "no msgpack", "unknown message", "wrong acknowledgement", "deep"],
)
def test_garbage_in_a_conversation_ends_it_with_a_logged_error(bytes_, caplog):
    @in_loop
    async def scenario():
        server = Server()
        client = await open_client(server)
        other = await open_client(server)
        peer = server.peers[0]
        client.conversation._link.write(bytes_)
        await peer.until(lambda: bool(peer.gone))
        assert peer.conversation.ended == "broken"
        assert peer.conversation.address in caplog.text
        await client.until(lambda: bool(client.gone))
        assert client.conversation.ended == "left"  # it is told why
        other.conversation.send(Word(1))
        await server.peers[1].until(lambda: server.peers[1].words == [1])
        server.listener.close()

    scenario()


@in_loop
async def test_an_error_in_a_handler_ends_that_conversation_only(caplog):
    server = Server()
    client, other = await open_client(server), await open_client(server)
    server.peers[0].conversation.on_messages = lambda messages: 1 / 0
    client.conversation.send(Word(1))
    await server.peers[0].until(lambda: bool(server.peers[0].gone))
    assert "ZeroDivisionError" in caplog.text
    other.conversation.send(Word(1))
    await server.peers[1].until(lambda: server.peers[1].words == [1])
    server.listener.close()


# -- data connections -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 5 * CHUNK_BYTES + 17])
def test_payloads_arrive_whole(size):
    @in_loop
    async def scenario():
        server = Server()
        client = await open_client(server)
        credentials = client.conversation._credentials
        assert credentials.keys["data"] == server.credentials.keys["data"], "told in the Welcome"
        connection = await open_data(server.address, credentials)
        for _ in range(3):
            await connection.send(DataGet(ID(1, 1), 0, size))
            left = size
            while left:
                piece = await connection.receive()
                assert piece == bytes([left % 251]) * min(left, CHUNK_BYTES)
                left -= len(piece)
            assert await connection.receive() == DataEnd(size)
        connection.close()
        client.conversation.close()
        server.listener.close()

    scenario()


@in_loop
async def test_a_slow_reader_holds_the_sender_back():
    server = Server()
    sent = 0

    async def pour(connection):
        nonlocal sent
        await connection.receive()
        while True:
            await connection.send_payload(bytes(CHUNK_BYTES))
            sent += 1

    server.listener._on_data = pour
    connection = await open_data(server.address, server.credentials)
    await connection.send(DataGet(ID(1, 1)))
    before = -1
    while sent != before:  # until the sender stands still
        before = sent
        for _ in range(50):
            await asyncio.sleep(0)
    assert sent < 50
    for _ in range(sent + 5):
        assert len(await connection.receive()) == CHUNK_BYTES
    connection.close()
    server.listener.close()


@in_loop
async def test_the_end_of_a_data_connection_is_an_error_for_its_reader():
    server = Server()

    async def leave(connection):
        await connection.receive()

    server.listener._on_data = leave
    connection = await open_data(server.address, server.credentials)
    await connection.send(DataGet(ID(1, 1)))
    with pytest.raises(ConnectionError, match="was closed"):
        await connection.receive()
    assert connection.closed
    server.listener.close()


@in_loop
async def test_an_error_of_any_length_arrives():
    server = Server()

    async def refuse(connection):
        await connection.receive()
        await connection.send(DataError("\udce9" + "why" * 100_000, missing=True))

    server.listener._on_data = refuse
    connection = await open_data(server.address, server.credentials)
    await connection.send(DataGet(ID(1, 1)))
    error = await connection.receive()
    assert error.message.startswith("\\udce9whywhy")
    assert error.missing
    connection.close()
    server.listener.close()


@pytest.mark.parametrize(
    "bytes_", [struct.pack("<II", 0, CHUNK_BYTES + 1), struct.pack("<II", 1 << 30, 0), encode_prefix(b"\xc1\xc1")]
)
def test_garbage_on_a_data_connection_ends_it(bytes_):
    @in_loop
    async def scenario():
        server = Server()
        connection = await open_data(server.address, server.credentials)
        connection._transport.write(bytes_)
        with pytest.raises(ConnectionError):
            await connection.receive()
        with pytest.raises(ValueError, match="CHUNK_BYTES"):
            await connection.send_payload(bytes(CHUNK_BYTES + 1))
        server.listener.close()

    scenario()


# -- beyond loopback ------------------------------------------------------------------------------


def _as_if_remote(monkeypatch):
    for module in (handshake, listener):
        monkeypatch.setattr(module, "is_loopback", lambda host: False)


def test_beyond_loopback_everything_is_encrypted(monkeypatch):
    _as_if_remote(monkeypatch)

    @in_loop
    async def scenario():
        server = Server()
        server.credentials.certify()
        client = await open_client(server)
        secured = client.conversation._link.transport.get_extra_info("ssl_object")
        assert secured.version() == "TLSv1.3"
        client.conversation.send(Word(1, bytes(1 << 20)))
        await server.peers[0].until(lambda: server.peers[0].words == [1])
        connection = await open_data(server.address, client.conversation._credentials)
        await connection.send(DataGet(ID(1, 1), 0, 3 * CHUNK_BYTES))
        received = 0
        while isinstance(piece := await connection.receive(), memoryview):
            received += len(piece)
        assert received == 3 * CHUNK_BYTES
        connection.close()
        client.conversation.close()
        server.listener.close()

    scenario()


def test_another_certificate_is_refused_pinned_or_not(monkeypatch):
    _as_if_remote(monkeypatch)

    @in_loop
    async def scenario():
        server = Server()
        pinned = server.client()
        pinned.fingerprint = b"p" * 32
        with pytest.raises(RainException, match="shows another certificate"):
            await converse(server.address, pinned, Hello("client", ""), Word, print, print)
        # Somebody in the middle who ends TLS on both sides, for a token without a fingerprint:
        middle = auth.Certificate.generate()

        async def relay(reader, writer):
            host, _, port = server.address.rpartition(":")
            there = await asyncio.open_connection(host, int(port), ssl=auth.connecting_context(), server_hostname="x")

            async def pump(source, target):
                with contextlib.suppress(ConnectionError):
                    while data := await source.read(4096):
                        target.write(data)
                target.close()

            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

        proxy = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=middle.context())
        address = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        with pytest.raises(RainException, match="has another key"):
            await converse(address, server.client(), Hello("client", ""), Word, print, print)
        assert server.peers == []
        proxy.close()
        server.listener.close()

    scenario()


def test_a_forwarded_port_is_found_out_by_its_certificate(monkeypatch):
    monkeypatch.setattr(listener, "is_loopback", lambda host: False)  # the server stands behind the forwarding

    @in_loop
    async def scenario():
        server = Server()
        credentials = server.client()
        assert server.credentials.certificate is None, "none is made before somebody connects"
        with pytest.raises(RainException, match="closed the connection during the handshake"):
            await converse(server.address, credentials, Hello("client", ""), Word, print, print)
        credentials.fingerprint = server.credentials.certificate.fingerprint
        found = await converse(server.address, credentials, Hello("client", ""), Word, print, print)
        assert found._link.secured
        found.close()
        server.listener.close()

    scenario()


def test_an_inherited_listener_is_used():
    @in_loop
    async def scenario():
        held = listen("127.0.0.1", 0)
        server = Server("fd", socket.dup(held.fileno()))
        assert server.listener.port == held.getsockname()[1]
        held.close()
        client = await open_client(server)
        client.conversation.close()
        server.listener.close()

    scenario()
