"""Looking at parts of objects that lie on another host."""

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
