"""The ssh processes to hosts, with a stand-in for `ssh`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rain.deploy.hosts import link as link_module
from rain.deploy.hosts import links as links_module
from rain.deploy.hosts.link import Link, LinkState
from rain.deploy.hosts.links import Host, Links
from rain.deploy.hosts.ssh import Ssh, Target
from rain.host.process_table import is_alive
from tests.support.waiting import GUARD_S, at_this_load, until

HELD = """echo 'rain-hold: {"event": "held"}'"""
UP = HELD + """; echo 'rain-hold: {"event": "governor", "governor": "h:1"}'"""

Ssh_ = Callable[[str], None]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh_:
    """What `ssh` does: a line for the shell, which finds the host as ``$host``."""

    def does(line: str) -> None:
        script = tmp_path / "bin" / "ssh"
        script.parent.mkdir(exist_ok=True)
        made = script.with_name("made")
        made.write_text(
            f"#!/bin/sh\nfor host; do [ $host = -- ] && found=1 || [ ! $found ] || break; done\n"
            f"echo $$ >{tmp_path}/$host.pid\nread token\n{line}\n"
        )
        made.chmod(0o700)
        made.replace(script)

    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return does


@pytest.fixture
def links() -> Iterator[Links]:
    made = Links(Ssh(), "token")
    yield made
    made.end(0.1)
    assert not made._thread.is_alive()


@pytest.fixture
def add(links: Links, tmp_path: Path) -> Callable[[str], Host]:
    def added(name: str) -> Host:
        log = str(tmp_path / f"{name}.log")
        host = Host(Target("", name, 0), "0f" * 8, ["governor", "h:1"], log, Link(0.0, 100.0))
        links.add(host)
        return host

    return added


def pid_of(tmp_path: Path, name: str) -> int:
    file = tmp_path / f"{name}.pid"
    until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_an_ssh_that_does_not_end_when_it_is_told_to_is_killed(
    ssh: Ssh_, links: Links, add: Callable[[str], Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "HOST_START_S", at_this_load(0.3))
    monkeypatch.setattr(links_module, "_GONE_S", 0.1)
    ssh("trap '' TERM; while :; do read never <&1; done")
    host = add("n1")
    stuck = pid_of(tmp_path, "n1")
    assert links.wait(lambda: host.link.state is LinkState.ENDED, GUARD_S)
    until(lambda: not is_alive(stuck))
    assert links.wait(lambda: host.process is None, GUARD_S)


def test_a_host_for_which_there_is_no_descriptor_left_ends_and_the_others_go_on(
    ssh: Ssh_, links: Links, add: Callable[[str], Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh(f"{UP}; read word")
    opened = os.pidfd_open

    def none_left(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    host = add("n1")
    assert links.wait(lambda: host.link.state is LinkState.ENDED, GUARD_S)
    assert "Too many open files" in host.link.why
    assert host.process is None
    monkeypatch.setattr(os, "pidfd_open", opened)
    other = add("n2")
    assert links.wait(lambda: other.link.state is LinkState.UP, GUARD_S)


def test_what_one_host_prints_does_not_stop_the_others(ssh: Ssh_, links: Links, add: Callable[[str], Host]) -> None:
    ssh(f"""{HELD}; [ $host = n2 ] || echo 'rain-hold: {{"event": "ended", "status": "x"}}'; {UP}; read word""")
    wrong = add("n1")
    assert links.wait(lambda: "ValueError" in wrong.link.why, GUARD_S)
    other = add("n2")
    assert links.wait(lambda: other.link.state is LinkState.UP, GUARD_S)


def test_nothing_stays_open_and_what_has_ended_may_be_asked_again(ssh: Ssh_, tmp_path: Path) -> None:
    ssh(f"{UP}; read word")
    before = sorted(os.listdir("/proc/self/fd"))
    made = Links(Ssh(), "token")
    host = Host(Target("", "n1", 0), "0f" * 8, ["governor", "h:1"], str(tmp_path / "log"), Link(0.0, 100.0))
    made.add(host)
    assert made.wait(lambda: host.link.state is LinkState.UP, GUARD_S)
    made.end(GUARD_S)
    assert threading.active_count() == 1 or not made._thread.is_alive()
    made.give_up([host])
    made.end(0.0)
    assert sorted(os.listdir("/proc/self/fd")) == before
