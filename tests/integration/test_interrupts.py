"""Ctrl-C in whatever blocks: the prompt is back at once, and the session goes on. In processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rain

ROOT = str(Path(rain.__file__).parent.parent)

SCRIPT = """
import os, signal, sys, threading, time
import psutil
from rain import *

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
        print(what, "interrupted" if took < 1 else f"after {{took}} s", flush=True)
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
interrupted("wait_all with a bar", lambda: session.wait_all(progress=True))
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
session.wait(task, timeout=20)
assert next(completions) is not None
print("then", task.output.fetch().load(), len(session.wait_all(raise_on_failure=False, timeout=20)), flush=True)
second = client.new_session("t")
os.kill(server, signal.SIGSTOP)
interrupted("close", second.close)
os.kill(server, signal.SIGCONT)
second.close()
print("at last", session.run(slow(gate), timeout=20), flush=True)
client.close()
"""


@pytest.mark.timeout(120)
def test_every_blocking_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(gate=str(tmp_path / "gate"))],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines[:-2] if not line.endswith(" interrupted")] == ["then 5 1"], done.stdout
    assert len(lines) == 17
    assert lines[-1] == "at last 5"
    assert "s:   0%" in done.stderr, "the bar was there, and was closed"
