"""Scripts with processes that are called as those of a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.chaos.__main__ import DIFFERENT, FAILED, SAME, main
from rain.chaos.plan import Fault
from rain.chaos.running import run_calm, run_faulty
from rain.common.errors import RainException
from tests.support.waiting import GUARD_S

CHILD = """
import ctypes, os, signal, sys, time
def child(name, wait):
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        os.write(up, b"x")
        time.sleep(wait)
        os._exit(0)
    return pid
here, up = os.pipe()
pid = child(b"rain-governor", %d)
os.read(here, 1)
"""
WAITS = CHILD % GUARD_S + "print(os.WTERMSIG(os.waitpid(pid, 0)[1]))\n"


def once(fault: Fault) -> Iterator[Fault]:
    """One fault as soon as its process is there, and no other."""
    while True:
        yield fault


def test_a_process_is_killed() -> None:
    lines: list[str] = []
    found = run_faulty([sys.executable, "-c", WAITS], [], once(Fault(0.0, "governor", 0.5)), lines.append)
    assert found.status == 0
    assert found.output == b"9\n"
    assert any("SIGKILL to the governor" in line for line in lines)


def test_a_process_is_stopped_and_goes_on() -> None:
    code = CHILD % GUARD_S + (
        "print(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))\n"
        "print(os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1]))\nos.kill(pid, 9)\n"
    )
    plan = iter([Fault(0.0, "governor", 0.5, 0.05)] * 2000 + [Fault(GUARD_S, "server", 0.5)])
    found = run_faulty([sys.executable, "-c", code], [], plan, lambda line: None)
    assert found.output == b"True\nTrue\n"


def test_a_script_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(RainException, match=r"has not ended within 0 s \(--limit\)"):
        run_faulty(
            [sys.executable, "-c", f"import time; time.sleep({GUARD_S})"],
            [],
            once(Fault(GUARD_S, "server", 0.0)),
            print,
            limit_s=0.2,
        )
    assert time.monotonic() - began < GUARD_S


def test_files_that_were_not_written_are_told_from_old_ones(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    code = "import sys; open(sys.argv[1], 'w').write('new')"
    names = [str(tmp_path / "old"), str(tmp_path / "new"), str(tmp_path / "none")]
    found = run_calm([sys.executable, "-c", code, names[1]], names)
    assert found.files[names[0]] is None
    assert found.files[names[1]] is not None
    assert found.files[names[2]] is None
    assert (tmp_path / "old").read_text() == "old"


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    same = ["--kill", "executor", "--every", "1m", "--seed", "7", "--", sys.executable, "-c", "print(1)"]
    assert main(same) == SAME
    told = capfd.readouterr().err
    assert told.startswith("seed 7; once more: --seed 7\n")
    assert told.endswith("both runs gave the same\n")
    other = [*same[:-1], "import time; print(time.monotonic_ns())"]
    assert main(other) == DIFFERENT
    assert "standard output differs:" in capfd.readouterr().err
    assert main([*other[:2], "--ignore", r"^\d+$", *other[2:]]) == SAME
    capfd.readouterr()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name the script to run after --"),
        (["--", "true"], "name what is to be killed (--kill) or stopped for a while (--pause)"),
        (["--kill", "kernel", "--", "true"], "'kernel' is no kind of process of a cluster"),
        (["--kill", "server", "--every", "0", "--", "true"], "'0' is no time"),
        (["--kill", "server", "--ignore", "(", "--", "true"], "rain.chaos: "),
        (["--kill", "server", "--", "/no/such/script"], "/no/such/script cannot be started: No such file"),
        (["--kill", "server", "--", "false"], "false fails without faults, too: exit status 1"),
    ],
)
def test_what_cannot_be_done(arguments: list[str], text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == FAILED
    assert text in capfd.readouterr().err
