"""Large objects over real sockets, and the fetching that uses them."""

import asyncio
import os
import resource

import pytest
import xxhash

from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.ids import ID
from rain.common.limits import CHUNK_BYTES, MIB
from rain.common.location import Inline, LocalFile, Replica, Replicas
from rain.common.protocol.messages import DataEnd, DataError, DataGet, DataHeader, DataPut, ObjectData
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.fetch import fetch
from rain.governor.store import Store
from rain.net.connection import Link
from rain.net.data_connection import DataConnection
from rain.net.transfer import (
    TransferError,
    exchange,
    get_buffer,
    get_directory,
    get_listing,
    get_to_file,
    put_file,
    put_pieces,
    relay,
    serve_get,
    serve_put,
)
from rain.net.transfer.getting import get_pieces
from rain.objects import archive
from rain.objects.files import local_file
from rain.objects.held import Held
from rain.objects.readers import NotInside
from rain.objects.sink import NEVER_INLINE, Sink
from tests.support.waiting import GUARD_S

ONE = ID(1, 1)
HERE, THERE = "this host", "another host"


async def connected():
    """Both ends of a data connection, without the handshake."""
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()

    class Accepting(Link):
        def connection_made(self, transport):
            super().connection_made(transport)
            accepted.set_result(self)

    server = await loop.create_server(Accepting, "127.0.0.1", 0)
    _, link = await loop.create_connection(Link, *server.sockets[0].getsockname())
    ends = DataConnection(link), DataConnection(await accepted)
    server.close()
    return ends


class Peer:
    """A connection to something that holds objects."""

    def __init__(self, objects, on_lost=None):
        self.objects = objects
        self.on_lost = on_lost
        self.requests = []

    async def __aenter__(self):
        self.connection, self._other = await connected()
        self._serving = asyncio.create_task(self._serve())
        return self.connection

    async def __aexit__(self, *error):
        self.connection.close()
        await asyncio.wait_for(self._serving, GUARD_S)

    async def _serve(self):
        try:
            while True:
                request = await self._other.receive()
                self.requests.append(request)
                held = self.objects.get(request.id)
                if held is None:
                    await self._other.send(DataError("I do not hold it", missing=True))
                else:
                    await serve_get(self._other, request, held, self.on_lost)
        except ConnectionError:
            pass
        finally:
            self._other.close()


def run(main):
    asyncio.run(asyncio.wait_for(main, GUARD_S))


def held_file(path, data, checksum=True):
    path.write_bytes(data)
    return Held(local_file(str(path), checksum=xxhash.xxh3_64_intdigest(data) if checksum else None))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "folder"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / "f").write_bytes(os.urandom(3 * CHUNK_BYTES))
    (root / "l").symlink_to("sub/f")
    return root


