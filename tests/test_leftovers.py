"""What tests start ends with the run, also when a fixture fails and when pytest is interrupted or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import GUARD_S, until

ROOT = Path(__file__).resolve().parent.parent

CONFTEST = """
from tests.support.leftovers import Leftovers

def pytest_configure(config):
    config.pluginmanager.register(Leftovers(grace_s=0.1))
"""
TESTS = """
import os, pathlib, subprocess, time
import pytest

HERE = pathlib.Path(__file__).parent

def start(stubborn=False):
    # It leaves the session and the group of pytest.
    code = "import os, signal, sys, time;"
    code += "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    code += "print(os.getpid(), file=open(sys.argv[1] + '.part', 'w')); os.rename(sys.argv[1] + '.part', sys.argv[1]);"
    code += "time.sleep(1000)"
    subprocess.Popen(["python3", "-c", code, str(HERE / "pid")], start_new_session=True)
    while not (HERE / "pid").exists():
        time.sleep(0.01)

@pytest.fixture
def broken():
    start(stubborn=True)
    raise OSError("the fixture failed")

@pytest.fixture
def slow():
    start()
    (HERE / "started").touch()
    time.sleep(1000)

def test_broken(broken):
    pass

def test_slow(slow):
    pass
"""


class Run:
    """A run of pytest, in processes of its own, of the tests above."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_it.py").write_text(TESTS)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, *arguments],
            cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )  # fmt: skip

    def started(self) -> int:
        """The process that a test has started."""
        until(lambda: (self.folder / "started").exists(), "the fixture waits")
        return int((self.folder / "pid").read_text())

    def pid(self) -> int:
        return int((self.folder / "pid").read_text())


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "1"]], ids=["alone", "xdist"])
def test_what_a_broken_fixture_started_is_named_and_ended(workers: list[str], tmp_path: Path) -> None:
    run = Run(tmp_path, "-k", "broken", *workers)
    said, _ = run.process.communicate(timeout=GUARD_S)
    assert "left running by tests" in said
    assert "time.sleep(1000)" in said
    assert gone(run.pid())
    assert run.process.returncode == 1


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "1"]], ids=["alone", "xdist"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_what_an_ended_run_had_started_is_ended(workers: list[str], number: signal.Signals, tmp_path: Path) -> None:
    run = Run(tmp_path, "-k", "slow", *workers)
    pid = run.started()
    if number == signal.SIGINT:  # from the keyboard, to all of the group
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    run.process.communicate(timeout=GUARD_S)
    until(lambda: gone(pid), "what was started has ended")
