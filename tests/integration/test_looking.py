"""Looking at parts of objects that lie on another host."""

import contextlib
import socket
import threading

import pytest

from rain import Client, OutputDir, RainException, blob, remote, tasks
from rain.client.data import directory
from rain.objects.readers import Entry, NotInside, RemoteReader

pytestmark = pytest.mark.usefixtures("marked")


@pytest.fixture
def client(marked):
    with Client.local(cpus=1) as client:
        client._connection.link.welcome.host_id = "another host"  # so that no file of this one is used
        yield client


def test_parts_of_large_objects(client):
    with client.new_session("looking") as session:
        data = bytes(range(256)) * 1000
        made = tasks.Concat([blob(data), blob(b"end")])
        made.output.keep()
        session.submit()
        session.wait_all()
        source = session._peek(made.output).reader
        assert isinstance(source, RemoteReader)
        assert source.size == len(data) + 3
        assert source.read(len(data), 10) == b"end"
        assert source.read(256, 4) == b"\0\1\2\3"


def test_directories(client, tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "f").write_bytes(b"0123456789" * 20_000)
    (tmp_path / "tree" / "l").symlink_to("sub/f")

    @remote(outputs=OutputDir("made"))
    def make(ctx):
        import os

        os.mkdir("made")
        with open("made/f", "wb") as target:
            target.write(b"0123456789" * 20_000)
        return ctx.stage_directory("made")

    with client.new_session("looking") as session:
        small_tree = tmp_path / "small"
        small_tree.mkdir()
        (small_tree / "f").write_bytes(b"0123456789")
        constant, small = directory(str(tmp_path / "tree")), directory(str(small_tree))
        made = make()
        for item in (constant, small, made.output):
            item.keep()
        session.submit()
        session.wait_all()

        source = session._peek(constant).reader
        assert source.entries() == ([Entry("l", "link", 0, "sub/f"), Entry("sub", "dir")], 2)
        assert source.file("l").read(199_995) == b"56789"
        source = session._peek(made.output).reader
        assert isinstance(source, RemoteReader)
        assert source.entries() == ([Entry("f", "file", 200_000)], 1)
        assert source.file("f").read(100_001, 3) == b"123"
        with pytest.raises(NotInside, match="leads outside"):
            source.file("../f")
        source = session._peek(small).reader
        assert source.file("f").read(8) == b"89"
        assert made.output.fetch().reader.file("f").size == 200_000


def test_what_cannot_be_looked_at(client):
    with client.new_session("looking") as session:
        first = tasks.Concat([blob("a")])
        second = tasks.Concat([first, blob("b")])
        with pytest.raises(RainException, match="not submitted"):
            session._peek(first.output)
        session.submit()
        session.wait_all()
        second.update()
        first.output.update()
        with pytest.raises(RainException, match="cannot be looked at"):
            session._peek(first.output)


@pytest.fixture
def forwarded(marked):
    """A client that reaches its server through another port only, as through a tunnel."""
    with Client.local(cpus=1) as near, socket.create_server(("127.0.0.1", 0)) as listener:
        host, _, port = near.address.rpartition(":")

        def forward():
            with contextlib.suppress(OSError):
                while True:
                    inner, _ = listener.accept()
                    outer = socket.create_connection((host, int(port)))
                    for ends in ((inner, outer), (outer, inner)):
                        threading.Thread(target=pump, args=ends, daemon=True).start()

        threading.Thread(target=forward, daemon=True).start()
        file = near._cluster.connection_file
        with Client("127.0.0.1", listener.getsockname()[1], connection_file=file) as client:
            welcome = client._connection.link.welcome
            welcome.host_id, welcome.data = "another host", "127.0.0.1:9"
            client._connection.room = None
            yield client


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_large_constants_take_the_way_by_which_the_server_is_reached(forwarded):
    with forwarded.new_session("tunnel") as session:
        data = bytes(range(256)) * 1000
        made = tasks.Concat([blob(data), blob(b"end")])
        assert session.run(made) == data + b"end"
