"""Ctrl-C in whatever blocks: the prompt is back at once, and the session goes on. In processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import rain
from tests.integration.kernels import Kernel, kernel
from tests.support.waiting import GUARD_S, at_this_load

ROOT = str(Path(rain.__file__).parent.parent)

SCRIPT = """
import os, signal, sys, threading, time
import psutil
from rain import *
from tests.support.waiting import GUARD_S, at_this_load

def interrupted(what, call, after=0.3):
    sent = []
    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(after, send)
    timer.start()
    try:
        call()
    except KeyboardInterrupt:
        took = time.monotonic() - sent[0]
        print(what, "interrupted" if took < at_this_load(1) else f"after {{took}} s", flush=True)
    else:
        print(what, "was not interrupted", flush=True)
    timer.join()

def iterate(items):
    for item in items:
        pass

@remote(auto_encode="json")
def slow(ctx, gate):
    import os, time
    while not os.path.exists(gate):
        time.sleep(0.01)
    return 5

gate = {gate!r}
client = Client.local(cpus=1)
session = client.new_session("s", default=True)
task = slow(gate)
task.keep_outputs()
session.submit()
interrupted("wait", lambda: session.wait(task))
interrupted("task.wait", task.wait)
interrupted("wait_some", lambda: session.wait_some([task]))
interrupted("wait_all", session.wait_all)
interrupted("wait_all with a bar", lambda: session.wait_all(progress=True), after=at_this_load(0.3))
interrupted("fetch", task.output.fetch)
interrupted("run", lambda: session.run(slow(gate)))
interrupted("as_completed", lambda: iterate(session.as_completed([task])))
completions = session.as_completed([task])
interrupted("again as_completed", lambda: next(completions))
interrupted("wait_for_governors", lambda: client.wait_for_governors(9))

(server,) = [child.pid for child in psutil.Process().children(recursive=True) if child.name() == "rain-server"]
os.kill(server, signal.SIGSTOP)
try:
    other = slow(gate)
    interrupted("submit", session.submit)
    interrupted("update", lambda: session.update(task))
    interrupted("cancel", lambda: session.cancel(other))
    interrupted("capsule", lambda: task.capsule(gate + "-capsule"))
finally:
    os.kill(server, signal.SIGCONT)
open(gate, "w").close()
session.wait(task, timeout=GUARD_S)
assert next(completions) is not None
print("then", task.output.fetch().load(), len(session.wait_all(raise_on_failure=False, timeout=GUARD_S)), flush=True)
second = client.new_session("t")
os.kill(server, signal.SIGSTOP)
interrupted("close", second.close)
interrupted("new_session", lambda: client.new_session("lost", persistent=True))
os.kill(server, signal.SIGCONT)
second.close()
third = client.new_session("u")
until = time.monotonic() + GUARD_S
while [one.name for one in client.sessions()] != ["s", "u"] and time.monotonic() < until:
    time.sleep(0.01)
print("sessions", [one.name for one in client.sessions()], flush=True)
print("at last", session.run(slow(gate), timeout=GUARD_S), flush=True)
client.close()
"""


@pytest.mark.timeout(120)
def test_every_blocking_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(gate=str(tmp_path / "gate"))],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    others = [line for line in lines[:-1] if not line.endswith(" interrupted")]
    assert others == ["then 5 1", "sessions ['s', 'u']"], done.stdout
    assert len(lines) == 19
    assert lines[-1] == "at last 5"
    assert "s:   0%" in done.stderr, "the bar was there, and was closed"


@pytest.fixture(scope="module")
def busy() -> Iterator[tuple[Kernel, int]]:
    """A kernel whose session waits for a task that does not end, and its process."""
    with kernel() as found:
        process = int(found.good("import os, rain; print(os.getpid())").text())
        found.good("%rain_connect --local 1")
        found.good(
            "session = rain.get_active_session()\n"
            "@rain.remote(outputs=['never'])\n"
            "def stay(ctx):\n"
            "    import time\n"
            "    time.sleep(600)\n"
            "task = stay()\n"
            "task.keep_outputs()\n"
            "session.submit()"
        )
        yield found, process


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("session.wait_all()", "KeyboardInterrupt"),
        ("session.wait_all(progress=True)", "KeyboardInterrupt"),
        ("for done in session.as_completed([task]): pass", "KeyboardInterrupt"),
        ("def call():\n    return task.output.fetch()\ncall()", "KeyboardInterrupt"),
        ("%rain_wait", "KeyboardInterrupt"),
        ("%rain_fetch never", "KeyboardInterrupt"),
        ("await session.wait_all_async()", "CancelledError"),
        ("await task.output.fetch_async()", "CancelledError"),
        ("async for done in session.as_completed([task]): pass", "CancelledError"),
    ],
)
def test_stop_button(busy: tuple[Kernel, int], source: str, error: str) -> None:
    """The prompt is back, and what is shown is the cell, not what Rain did meanwhile."""
    found, process = busy
    shown = found.start(f"print('waits', flush=True)\n{source}")
    found.until(lambda: "waits\n" in shown.text(), "the cell runs")
    sent = threading.Event()
    # By then it waits; if it does not yet, the interrupt comes all the same.
    timer = threading.Timer(0.5, lambda: (os.kill(process, signal.SIGINT), sent.set()))
    timer.start()
    sent.wait()
    begin = time.monotonic()
    found.finish(shown)
    assert time.monotonic() - begin < at_this_load(1)
    assert shown.error_name == error
    assert "Cell In[" in shown.error
    for other in ("rain/", "threading.py", "TimeoutError"):
        assert other not in shown.error
    assert found.good("session.active, task.state.value").result == "(True, 'running')"
