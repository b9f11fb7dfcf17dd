"""A full disk at what a cluster writes, and a death meanwhile: it is named, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain import Client, RainException, Session, Task, TaskException, blob, remote, tasks
from rain.deploy import restart
from rain.deploy.start import StartOptions
from rain.host.process_table import parents
from rain.processes import connection_files
from tests.integration.test_governor_return import made
from tests.integration.test_return import Waiting, counted, executions, options, patient, running  # noqa: F401
from tests.support.processes import Marked
from tests.support.waiting import until

pytestmark = [
    pytest.mark.needs("mount"),
    pytest.mark.filterwarnings("ignore:the server at .* has not answered"),
]
MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk, on which the cluster has all that it writes."""
    (folder := tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@remote(auto_encode="pickle")
def sized(ctx: Any, size: int) -> Any:
    return bytes(size)


@remote(auto_encode="pickle")
def writes(ctx: Any, size: int) -> Any:
    with open("scratch", "wb") as file:
        file.write(bytes(size))
    return size


def fill(disk: Path) -> Path:
    """A file that leaves a little more than the journal wants for what is under way; it looks once a MiB."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(room.f_bavail * room.f_frsize - 2200 * 1024))
    return filler


def test_each_writer_names_it_and_nothing_is_lost(
    marked: Marked,
    disk: Path,
    options: StartOptions,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The journal refuses, server and governor die meanwhile, all that had finished is there, and goes on when there is
    room; a result and a file of a task that find none say so."""
    work = tmp_path / "work"
    options.journal, options.workdir, options.logdir = str(disk / "journal"), str(disk), str(disk / "logs")
    options.store_memory = "1"
    with running(options) as started, Client(started.address) as client, client.new_session("full") as session:
        small = [counted(str(work), number) for number in range(20)]
        kept = sized(2 * MIB)
        for task in (*small, kept):
            task.output.keep()
        session.submit()
        for task in (*small, kept):
            task.wait()
        file = connection_files.read(started.file)
        filler = fill(disk)
        with pytest.raises(RainException, match=str(disk / "journal")):
            for _ in range(200):
                tasks.Concat([blob(os.urandom(30_000))])
                session.submit()
        os.kill(file.pid, signal.SIGKILL)
        until(lambda: connection_files.read(started.file).pid != file.pid)
        assert [task.output.fetch().load() for task in small] == [number**2 for number in range(20)]
        [governor] = of(file, "governor")
        os.kill(governor, signal.SIGKILL)
        filler.unlink()
        assert kept.output.fetch().load() == bytes(2 * MIB)
        until(lambda: taken(session, work)).wait()
        for task in (sized(100 * MIB), writes(100 * MIB)):
            task.output.keep()
            session.submit()
            with pytest.raises(TaskException, match=r"(?i)no space left"):
                task.wait()
        assert [task.output.fetch().load() for task in small] == [number**2 for number in range(20)]
        assert kept.output.fetch().load() == bytes(2 * MIB)
        assert executions(work) == {str(number): 1 for number in range(21)}


def fill_all(disk: Path) -> Path:
    """A file that leaves not a byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(disk).f_bavail == 0
    return filler


def test_not_a_byte_is_left(
    marked: Marked,
    disk: Path,
    options: StartOptions,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Journal, event log, all logs, uploads, the store and its index, connection file: what cannot be written is named;
    server and governor, killed meanwhile, come back with everything as soon as there is room."""
    work = tmp_path / "work"
    (disk / "run").mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(disk / "run"))
    options.journal, options.workdir, options.logdir = str(disk / "journal"), str(disk), str(disk / "logs")
    options.store_memory, options.durable = "1", True  # uploads are on the disk too
    with running(options) as started, Client(started.address) as client, client.new_session("full") as session:
        done = [counted(str(work), number) for number in range(20)]
        kept = [made(str(work), number) for number in range(3)]
        for task in (*done, *kept):
            task.output.keep()
        session.submit()
        for task in (*done, *kept):
            task.wait()
        long = patient(str(work))
        long.output.keep()
        session.submit()
        until(lambda: executions(work)["patient"] == 1)
        file = connection_files.read(started.file)
        filler = fill_all(disk)
        with pytest.raises(RainException, match=r"(?i)no space left|no room"):  # an upload
            tasks.Concat([blob(os.urandom(MIB))])
            session.submit()
        with pytest.raises(RainException, match=r"journal.* cannot be written: No space left"):
            restart.restart((Path(started.file), file), only_check=True)
        [server], [governor] = of(file, "server"), of(file, "governor")
        os.kill(server, signal.SIGKILL)
        waits = Waiting(client.sessions)
        until(lambda: of(file, "server") not in ([], [server]), "another one tries to come")
        os.kill(governor, signal.SIGKILL)
        until(lambda: of(file, "governor") not in ([], [governor]), "another one tries to come")
        filler.unlink()
        assert [found.name for found in waits.result()] == ["full"]
        for number, task in enumerate(kept):
            assert task.output.fetch().load() == bytes([number]) * MIB
        assert [task.output.fetch().load() for task in done] == [number**2 for number in range(20)]
        (work / "go").touch()
        long.wait()
        until(lambda: taken(session, work)).wait()
        ran = executions(work)
        assert ran.pop("patient") == 2, "it was lost with its governor"
        assert ran == {str(number): 1 for number in range(21)} | {f"made{number}": 1 for number in range(3)}
        assert connection_files.read(started.file).guardian == file.guardian, "it lost lines of its log, and lives"


def of(file: connection_files.ConnectionFile, name: str) -> list[int]:
    """The processes of that name which a guardian has."""
    found = []
    for pid in [pid for pid, parent in parents().items() if parent == file.guardian]:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == f"rain-{name}\n":
                found.append(pid)
    return found


def taken(session: Session, work: Path) -> Task | None:
    """A new task, if the server takes it: it looks for room a few times a second."""
    task = counted(str(work), 20)
    try:
        session.submit()
    except RainException as error:
        if "has no room" not in str(error):
            raise
        return None
    return task
