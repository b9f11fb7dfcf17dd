"""Which server `rain stop` means when it is told none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy.stop import WhichServer, find, meant, stop, to_stop
from rain.host.process_table import start_time
from rain.net.auth import Credentials
from rain.processes import connection_files
from rain.server.journal.files import has_journal
from rain.server.journal.journal import Journal
from tests.unit.deploy.test_known_server import dead_pid


@pytest.fixture(autouse=True)
def _private_runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)


def announce(port: int, guardian: int, folder: str = "", started: str = "") -> None:
    file = connection_files.describe_server(f"127.0.0.1:{port}", Credentials.generate(), pid=guardian, folder=folder)
    file.guardian, file.guardian_start = guardian, started or start_time(guardian)
    connection_files.write(file)


def ports(servers: list[tuple[Path, connection_files.ConnectionFile]]) -> list[str]:
    return [file.address.rpartition(":")[2] for _, file in servers]


def test_the_only_one_from_this_folder_is_meant() -> None:
    announce(7001, os.getpid(), "/project")
    announce(7002, dead_pid(), "/other")
    announce(7003, os.getpid(), "/other", started="1")  # another process has the guardian's number by now
    assert ports([meant(to_stop(), "/project")]) == ["7001"]


@pytest.mark.parametrize("folder", ["/elsewhere", "/project/below", ""])
def test_one_from_another_folder_is_not(folder: str) -> None:
    announce(7001, os.getpid(), "/project")
    with pytest.raises(WhichServer, match=r"not started from this folder: 127\.0\.0\.1:7001 .*/project.*--all"):
        meant(to_stop(), folder)


def test_one_from_an_unknown_folder_is_not() -> None:
    announce(7001, os.getpid())
    with pytest.raises(WhichServer, match="an unknown folder"):
        meant(to_stop(), "")


def test_several_have_to_be_chosen_from() -> None:
    announce(7001, os.getpid(), "/project")
    announce(7002, os.getpid(), "/other")
    with pytest.raises(WhichServer, match=r"several servers: 127\.0\.0\.1:7001 .*127\.0\.0\.1:7002 .*--all") as raised:
        meant(to_stop(), "/project")
    assert ports(raised.value.servers) == ["7001", "7002"]


def test_what_the_dead_left_can_still_be_tidied() -> None:
    announce(7001, dead_pid(), "/project", started="1")
    with pytest.raises(RainException, match="gone already"):
        stop(meant(to_stop(), "/project"))
    assert connection_files.find_all() == []


def test_servers_that_were_started_alone_are_none_of_these() -> None:
    with pytest.raises(RainException, match="no server of this user"):
        to_stop()
    connection_files.write(connection_files.describe_server("127.0.0.1:7001", Credentials.generate(), pid=os.getpid()))
    with pytest.raises(RainException, match="no server that `rain start` started"):
        to_stop()
    with pytest.raises(RainException, match=f"kill {os.getpid()}"):
        find("7001")


def test_a_journal_that_another_server_goes_on_with_stays(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, fingerprint="own")
    list(journal.records())
    journal.add(1, b"kept")
    assert journal.commit()
    file = connection_files.describe_server("127.0.0.1:7001", Credentials.generate(), pid=1, journal=str(folder))
    file.guardian, file.guardian_start = dead_pid(), "1"
    known = connection_files.write(file), file
    with pytest.raises(RainException, match="was gone already"):
        stop(known)
    assert has_journal(str(folder))
    journal.close()
    with pytest.raises(RainException, match="was gone already"):
        stop(known)
    assert not folder.exists()
