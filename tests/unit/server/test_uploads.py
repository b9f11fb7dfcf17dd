"""Files of large constants are taken over whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Upload
from rain.objects.sink import FullMark
from rain.server.uploads import ConstantFiles

NAME = "upload-0001"


@pytest.fixture
def files(tmp_path: Path) -> ConstantFiles:
    return ConstantFiles(str(tmp_path / "constants"))


def put(files: ConstantFiles, data: bytes = b"data") -> Path:
    path = Path(f"{files.incoming}/{NAME}")
    path.write_bytes(data)
    return path


def test_a_claimed_file_is_the_servers_and_read_only(files: ConstantFiles) -> None:
    path = put(files)
    found = files.claim(ID(1, 2), Upload(NAME, 4))
    assert not path.exists()
    assert Path(found.path).read_bytes() == b"data"
    assert stat.S_IMODE(os.stat(found.path).st_mode) == 0o400
    assert (found.size, found.inode) == (4, os.stat(found.path).st_ino)
    files.discard([NAME])
    assert not os.path.exists(found.path)


def test_another_size_than_announced(files: ConstantFiles) -> None:
    put(files)
    with pytest.raises(RainException, match="announced with 5 bytes and arrived with 4"):
        files.claim(ID(1, 2), Upload(NAME, 5))


def test_a_link_is_not_taken(files: ConstantFiles, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("data")
    os.symlink(secret, f"{files.incoming}/{NAME}")
    with pytest.raises(RainException, match="arrived with"):
        files.claim(ID(1, 2), Upload(NAME, 4))
    assert secret.read_text() == "data"


def test_nothing_arrived(files: ConstantFiles) -> None:
    with pytest.raises(RainException, match="constant 1/2 did not arrive"):
        files.claim(ID(1, 2), Upload(NAME, 4))


@pytest.mark.parametrize("name", ["", "short", "../../etc/passwd", "with/slash", "x" * 81, "nul\0nul\0nul"])
def test_names_that_are_no_names(files: ConstantFiles, name: str) -> None:
    with pytest.raises(RainException, match="not the name of an upload"):
        files.sink(name)


def test_discarding_what_was_never_claimed(files: ConstantFiles) -> None:
    path = put(files)
    files.discard([NAME, "upload-0002"])
    assert not path.exists()


def test_what_is_too_much_for_memory_is_on_disk(tmp_path: Path) -> None:
    files = ConstantFiles(str(tmp_path / "memory"), str(tmp_path / "disk"), bytes_max=6)

    def claimed(name: str) -> Path:
        with files.sink(name) as sink:
            sink.write(b"data")
            sink.finish()
        return Path(files.claim(ID(1, 2), Upload(name, 4)).path)

    first, second, third = claimed("upload-1"), claimed("upload-2"), claimed("upload-3")
    assert [path.parents[1].name for path in (first, second, third)] == ["memory", "memory", "disk"]
    assert FullMark.is_in(files.incoming)
    assert third.read_bytes() == b"data"
    files.discard(["upload-1", "upload-3"])
    assert not FullMark.is_in(files.incoming)
    assert claimed("upload-4").parents[1].name == "memory"
    assert not third.exists()
    files.close()
    assert os.listdir(tmp_path) == []
