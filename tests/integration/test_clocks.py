"""The wall clock jumps, by an hour and back, in all processes of a cluster at once: nobody notices.

Python's own clock is turned in each process as it starts, by a module that the interpreter imports by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HOUR_S = 3600
TURNED = """\
import os
import time

_read = time.time
_read_ns = time.time_ns


def _off():
    try:
        with open({path!r}) as file:
            return int(file.read() or 0)
    except OSError:
        return 0


time.time = lambda: _read() + _off()
time.time_ns = lambda: _read_ns() + _off() * 10**9
"""
SCRIPT = """\
import os, signal, sys, time
from pathlib import Path
from rain import Client, remote
from rain.processes import connection_files
from tests.support.waiting import until

folder = Path(sys.argv[1])
real = time.monotonic


def jumps(seconds):
    (folder / "off.part").write_text(str(seconds))
    (folder / "off.part").rename(folder / "off")


@remote(auto_encode="json")
def clock(ctx, number):
    import time

    return time.time()


@remote(auto_encode="json")
def patient(ctx, folder):
    import os, time

    began = time.time()
    open(f"{folder}/began-{os.getpid()}", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.01)
    return [began, time.time()]


with Client.local(cpus=2) as client, client.new_session("clocks", default=True) as session:
    kept = clock(0)
    kept.keep_outputs()
    long = patient(str(folder))
    long.keep_outputs()
    session.submit()
    kept.wait()
    began = real()
    for turn, seconds in enumerate((3600, 0, -3600, 0)):
        until(lambda: list(folder.glob("began-*")))
        before = time.time()
        jumps(seconds)
        assert abs(time.time() - before) > 3000, "the clock has jumped"
        seen = session.run(*[clock(number) for number in range(20)])
        assert max(abs(each - time.time()) for each in seen) < 600, "of all processes"
        if turn % 2 == 0:  # the next server begins in another hour than the one that wrote the journal
            os.kill(connection_files.read(client._cluster.connection_file).pid, signal.SIGKILL)
            session.run(clock(100))
        assert long.state.value == "running", long.state
    (folder / "go").touch()
    long.wait()
    assert len(list(folder.glob("began-*"))) == 1, "it ran once"
    assert 0 <= long.info.duration < real() - began + 600, long.info.duration
    assert len(long.attempts) == 1
    assert kept.output.fetch().load() is not None
    assert len(client.get_server_info()["governors"]) == 1
print("as if nothing had been")
"""


def test_jumps_of_an_hour_are_not_noticed(tmp_path: Path) -> None:
    (modules := tmp_path / "modules").mkdir()
    (modules / "sitecustomize.py").write_text(TURNED.format(path=str(tmp_path / "off")))
    (script := tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": f"{modules}:{Path(__file__).parents[2]}"}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(timeout=170)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, said) == (0, "as if nothing had been\n"), errors