def tar_of(folder):
    return b"".join(bytes(piece) for piece in archive.pack(str(folder)))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 3])
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_blobs_arrive(tmp_path, size, kind):
    data = os.urandom(size)

    async def main():
        held = held_file(tmp_path / "stored", data)
        if kind == "bytes":
            held = Held(Inline(data))
        async with Peer({ONE: held}) as connection:
            written = await get_to_file(connection, ONE, str(tmp_path / "copy"))
            assert (tmp_path / "copy").read_bytes() == data
            assert written == local_file(str(tmp_path / "copy"), checksum=written.checksum)
            assert written.checksum == xxhash.xxh3_64_intdigest(data)
            buffer, checksum = await get_buffer(connection, ONE)
            assert buffer == data
            assert not buffer.readonly
            assert checksum == written.checksum
            for offset, length in (
                (0, 10),
                (size // 2, None),
                (size // 3, size // 2),
                (size, 5),
                (size + 9, None),
                (3, 0),
            ):
                part, _ = await get_buffer(connection, ONE, offset, length)
                assert part == data[offset : None if length is None else offset + length]

    run(main())


def test_directories_arrive(tmp_path, folder):
    data = tar_of(folder)
    tar = tmp_path / "tar"
    tar.write_bytes(data)

    async def main():
        objects = {
            ID(1, 1): Held(local_file(str(folder), 0), True),
            ID(1, 2): Held(Inline(data), True),
            ID(1, 3): Held(local_file(str(tar)), True),
        }
        async with Peer(objects) as connection:
            for number in (1, 2, 3):
                target = tmp_path / f"copy-{number}"
                assert await get_directory(connection, ID(1, number), str(target)) == 3 * CHUNK_BYTES
                assert tar_of(target) == data
                assert (await get_buffer(connection, ID(1, number)))[0] == data
            assert (await get_buffer(connection, ID(1, 3), 100, 50))[0] == data[100:150]
            with pytest.raises(TransferError, match="as a whole only"):
                await get_buffer(connection, ID(1, 1), 100, 50)

    run(main())


def test_what_is_missing(tmp_path):
    async def main():
        gone = LocalFile(str(tmp_path / "gone"), 1, 5, 1)
        lost = []
        async with Peer({ONE: Held(gone)}, lost.append) as connection:
            with pytest.raises(TransferError, match="do not hold") as caught:
                await get_to_file(connection, ID(1, 9), str(tmp_path / "copy"))
            assert caught.value.missing
            with pytest.raises(TransferError, match="gone cannot be opened") as caught:
                await get_to_file(connection, ONE, str(tmp_path / "copy"))
            assert caught.value.missing
            assert len(lost) == 1
        newer = held_file(tmp_path / "new", b"moved")
        async with Peer({ONE: Held(gone)}, lambda reason: newer) as connection:
            assert (await get_buffer(connection, ONE))[0] == b"moved"
        assert os.listdir(tmp_path) == ["new"]

    run(main())


def test_damage_at_the_holder(tmp_path):
    async def main():
        held = held_file(tmp_path / "stored", os.urandom(3 * CHUNK_BYTES))
        held.location.checksum ^= 1
        lost = []
        async with Peer({ONE: held}, lost.append) as connection:
            with pytest.raises(TransferError, match=r"lost here: .*damaged"):
                await get_to_file(connection, ONE, str(tmp_path / "copy"))
            assert "checksum" in lost[0]
            assert len((await get_buffer(connection, ONE, 5, 100))[0]) == 100  # a part cannot be compared
        assert os.listdir(tmp_path) == ["stored"]

    run(main())


class Liar:
    """The other side of a connection, which answers with what it is told."""

    def __init__(self, *answers):
        self.answers = answers

    async def __aenter__(self):
        self.connection, self.other = await connected()
        self._task = asyncio.create_task(self._answer())
        return self.connection

    async def __aexit__(self, *error):
        await asyncio.wait_for(self._task, GUARD_S)
        self.connection.close()
        self.other.close()

    async def _answer(self):
        await self.other.receive()
        for answer in self.answers:
            try:
                if answer is None:
                    self.other.close()
                elif isinstance(answer, bytes):
                    await self.other.send_payload(answer)
                else:
                    await self.other.send(answer)
            except ConnectionError:
                return


GOOD = xxhash.xxh3_64_intdigest(b"abc")


@pytest.mark.parametrize(("answers", "kind", "says"), [
    ([DataHeader(3), b"abd", DataEnd(GOOD)], TransferError, "damaged on the way"),
    ([DataHeader(3), b"ab", DataEnd(xxhash.xxh3_64_intdigest(b"ab"))], TransferError, "2 of 3 bytes"),
    ([DataHeader(3), b"abc", b"d", DataEnd(GOOD)], ProtocolError, "more than the 3 bytes"),
    ([DataHeader(3), b"a", DataError("disk broke")], TransferError, "disk broke"),
    ([DataHeader(3), b"a", None], TransferError, "closed"),
    ([None], TransferError, "closed"),
    ([DataHeader(3), DataHeader(3)], ProtocolError, "something else in the middle"),
    ([b"abc"], ProtocolError, "something else"),
    ([DataEnd(3)], ProtocolError, "something else"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_bad_answers(tmp_path, answers, kind, says):
    async def main():
        for get in (
            lambda connection: get_to_file(connection, ONE, str(tmp_path / "copy")),
            lambda connection: get_buffer(connection, ONE),
            lambda connection: get_directory(connection, ONE, str(tmp_path / "copy")),
        ):
            async with Liar(*answers) as connection:
                with pytest.raises(RainException):
                    await get(connection)
        assert os.listdir(tmp_path) == []
        async with Liar(*answers) as connection:
            with pytest.raises(kind, match=says):
                await get_buffer(connection, ONE)

    run(main())


def test_an_announced_size_is_not_allocated(tmp_path):
    async def main():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for size, kind, says in ((1 << 62, ResourceError, "do not fit into memory"), (1 << 30, TransferError, "3 of")):
            async with Liar(DataHeader(size), b"abc", DataEnd(GOOD)) as connection:
                with pytest.raises(kind, match=says):
                    await get_buffer(connection, ONE)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10

    run(main())


def test_a_stalled_peer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "TRANSFER_STALL_S", 0.05)

    async def main():
        async with Liar(DataHeader(3), b"a") as connection:
            with pytest.raises(TransferError, match="moved nothing for TRANSFER_STALL_S"):
                await get_to_file(connection, ONE, str(tmp_path / "copy"))
        assert os.listdir(tmp_path) == []

    run(main())


def test_cancelling_a_transfer_leaves_nothing(tmp_path):
    async def main():
        begun = asyncio.Event()

        class Slow(Liar):
            async def _answer(self):
                await super()._answer()
                begun.set()

        async with Slow(DataHeader(3 * CHUNK_BYTES), bytes(CHUNK_BYTES)) as connection:
            task = asyncio.create_task(get_to_file(connection, ONE, str(tmp_path / "copy")))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert connection.closed
        assert os.listdir(tmp_path) == []

    run(main())


def test_memory_stays_bounded(tmp_path):
    """A sparse file of 300 MB in, nothing but its checksum out."""
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(300 << 20)

    async def main():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        taken = 0

        def take(piece):
            nonlocal taken
            taken += len(piece)

        async with Peer({ONE: Held(local_file(str(path)))}) as connection:
            size, _ = await get_pieces(connection, DataGet(ONE), lambda header: None, take)
        assert size == taken == 300 << 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10

    run(main())


# -- putting --------------------------------------------------------------------------------------


async def put_to(folder, put):
    """What `put(connection)` gave, and what the serving side got or raised."""
    ours, theirs = await connected()

    async def serve():
        request = await theirs.receive()
        assert isinstance(request, DataPut)
        try:
            checksum = await serve_put(theirs, request, Sink(os.path.join(folder, request.name), NEVER_INLINE))
        except (RainException, ConnectionError) as error:
            if not theirs.closed:
                await theirs.send(DataError(str(error)))
            theirs.close()
            return error
        await theirs.send(DataEnd(checksum))
        return checksum

    serving = asyncio.create_task(serve())
    try:
        return await put(ours), await serving
    finally:
        ours.close()
        await asyncio.wait([serving])
        theirs.close()


def test_putting_files_and_directories(tmp_path, folder):
    async def main():
        data = os.urandom(3 * CHUNK_BYTES + 5)
        (tmp_path / "f").write_bytes(data)
        (size, checksum), served = await put_to(tmp_path, lambda conn: put_file(conn, "one", str(tmp_path / "f")))
        assert (size, checksum) == (len(data), served) == (len(data), xxhash.xxh3_64_intdigest(data))
        assert (tmp_path / "one").read_bytes() == data
        (size, _), _ = await put_to(tmp_path, lambda conn: put_file(conn, "two", str(folder)))
        assert (tmp_path / "two").read_bytes() == tar_of(folder)
        assert size == len(tar_of(folder))
        await put_to(tmp_path, lambda conn: put_pieces(conn, "three", 0, []))
        assert (tmp_path / "three").read_bytes() == b""
        await put_to(tmp_path, lambda conn: put_pieces(conn, "four", len(data), [memoryview(data)]))
        assert (tmp_path / "four").read_bytes() == data

    run(main())


@pytest.mark.parametrize(("size", "says"), [(2, "more than the 2 bytes"), (4, "3 of 4 bytes"), (-1, "negative")])
def test_putting_something_else_than_announced(tmp_path, size, says):
    async def main():
        with pytest.raises(TransferError, match=says):
            await put_to(tmp_path, lambda conn: put_pieces(conn, "name", size, [b"abc"]))
        assert os.listdir(tmp_path) == []

    run(main())


def test_a_client_that_goes_while_putting(tmp_path):
    async def main():
        async def put(connection):
            await connection.send(DataPut("name", 100))
            await connection.send_payload(b"abc")
            connection.close()

        _, error = await put_to(tmp_path, put)
        assert isinstance(error, ConnectionError)
        assert os.listdir(tmp_path) == []

    run(main())


def test_a_name_that_is_taken(tmp_path):
    async def main():
        (tmp_path / "name").write_text("mine")
        ours, theirs = await connected()
        await ours.send(DataPut("name", 3))
        await ours.send_payload(b"abc")
        request = await theirs.receive()
        with pytest.raises(FileExistsError):
            await serve_put(theirs, request, Sink(str(tmp_path / "name"), NEVER_INLINE))
        assert (tmp_path / "name").read_text() == "mine"
        ours.close()
        theirs.close()

    run(main())


# -- looking into directories ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "tar", "tar file"])
def test_looking_into_a_directory(tmp_path, folder, kind):
    data = tar_of(folder)
    (tmp_path / "tar").write_bytes(data)
    held = {
        "directory": Held(local_file(str(folder), 0), True),
        "tar": Held(Inline(data), True),
        "tar file": Held(local_file(str(tmp_path / "tar")), True),
    }[kind]
    content = (folder / "sub" / "f").read_bytes()

    async def main():
        async with Peer({ONE: held, ID(1, 2): Held(Inline(b"x"))}) as connection:
            top = await get_listing(connection, ONE, "")
            assert [(one.name, one.kind, one.size, one.target) for one in top.entries] == [
                (b"l", "link", 0, b"sub/f"),
                (b"sub", "dir", 0, b""),
            ]
            assert (await get_listing(connection, ONE, "sub", 1, 1)).entries[0].name == b"f"
            assert (await get_listing(connection, ONE, "l")).size == len(content)
            for offset, length in ((0, None), (5, 10), (CHUNK_BYTES, CHUNK_BYTES + 1), (len(content) - 1, 5)):
                part, _ = await get_buffer(connection, ONE, offset, length, path="l")
                assert part == content[offset : None if length is None else offset + length]
            for id, path in ((ONE, "../x"), (ONE, "no"), (ID(1, 2), "")):
                with pytest.raises(NotInside):
                    await get_listing(connection, id, path)
                with pytest.raises(NotInside):
                    await get_buffer(connection, id, path=path)
            with pytest.raises(TransferError):
                await get_listing(connection, ID(1, 3), "")
            assert (await get_buffer(connection, ID(1, 2)))[0] == b"x"  # the connection is as before

    run(main())


def test_a_directory_that_is_gone_is_lost(tmp_path, folder):
    held = Held(local_file(str(folder), 0), True)
    folder.rename(tmp_path / "away")
    lost = []

    async def main():
        async with Peer({ONE: held}, lost.append) as connection:
            with pytest.raises(TransferError, match="cannot be opened") as caught:
                await get_listing(connection, ONE, "")
            assert caught.value.missing

    run(main())
    assert len(lost) == 1


def test_relaying_a_look(tmp_path, folder):
    held = Held(local_file(str(folder), 0), True)

    async def main():
        ours, theirs = await connected()

        async def pass_on(source):
            return await relay(source, theirs, await theirs.receive())

        async with Peer({ONE: held}) as source:
            passing = asyncio.create_task(pass_on(source))
            assert (await get_listing(ours, ONE, "")).total == 2
            assert await passing
            passing = asyncio.create_task(pass_on(source))
            with pytest.raises(NotInside, match="no 'missing' inside"):
                await get_buffer(ours, ONE, path="missing")
            assert await passing  # another holder would say the same
        ours.close()
        theirs.close()

    run(main())


# -- passing on -----------------------------------------------------------------------------------


def test_relaying(tmp_path):
    data = os.urandom(2 * CHUNK_BYTES + 1)

    async def main():
        ours, theirs = await connected()

        async def pass_on(source):
            return await relay(source, theirs, await theirs.receive())

        async with Peer({ONE: held_file(tmp_path / "stored", data)}) as source:
            passing = asyncio.create_task(pass_on(source))
            assert (await get_buffer(ours, ONE))[0] == data
            assert await passing
            await ours.send(DataGet(ID(1, 2)))
            assert not await pass_on(source)  # nothing was sent: another one may be asked
        await ours.send(DataGet(ONE))
        assert not await pass_on(source)
        async with Liar(DataHeader(3), b"a", None) as source:
            passing = asyncio.create_task(pass_on(source))
            with pytest.raises(TransferError, match="lost on the way"):
                await get_buffer(ours, ONE)
            assert await passing
        ours.close()
        theirs.close()

    run(main())


# -- fetching -------------------------------------------------------------------------------------


class Governors:
    """Several stores, of which others fetch."""

    def __init__(self, tmp_path):
        self._root = tmp_path
        self._stores = []
        self.peers = {}
        self.opened = []

    def store(self, **options):
        folder = self._root / f"governor-{len(self._stores)}"
        (folder / "memory").mkdir(parents=True)
        (folder / "disk").mkdir()
        options.setdefault("memory_bytes_max", 64 * MIB)
        self._stores.append(Store(str(folder / "disk"), memory_files=str(folder / "memory"), **options))
        return self._stores[-1]

    async def open_data(self, address):
        self.opened.append(address)
        if address not in self.peers:
            raise RainException(f"nothing listens at {address}")
        return await self.peers[address].__aenter__()

    async def close(self):
        for store in self._stores:
            store.close()


def data_of(held, *places, data_type="blob", data=None, checksum=None):
    spec, info = ObjectSpec(ONE, data_type=data_type), ObjectInfo(size=held.size)
    checksum = checksum if checksum is not None else held.location.checksum
    return ObjectData(spec, info, Replicas(list(places), checksum) if data is None else Inline(data, checksum))


def fetching(tmp_path, main):
    async def whole():
        governors = Governors(tmp_path)
        try:
            await main(governors)
        finally:
            await governors.close()

    run(whole())


def stored(store, data):
    written = store.intake().write([data])
    store.take(ONE, written)
    return store.get(ONE)


def test_fetching_links_on_the_same_host(tmp_path):
    async def main(governors):
        one, two = governors.store(), governors.store()
        held = stored(one, os.urandom(MIB))
        got, source = await fetch(data_of(held, Replica("a:1", HERE, held.location)), two, HERE, governors.open_data)
        assert got.location.inode == held.location.inode
        assert got.location.checksum == held.location.checksum
        assert governors.opened == []
        assert source == "a:1"

    fetching(tmp_path, main)


def test_fetching_copies_where_links_are_impossible(tmp_path, folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(18, "Invalid cross-device link")

    async def main(governors):
        one, two = governors.store(), governors.store()
        data = os.urandom(MIB)
        held = stored(one, data)
        monkeypatch.setattr(os, "link", refuse)
        got, _ = await fetch(data_of(held, Replica("a:1", HERE, held.location)), two, HERE, governors.open_data)
        assert got.location.inode != held.location.inode
        with open(got.location.path, "rb") as file:
            assert file.read() == data
        place = Replica("a:1", HERE, local_file(str(folder), 3 * CHUNK_BYTES))
        got, _ = await fetch(data_of(held, place, data_type="dir"), two, HERE, governors.open_data)
        assert tar_of(got.location.path) == tar_of(folder)
        with pytest.raises(RainException, match="checksum differs"):
            await fetch(data_of(held, Replica("a:1", HERE, held.location), checksum=5), two, HERE, governors.open_data)
        assert os.listdir(two.incoming) == os.listdir(two.incoming_disk) == []

    fetching(tmp_path, main)


def test_fetching_packed_directories(tmp_path, folder):
    async def main(governors):
        two = governors.store()
        held = held_file(tmp_path / "tar", tar_of(folder), checksum=False)
        place = Replica("server:1", HERE, held.location)
        got, source = await fetch(data_of(held, place, data_type="dir"), two, HERE, governors.open_data)
        assert (got.is_dir, got.size) == (True, 3 * CHUNK_BYTES)
        assert tar_of(got.location.path) == tar_of(folder)
        small = data_of(held, data_type="dir", data=tar_of(folder))
        got, none = await fetch(small, two, HERE, governors.open_data)
        assert tar_of(got.location.path) == tar_of(folder)
        assert (source, none) == ("server:1", "")

    fetching(tmp_path, main)


def test_fetching_streams_from_other_hosts(tmp_path, folder):
    async def main(governors):
        one, two = governors.store(), governors.store()
        data = os.urandom(3 * MIB + 1)
        held = stored(one, data)
        governors.peers["a:1"] = Peer({ONE: held})
        got, _ = await fetch(data_of(held, Replica("a:1", THERE, held.location)), two, HERE, governors.open_data)
        with open(got.location.path, "rb") as file:
            assert file.read() == data
        assert got.location.checksum == held.location.checksum
        assert two.check(ONE)
        directory = Held(local_file(str(folder), 0), True)
        governors.peers["a:1"] = Peer({ONE: directory})
        there = data_of(directory, Replica("a:1", THERE), data_type="dir")
        got, _ = await fetch(there, two, HERE, governors.open_data)
        assert tar_of(got.location.path) == tar_of(folder)
        assert two.get(ONE) is got

    fetching(tmp_path, main)


def test_fetching_goes_on_to_the_next_place(tmp_path):
    async def main(governors):
        one, two = governors.store(), governors.store()
        data = os.urandom(MIB)
        held = stored(one, data)
        moved = LocalFile(held.location.path, held.location.inode + 1, held.size, 1)
        wrong = held_file(tmp_path / "wrong", os.urandom(MIB))
        governors.peers["missing:1"] = Peer({})
        governors.peers["wrong:1"] = Peer({ONE: wrong})
        governors.peers["right:1"] = Peer({ONE: held})
        places = [Replica("here:1", HERE, moved)]
        places += [Replica(f"{name}:1", THERE) for name in ("down", "missing", "wrong", "right")]
        got, source = await fetch(data_of(held, *places), two, HERE, governors.open_data)
        assert got.location.checksum == held.location.checksum
        assert governors.opened == ["here:1", "down:1", "missing:1", "wrong:1", "right:1"]
        assert source == "right:1"
        with pytest.raises(RainException) as caught:
            await fetch(data_of(held, *places[:-1]), governors.store(), HERE, governors.open_data)
        text = str(caught.value)
        assert "object 1/1 could not be fetched from any of its replicas" in text
        for part in ("here:1 on this host", "nothing listens at down:1", "do not hold it", "checksum differs"):
            assert part in text
        with pytest.raises(RainException, match="there is none"):
            await fetch(data_of(held), governors.store(), HERE, governors.open_data)

    fetching(tmp_path, main)


def test_fetching_more_than_fits_into_memory_files(tmp_path):
    async def main(governors):
        one, two = governors.store(), governors.store(memory_bytes_max=MIB)
        held = stored(one, os.urandom(2 * MIB))
        governors.peers["a:1"] = Peer({ONE: held})
        got, _ = await fetch(data_of(held, Replica("a:1", THERE)), two, HERE, governors.open_data)
        assert got.location.path.startswith(two.objects_folders[1])

    fetching(tmp_path, main)


def test_a_cancelled_fetch_leaves_nothing(tmp_path):
    async def main(governors):
        two = governors.store()
        opened = asyncio.Event()
        liar = Liar(DataHeader(3 * CHUNK_BYTES), bytes(CHUNK_BYTES))

        async def open_data(address):
            connection = await liar.__aenter__()
            opened.set()
            return connection

        held = Held(LocalFile("", 0, 3 * CHUNK_BYTES, 0))
        task = asyncio.create_task(fetch(data_of(held, Replica("a:1", THERE)), two, HERE, open_data))
        await opened.wait()
        await liar._task
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(two) == 0
        assert os.listdir(two.incoming) == []
        liar.other.close()

    fetching(tmp_path, main)
