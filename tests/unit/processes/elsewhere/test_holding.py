"""The relay between ssh and the holder of a governor."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.waiting import GUARD_S

_RELAY = """
import socket, sys
from rain.processes.elsewhere import holding

here, there = socket.socketpair()

def start(name, governor, token, entry):
    print("started", token.decode(), flush=True)
    return sys.argv[1], here

holding._find = lambda name: None
holding._start = start
tell = holding._Relay._tell
there.settimeout(20)

class Relay(holding._Relay):
    def run(self, *early):
        there.sendall(b'{"event": "ended", "status": 0}\\n')
        status = super().run(*early)
        here.shutdown(socket.SHUT_WR)
        data = b""
        while more := there.recv(100):
            data += more
        print("heard", data, flush=True)
        return status

holding._Relay = Relay
sys.exit(holding.main(["0123456789ab", "governor", "h:1"], "none:none"))
"""


def _relay(tmp_path: object, given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", _RELAY, str(tmp_path)], input=given, capture_output=True, timeout=GUARD_S, check=False
    )


@pytest.mark.parametrize("early", [b"end\n", b"leave\n", b"leave\nend\n", b"e"])
def test_a_word_that_came_before_the_governor_was_started_is_whole(tmp_path: object, early: bytes) -> None:
    done = _relay(tmp_path, b"token\n" + early)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "started token", done.stderr.decode()
    assert json.loads(lines[1].removeprefix("rain-hold: "))["event"] == "held"
    assert lines[-1] == f"heard {early!r}"


def test_nothing_is_started_for_a_connection_that_is_gone(tmp_path: object) -> None:
    done = _relay(tmp_path, b"token\n")
    assert (done.returncode, done.stdout) == (1, b"")
