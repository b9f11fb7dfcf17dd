"""What is said of a process's death is what was looked up, not what was guessed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rain.host.deaths import Death, OomKills, describe_exit, what_is_known


class Machine:
    """Control groups and kernel counts as files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "sys" / "fs" / "cgroup"
        self.own, self.vmstat = folder / "proc" / "self" / "cgroup", folder / "proc" / "vmstat"
        self.root.mkdir(parents=True)
        self.own.parent.mkdir(parents=True)
        self.own.write_text("")
        self.vmstat.write_text("nr_free_pages 1\noom_kill 7\n")

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def kills(self) -> OomKills:
        return OomKills(str(self.folder))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("own", "path", "text"),
    [
        ("0::/a/b\n", "a/b/memory.events", "low 0\noom 3\noom_kill {}\noom_group_kill 9\n"),
        ("0::/\n", "memory.events", "oom_kill {}\n"),
        ("4:memory:/x\n0::/\n", "memory/x/memory.oom_control", "under_oom 0\noom_kill {}\n"),
        ("0::/outside/the/container\n", "memory.events", "oom_kill {}\n"),
        ("4:memory:/outside/the/container\n0::/\n", "memory/memory.oom_control", "oom_kill {}\n"),
    ],
)
def test_the_count_is_that_of_the_own_control_group(machine: Machine, own: str, path: str, text: str) -> None:
    machine.own.write_text(own)
    machine.put(path, text.format(2))
    kills = machine.kills()
    assert kills.path == str(machine.root / path)
    assert (kills.of_machine, kills.count(), kills.since()) == (False, 2, 0)
    machine.put(path, text.format(5))
    assert kills.since() == 3
    kills.look()
    assert kills.since() == 3, "a look in the same moment must not hide it"
    kills.look()
    assert kills.since() == 0
    machine.put(path, text.format(6))
    kills.mark()
    assert kills.since() == 0


def test_where_there_are_no_control_groups_the_machine_counts(machine: Machine) -> None:
    kills = machine.kills()
    assert (kills.of_machine, kills.count()) == (True, 7)
    machine.vmstat.unlink()
    assert kills.since() is None
    nothing = machine.kills()
    assert (nothing.path, nothing.of_machine, nothing.since()) == ("", False, None)
    nothing.look()


def test_this_machine_is_read_without_an_error() -> None:
    kills = OomKills()
    kills.look()
    assert kills.since() in (0, None) or kills.since() is not None


@pytest.mark.parametrize(
    ("death", "said", "not_said"),
    [
        (Death(signal.SIGSEGV), "", "memory"),
        (Death(3 << 8), "", "memory"),
        (Death(9, "it ran too long"), "Rain sent this signal, because it ran too long", "memory"),
        (Death(9, "it ran too long", 5), "Rain sent this signal", "memory"),
        (Death(9, "", None), "probably out of memory; this machine does not tell", "somebody"),
        (Death(9, "", 0), "another process did", "probably"),
        (Death(9, "", 2), "out of memory: the kernel killed 2 processes of its control group", "probably"),
        (Death(9, "", 1, True), "probably out of memory: the kernel killed 1 process on this machine", "group"),
        (Death(9, "", 1, peak_bytes=3 << 20), "Its peak was 3.0 MiB", "probably"),
        (Death(9, "", 1, since="12:00:00"), "It was probably out of memory: the kernel killed 1", "somebody"),
    ],
)
def test_what_is_known_is_said(death: Death, said: str, not_said: str) -> None:
    text = what_is_known(death)
    assert said in text
    assert not_said not in text


def test_how_it_ended_is_said_in_words() -> None:
    assert describe_exit(0) == "exited with status 0"
    assert describe_exit(9) == "was killed by signal SIGKILL (Killed)"
    assert "memory" not in describe_exit(9), "nothing was looked up yet"
