"""A governor that a process of another framework holds: how it begins, what is known of it, and its end."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from rain import Client
from rain.common.errors import RainException
from rain.deploy.frameworks.held import HeldGovernor, first_gpus
from rain.deploy.frameworks.supplier import check_counts, check_words
from rain.host.process_table import is_alive
from rain.net.auth import Credentials
from rain.net.sealing import sealed
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S, until


def begun(held: HeldGovernor, client: Client) -> None:
    credentials = client._connection.link.credentials
    held.begin(sealed(credentials.token("governor"), held.public), client.address, ["--cpus", "1"])


def test_it_registers_leaves_and_is_known_to_have_left() -> None:
    with Client.local(governors=0) as client:
        held = HeldGovernor()
        assert held.state() == (False, "", "", "")
        begun(held, client)
        client.wait_for_governors(1, timeout=GUARD_S)
        until(lambda: re.fullmatch(r"127.0.0.1:\d+", held.state().governor), "it says who it is")
        assert not held.is_over
        held.end(within_s=60)
        held.end(within_s=0)
        assert held.state()[:2] == (True, "LEFT")
        assert "leaving" in held.state().printed
        assert held.is_over


def test_it_ends_with_the_process_that_holds_it(marked: Marked) -> None:
    with Client.local(governors=0) as client:
        token = client._connection.link.credentials.token("governor")
        script = (
            "import sys, time\n"
            "from rain.deploy.frameworks.held import HeldGovernor\n"
            "from rain.net.sealing import sealed\n"
            "held = HeldGovernor()\n"
            "held.begin(sealed(sys.stdin.readline().strip(), held.public), sys.argv[1], ['--cpus', '1'])\n"
            "time.sleep(1000)\n"
        )
        command = [sys.executable, "-c", script, client.address]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as holder:
            assert holder.stdin is not None
            holder.stdin.write(token + "\n")
            holder.stdin.flush()
            client.wait_for_governors(1, timeout=GUARD_S)
            [governor] = marked.named("rain-governor")
            holder.kill()
        until(lambda: not is_alive(governor.pid), "it ended with its holder")


def test_what_it_printed_before_it_failed_is_told() -> None:
    held = HeldGovernor()
    held.begin(sealed(Credentials.generate().token("governor"), held.public), "127.0.0.1:1", ["--cpus", "much"])
    held.wait()
    assert held.state().word in ("exit status 1", "exit status 2")
    assert "much" in held.state().printed
    held.end(within_s=0)


def test_without_a_token_nothing_begins() -> None:
    held = HeldGovernor()
    with pytest.raises(RainException, match="was not meant for this process"):
        held.begin(sealed("rain1-a", HeldGovernor().public), "127.0.0.1:1", [])
    assert not held.is_over
    held.end(within_s=0)
    assert held.state().word == "NOT BEGUN"
    assert held.is_over


def test_gpus_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_gpus(0) == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(RainException, match="1 GPUs were asked for, this process sees 0"):
        first_gpus(1)


def test_numbers_and_words_are_checked() -> None:
    check_counts(cpus=0)
    check_words(["--a"])
    for wrong in (-1, True, "2", 1.5):
        with pytest.raises(RainException, match="cpus of a place is a number of at least 0"):
            check_counts(cpus=wrong)  # type: ignore[arg-type]
    with pytest.raises(RainException, match="arguments is a sequence of texts"):
        check_words("--a")
