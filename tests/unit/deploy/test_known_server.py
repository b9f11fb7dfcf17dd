"""Which server is meant by a command that names none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy.start import StartOptions, known_server, start
from rain.net.auth import Credentials
from rain.processes import connection_files


@pytest.fixture(autouse=True)
def _private_runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)


def announce(port: int, pid: int) -> None:
    address = f"127.0.0.1:{port}"
    connection_files.write(connection_files.describe_server(address, Credentials.generate(), pid=pid))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_files_of_dead_servers_are_no_choice() -> None:
    announce(7001, dead_pid())
    announce(7002, os.getpid())
    announce(7003, dead_pid())
    assert known_server(None)[1].address == "127.0.0.1:7002"
    assert known_server("7001")[1].address == "127.0.0.1:7001"


def test_several_living_ones_have_to_be_named() -> None:
    announce(7001, os.getpid())
    announce(7002, os.getpid())
    with pytest.raises(RainException, match=r"name one of 127\.0\.0\.1:7001, 127\.0\.0\.1:7002"):
        known_server(None)


def test_none() -> None:
    with pytest.raises(RainException, match="no server"):
        known_server(None)


def test_a_start_that_fails_leaves_no_connection_file(tmp_path: Path) -> None:
    options = StartOptions(cpus=["1"], listen="127.0.0.1:0", http_listen="127.0.0.1:0", runprefix="nice 'x")
    with pytest.raises(RainException, match='--runprefix "nice \'x" is no command: No closing quotation'):
        start(options)
    options.runprefix = "/no/such/prefix"
    with pytest.raises(RainException, match="/no/such/prefix"):
        start(options)
    assert connection_files.find_all() == []
