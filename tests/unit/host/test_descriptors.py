"""The limits on open files: whose is raised, who gets the original one, and who names it."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from rain.common.errors import ResourceError
from rain.host import descriptors


def python(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


_TAKEN = """
import os, resource, select, sys
from rain.objects.files import local_file, open_checked
from rain.objects.sink import Sink
from rain.objects.memory import map_fd
from rain.host.descriptors import opened

def take(soft, hard):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return taken

ref = local_file(sys.argv[1])
"""


def test_a_file_is_opened_above_the_soft_limit_for_a_moment(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\7" * 100_000)
    code = """
take(64, 4096)
for _ in range(3):
    fd = open_checked(ref)
    view = map_fd(fd, ref.size, writable=True)
    os.close(fd)
    print(fd, view[0], resource.getrlimit(resource.RLIMIT_NOFILE))
Sink(sys.argv[1] + "-new").write_all([b"1" * 100_000])
try:
    os.open("/dev/null", os.O_RDONLY)
except OSError as error:
    print(error.strerror)
"""
    assert python(_TAKEN + code, str(path))[:4] == ["64 7 (64, 4096)"] * 3 + ["Too many open files"]
    assert (tmp_path / "file-new").stat().st_size == 100_000


def test_the_hard_limit_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\7" * 100_000)
    code = """
taken = take(64, 64)
for attempt in (lambda: open_checked(ref), lambda: Sink(sys.argv[1] + "-new").write_all([b"1" * 100_000])):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__, error)
"""
    opening, writing, _ = python(_TAKEN + code, str(path))
    assert opening.startswith(f"ResourceError {path} cannot be opened: this process has as many open files as it may")
    assert "(RLIMIT_NOFILE, at most 64)" in opening
    assert writing.startswith(f"ResourceError {path}-new cannot be made: ")
    error = descriptors.out_of_descriptors("x", OSError(errno.ENFILE, ""))
    assert isinstance(error, ResourceError)
    assert "fs.file-max" in str(error)


def test_what_is_started_gets_the_original_limit():
    code = """
import resource, subprocess
from rain.host import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
command = ["sh", "-c", 'ulimit -Sn; echo "$@"', "sh", "a b", "c"]
assert descriptors.with_original_limit(command) == command and descriptors.original_limit() == 100
descriptors.raise_limit()
descriptors.raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE), descriptors.original_limit(), flush=True)
subprocess.run(descriptors.with_original_limit(command), check=True)
descriptors.restore_limit(descriptors.original_limit())
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert python(code)[:4] == ["(200, 200) 100", "100", "a b c", "(100, 200)"]


def test_other_errors_are_not_touched(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(FileNotFoundError):
        descriptors.opened(os.open, tmp_path / "nothing", os.O_RDONLY)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
