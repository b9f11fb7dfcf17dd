"""`rain hosts` under a guardian, with a stand-in for `ssh`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy import start
from rain.deploy.hosts.guarded import Became, Plan, Planned, _told, _write, read_became, write_plan
from rain.deploy.hosts.link import LinkState
from tests.support.waiting import GUARD_S, until

_MAIN = """
import sys
from rain.deploy.hosts import guarded, link
guarded._SETTLED_S = 0.5
link._PAUSE_S = 0.1
sys.exit(guarded.main(sys.argv[1:]))
"""


@contextmanager
def _running(tmp_path: Path, ssh: str) -> Iterator[str]:
    """`rain hosts` for one host n1; yields the plan's path when it is ready."""
    script = tmp_path / "ssh"
    script.write_text(f"#!/bin/sh\nread token\n{ssh}\n")
    script.chmod(0o700)
    plan, ready = str(tmp_path / "plan.json"), tmp_path / "ready"
    options = {"port": 0, "key": "", "jump": "", "arguments": [], "connect_s": 1.0}
    write_plan(plan, Plan([Planned("n1", "0f" * 8, ["governor", "h:1"], "n1.log")], options, "", "", []))
    lifeline, hold = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, plan, "--ready-file", str(ready), "--lifeline", str(lifeline)],
        stdin=subprocess.PIPE, pass_fds=[lifeline], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    os.close(lifeline)
    try:
        assert process.stdin is not None
        process.stdin.write(b"token\n")
        process.stdin.close()
        until(ready.exists)
        yield plan
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(hold)


def test_a_host_that_cannot_be_reached_at_a_restart_is_not_given_up(tmp_path: Path) -> None:
    _write(_told(str(tmp_path / "plan.json")), [list(Became("n1", LinkState.UP.value, "h:1", "", ""))])
    with _running(tmp_path, "echo 'ssh: connect to host n1 port 22: No route to host' >&2; exit 255") as plan:
        until(lambda: "no way from here" in read_became(plan)[0].why)
        assert read_became(plan)[0][:3] == ("n1", LinkState.LOST.value, "h:1")


def test_a_host_that_is_lost_again_and_again_while_it_starts_keeps_up_no_other(tmp_path: Path) -> None:
    with _running(tmp_path, """echo 'rain-hold: {"event": "held"}'; exit 255""") as plan:
        became = read_became(plan)[0]
        assert became.state in {LinkState.LOST.value, LinkState.STARTING.value}
        [failed] = start._failed(plan, str(tmp_path), every=False, others=True)
        assert failed.host == "n1"
        assert failed.why.endswith("it is tried further")
        with pytest.raises(RainException, match=r"the governor on n1 could not start: .*tried further"):
            start._failed(plan, str(tmp_path), every=True, others=True)


def test_what_is_broken_on_disk_is_no_account(tmp_path: Path) -> None:
    for text in ("", "[[1]]", "{", "7"):
        (tmp_path / "plan.told").write_text(text)
        assert read_became(str(tmp_path / "plan")) == []
