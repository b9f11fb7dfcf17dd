"""What `rain doctor` makes of what it sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rain.deploy.checkup import machine, servers
from rain.deploy.checkup.finding import Level
from rain.deploy.checkup.python_parts import Need, is_older, library_findings, needs


@pytest.mark.parametrize(
    ("version", "bound", "older"),
    [
        ("6.5.5", "6.5.5", False),
        ("6.5", "6.5.0", False),
        ("6.10", "6.9", False),
        ("5.9.9", "6", True),
        ("2.0rc1", "2.0", False),
        ("1.9+cpu", "2", True),
    ],
)
def test_versions_are_compared_by_numbers(version: str, bound: str, older: bool) -> None:
    assert is_older(version, bound) is older


def test_requirements_are_read() -> None:
    read = needs(["a-b>=1.2", "c[x,y]>=3 ; extra == 'test'", "d", 'e>=1.0,<2; extra == "arrow"'])
    assert read == [Need("a-b", "1.2", ""), Need("c", "3", "test"), Need("d", "0", ""), Need("e", "1.0", "arrow")]


def test_a_missing_library_is_a_failure_and_a_missing_extra_is_not() -> None:
    wanted = [
        Need("tornado", "6.5", ""),
        Need("msgspec", "0.20", ""),
        Need("numpy", "2.0", "arrow"),
        Need("ruff", "1", "test"),
    ]
    lines = {line.what: line for line in library_findings(wanted, {"msgspec": "0.19"})}
    assert lines["libraries"].level is Level.FAILURE
    assert lines["libraries"].found == "tornado is missing, msgspec 0.19 (below 0.20)"
    assert lines["libraries"].cure
    assert lines["rain[arrow]"].level is Level.OK
    assert "pip install 'rain[arrow]'" in lines["rain[arrow]"].found
    assert next(library_findings(wanted[:1], {"tornado": "6.5"})).found == "tornado 6.5"
    old = {line.what: line for line in library_findings(wanted, {"tornado": "7", "msgspec": "1", "numpy": "1.26"})}
    assert old["rain[arrow]"].level is Level.WARNING


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (only,) = machine.disk(str(tmp_path / "nowhere"))
    assert only.level is Level.FAILURE
    assert "TMPDIR" in only.cure
    levels = [line.level for line in machine.disk(str(tmp_path))]
    assert Level.FAILURE not in levels
    assert list(tmp_path.iterdir()) == []


def test_little_shared_memory_is_a_warning(tmp_path: Path) -> None:
    assert machine.shared_memory(str(tmp_path), 1).level is Level.OK
    assert machine.shared_memory(str(tmp_path), 1 << 60).level is Level.WARNING
    assert machine.shared_memory(str(tmp_path / "nowhere"), 1).level is Level.WARNING


def test_limits() -> None:
    assert [line.level for line in machine.limits((256, 512), (100, 100))] == [Level.WARNING, Level.WARNING]
    assert [line.level for line in machine.limits((1024, -1), (-1, -1))] == [Level.OK]
    (line,) = machine.mappings(1 << 30, 2)
    assert "ulimit -d is 1.0 GiB and vm.overcommit_memory is 2" in line.found
    assert not list(machine.mappings(-1, 0))


def test_inputs_that_are_not_protected_are_told() -> None:
    assert machine.protection(True, False, False).level is Level.OK
    assert machine.protection(False, True, False).level is Level.OK
    assert machine.protection(False, False, False).level is Level.WARNING


def test_a_connection_file_of_a_dead_server_is_a_warning(tmp_path: Path) -> None:
    assert [line.found for line in servers.keys(tmp_path)] == ["none of this user's runs here"]
    path = tmp_path / "7210.json"
    path.write_text('{"version": "0", "address": "127.0.0.1:7210", "http": "", "pid": 4194305, "keys": {}}')
    os.chmod(path, 0o600)
    os.chmod(tmp_path, 0o700)
    lines = list(servers.keys(tmp_path))
    assert (lines[0].what, lines[0].level) == ("servers", Level.WARNING)
    assert str(path) in lines[0].cure
