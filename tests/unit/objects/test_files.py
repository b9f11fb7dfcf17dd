"""A full disk, a used up quota and a file that reached its limit are three things."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

from rain.objects.files import disk_full, is_full, no_room

WRITER = """
import resource, sys
from rain.common.errors import ResourceError
from rain.objects.sink import Sink
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    Sink(sys.argv[1], spill_path=sys.argv[1] + "-spilled").write_all([bytes(300_000)])
except ResourceError as error:
    print(error)
"""


def test_a_file_at_its_limit_is_no_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", WRITER, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        f"{path} cannot grow any more: the limit of a file's size, RLIMIT_FSIZE (ulimit -f), is"
    )
    assert "100000 bytes here" in done.stdout
    assert "space" not in done.stdout
    assert os.listdir(tmp_path) == [], "it is not written elsewhere either, as the limit is the same there"


def test_each_reason_has_its_text(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    full = no_room(OSError(errno.ENOSPC, "x"), path, 12)
    assert f"no space left to write {path} (12 bytes)" in str(full)
    assert "bytes are free there" in str(full)
    assert "the disk quota is used up" in str(no_room(OSError(errno.EDQUOT, "x"), path))
    large = str(no_room(OSError(errno.EFBIG, "x"), path))
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    assert ("unlimited" if most == resource.RLIM_INFINITY else f"{most} bytes") in large
    assert no_room(OSError(errno.EACCES, "x"), path) is None
    assert not is_full(OSError(errno.EFBIG, "x"))
    assert "its free space is unknown" in str(disk_full("/no/such/folder/file"))
