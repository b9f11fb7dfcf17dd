"""The guardian: restarts, and leaves nothing behind however anybody dies. Real processes, waited for by events."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rain.client.local_cluster import LocalCluster
from rain.common.errors import RainException
from rain.host.process_table import descendants, is_alive, start_time
from rain.processes.keeper import FOLDERS_ARGUMENT
from rain.processes.launching import LIFELINE, READY, Launch, Program, stop_guardian
from rain.processes.scratch import Scratch
from tests.support.processes import kill_guardian
from tests.support.waiting import GUARD_S, at_this_load, until

SLEEPER = """
import os, sys, time
sys.path[:0] = {path!r}
from rain.host.lifeline import end_with_lifeline, write_ready_file
lifeline, ready, said = sys.argv[1:4]
end_with_lifeline(int(lifeline))
if os.fork() == 0:              # a grandchild in a session of its own, deaf to SIGTERM
    os.setsid()
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(int(said), b"%d\\n" % os.getpid())
    time.sleep(1000)
os.write(int(said), b"%d\\n" % os.getpid())
write_ready_file(ready)
time.sleep(1000)
"""


class Pids:
    """Collects the pids that processes write into a pipe, and waits for their ends."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self._left = b""
        self.handles: dict[int, int] = {}

    def next(self, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            assert select.select([self.read], [], [], GUARD_S)[0], "no pid came"
            *lines, self._left = (self._left + os.read(self.read, 4096)).split(b"\n")
            found += map(int, lines)
        for pid in found:
            self.handles[pid] = os.pidfd_open(pid)
        return found

    def all_end(self) -> None:
        for pid, handle in self.handles.items():
            assert select.select([handle], [], [], GUARD_S)[0], f"process {pid} is still there"

    def close(self) -> None:
        for descriptor in (self.read, self.write, *self.handles.values()):
            os.close(descriptor)


@pytest.fixture
def pids():
    collected = Pids()
    yield collected
    collected.close()


def sleeper(pids: Pids, tmp_path: Path, name: str = "sleeper", code: str = SLEEPER, **options: object) -> Program:
    script = tmp_path / f"{name}.py"
    script.write_text(code.replace("{path!r}", repr([p for p in sys.path if p])))
    arguments = [str(script), LIFELINE, READY, str(pids.write)]
    log = str(tmp_path / f"{name}.log")
    return Program(name, arguments, log, [sys.executable], keep=[pids.write], **options)  # type: ignore[arg-type]


def test_everything_ends_with_the_launch_also_what_fled_into_its_own_session(pids, tmp_path):
    scratch = Scratch(str(tmp_path), "private-")
    folder = Path(scratch.path)
    launch = Launch([sleeper(pids, tmp_path)], scratch.path, owned=scratch, preload=False)
    launch.wait()
    pids.next(2)
    launch.stop()
    pids.all_end()
    assert not folder.exists()


@pytest.mark.parametrize("tied", [True, False])
def test_a_log_is_there_until_its_owner_has_read_why_nothing_started(tmp_path, tied):
    scratch = Scratch(str(tmp_path), "private-")
    log = Path(scratch.path, "log")
    program = Program("it", ["-c", "import sys; sys.exit('rain it: no')"], str(log), [sys.executable])
    launch = Launch([program], scratch.path, owned=scratch, tied=tied, preload=False)
    assert select.select([launch._reports], [], [], GUARD_S)[0]
    with pytest.raises(subprocess.TimeoutExpired):
        launch._process.wait(0.3)
    with pytest.raises(RainException, match=r"^no$"):
        launch.wait()
    assert not log.parent.exists()


def test_an_untied_guardian_of_nothing_ends_when_nobody_will_read_its_logs(tmp_path):
    scratch = Scratch(str(tmp_path), "private-")
    log = Path(scratch.path, "log")
    program = Program("it", ["-c", "import sys; sys.exit('rain it: no')"], str(log), [sys.executable])
    launch = Launch([program], scratch.path, owned=scratch, tied=False, preload=False)
    process = launch._process
    assert select.select([launch._reports], [], [], GUARD_S)[0]
    os.close(launch._reports)  # as when the process that started it is killed
    launch._reports = -1
    process.wait(GUARD_S)
    assert not log.parent.exists()


def test_a_guardian_that_cannot_have_its_folder_is_ended(pids, tmp_path, monkeypatch):
    started: list[int] = []

    def hand_over(self: Scratch, pid: int) -> None:
        started.append(pid)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Scratch, "hand_over", hand_over)
    scratch = Scratch(str(tmp_path), "private-")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left"):
        Launch([sleeper(pids, tmp_path)], scratch.path, owned=scratch, preload=False)
    with pytest.raises(ChildProcessError):
        os.waitpid(*started, os.WNOHANG)
    assert set(os.listdir("/proc/self/fd")) <= before
    scratch.close()


def test_everything_ends_when_the_owner_is_killed(pids, tmp_path):
    owner = os.fork()
    if owner == 0:
        try:
            scratch = Scratch(str(tmp_path), "private-")
            Launch([sleeper(pids, tmp_path)], scratch.path, owned=scratch, preload=False).wait()
            signal.pause()
        finally:
            os._exit(1)
    pids.next(2)
    (folder,) = tmp_path.glob("private-*")
    guardian = _guardian_of(folder)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    pids.all_end()
    assert select.select([guardian], [], [], GUARD_S)[0]
    os.close(guardian)
    assert not folder.exists()


def _guardian_of(folder: Path) -> int:
    for entry in Path("/proc").iterdir():
        try:
            links = [os.readlink(fd) for fd in (entry / "fd").iterdir()] if entry.name.isdigit() else []
        except OSError:
            continue
        if str(folder) in links and b"\0guardian\0" in (entry / "cmdline").read_bytes():
            return os.pidfd_open(int(entry.name))
    raise AssertionError("no guardian holds the folder")


def test_processes_notice_that_the_guardian_was_killed(pids, tmp_path):
    code = SLEEPER.replace("if os.fork() == 0:", "if False:")  # no grandchild: nobody is left to find it
    launch = Launch([sleeper(pids, tmp_path, code=code)], str(tmp_path), preload=False)
    launch.wait()
    pids.next(1)
    kill_guardian(launch.pid)
    pids.all_end()
    launch.stop()


def test_the_standby_of_a_killed_guardian_goes_on_with_all_that_it_guarded(pids, tmp_path):
    """What runs goes on, what dies is started again with its socket, and all ends as it would have."""
    scratch = Scratch(str(tmp_path), "private-")
    folder = Path(scratch.path)
    launch = Launch([sleeper(pids, tmp_path, restart=True)], scratch.path, owned=scratch, preload=False)
    launch.wait()
    before = pids.next(2)
    guardian = launch.pid
    os.kill(guardian, signal.SIGKILL)
    until(lambda: launch.pid != guardian, "its standby guards")
    assert not launch.ended
    assert {_parent(pid) for pid in before} & {launch.pid}
    assert f"process {guardian}, which guarded, was killed by SIGKILL" in (folder / "guardian.log").read_text()
    os.kill(next(pid for pid in before if _parent(pid) == launch.pid), signal.SIGKILL)
    again = pids.next(2)
    assert any(_parent(pid) == launch.pid for pid in again)
    launch.stop()
    pids.all_end()
    assert launch.ended
    assert not folder.exists()


def test_a_guardian_goes_on_without_its_standby(pids, tmp_path):
    scratch = Scratch(str(tmp_path), "private-")
    folder = Path(scratch.path)
    launch = Launch([sleeper(pids, tmp_path, restart=True)], scratch.path, owned=scratch, preload=False)
    launch.wait()
    guardian, before = launch.pid, pids.next(2)
    os.kill(_parent(guardian), signal.SIGKILL)
    until(lambda: "its standby has ended" in (folder / "guardian.log").read_text(), "it is noticed")
    assert (launch.pid, launch.ended) == (guardian, False)
    os.kill(next(pid for pid in before if _parent(pid) == guardian), signal.SIGKILL)
    pids.next(2)
    launch.stop()
    pids.all_end()
    assert launch.ended
    assert not folder.exists()


@pytest.mark.parametrize("preload", [False, True])
def test_a_guardian_that_is_killed_while_it_starts_things_is_taken_the_place_of(pids, tmp_path, preload):
    with LocalCluster(cpus=1, start=False) if preload else contextlib.nullcontext() as cluster:
        if cluster is None:
            launch = Launch([sleeper(pids, tmp_path)], str(tmp_path), preload=False)
        else:
            cluster.start()
            launch = cluster._launch
        guardian = launch.pid
        os.kill(guardian, signal.SIGKILL)
        launch.wait()
        assert launch.pid != guardian
        if cluster is None:
            below = descendants(launch.pid)
            assert len(below) >= 2
            launch.stop()
            assert not any(map(is_alive, below))


def test_orphans_of_a_dead_process_are_killed_while_others_live_on(pids, tmp_path):
    launch = Launch([sleeper(pids, tmp_path, "one"), _quiet(tmp_path)], str(tmp_path), preload=False)
    launch.wait()
    one = next(pid for pid in pids.next(2) if _parent(pid) == launch.pid)
    os.kill(one, signal.SIGKILL)
    pids.all_end()
    assert launch.pid in {_parent(pid) for pid in descendants(launch.pid)}
    launch.stop()


def _quiet(tmp_path: Path) -> Program:
    code = "import os, sys, time; os.write(int(sys.argv[1][3:]), b'ready\\n'); time.sleep(1000)"
    return Program("two", ["-c", code, READY], str(tmp_path / "two.log"), [sys.executable])


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_process_that_was_ready_is_started_again_with_its_socket(pids, tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    serving = (
        "write_ready_file(ready)\nimport socket\nsocket.socket(fileno=int(sys.argv[4])).accept()[0].sendall(b'x')\n"
    )
    code = SLEEPER.replace("if os.fork() == 0:", "if False:").replace("write_ready_file(ready)\n", serving)
    program = sleeper(pids, tmp_path, code=code, restart=True)
    program.keep.append(listener.fileno())
    program.arguments.append(str(listener.fileno()))
    launch = Launch([program], str(tmp_path), preload=False)
    launch.wait()
    address = listener.getsockname()
    listener.close()
    (first,) = pids.next(1)
    os.kill(first, signal.SIGKILL)
    pids.all_end()
    with socket.create_connection(address, GUARD_S) as connection:  # waits in the backlog until it is back
        assert connection.recv(1) == b"x"
    (second,) = pids.next(1)
    assert second != first
    launch.stop()
    assert "starting it again" in (tmp_path / "guardian.log").read_text()


CHANGING = """
import os, sys, time
sys.path[:0] = {path!r}
from rain.host.lifeline import write_ready_file
from rain.processes.keeper import report_folders_to, start_next
ready, said, folders = sys.argv[1:4]
report_folders_to(folders)
with open(said, "a") as file:
    file.write(f"{os.getpid()}\\n")
late = sys.argv[0].endswith("late.py")
if not late:
    write_ready_file(ready)
    try:
        os.close(os.open(sys.argv[0] + ".was", os.O_CREAT | os.O_EXCL))
        start_next([sys.executable, sys.argv[0].replace("early", "late")])
        sys.exit(0)
    except FileExistsError:
        pass
time.sleep(1000)
"""


def test_what_is_to_come_and_is_not_ready_in_time_is_killed_and_the_one_before_comes_back(tmp_path):
    """A program that makes room for another one, which never says that it is ready."""
    for name in ("early", "late"):
        (tmp_path / f"{name}.py").write_text(CHANGING.replace("{path!r}", repr([p for p in sys.path if p])))
    rain, said = [sys.executable, str(tmp_path / "early.py")], tmp_path / "said"
    arguments = [READY, str(said), FOLDERS_ARGUMENT]
    program = Program("early", arguments, str(tmp_path / "log"), rain, restart=True)
    launch = Launch([program], str(tmp_path), preload=False, rain=rain, trial_s=1.0)
    launch.wait()
    until(lambda: said.exists() and len(said.read_text().split()) == 3, "the one before is back")
    launch.stop()
    log = (tmp_path / "guardian.log").read_text()
    assert f"the early makes room for {sys.executable} {tmp_path}/late.py" in log
    assert "is not ready after 1 s" in log
    assert "ended (killed by SIGKILL) before it was ready; the one before is started again" in log


def test_a_process_that_cannot_start_is_one_clear_error(pids, tmp_path):
    program = Program(
        "server", ["-c", "import sys; sys.exit('rain server: the port is in use')"], str(tmp_path / "log")
    )
    program.command = [sys.executable]
    with pytest.raises(RainException, match=r"^the port is in use$"):
        Launch([program], str(tmp_path), preload=False).wait()


def test_an_unexpected_end_quotes_the_log(pids, tmp_path):
    program = Program("server", ["-c", "1 / 0"], str(tmp_path / "log"), [sys.executable])
    with pytest.raises(RainException, match=r"could not start \(exit status 1\)(.|\n)*ZeroDivisionError"):
        Launch([program], str(tmp_path), preload=False).wait()


def test_a_missing_program_is_named(tmp_path):
    program = Program("server", [], str(tmp_path / "log"), [str(tmp_path / "no-such-program")])
    with pytest.raises(RainException, match="no-such-program"):
        Launch([program], str(tmp_path), preload=False).wait()


def test_stop_guardian_ends_exactly_that_process(pids, tmp_path):
    launch = Launch([sleeper(pids, tmp_path)], str(tmp_path), preload=False)
    launch.wait()
    pids.next(2)
    assert not stop_guardian(launch.pid, "1")  # another process that had the number
    assert stop_guardian(launch.pid, start_time(launch.pid))
    pids.all_end()
    launch.stop()


def test_a_remote_program_gets_its_line_and_says_ready_on_its_output(pids, tmp_path):
    code = "import os, sys; line = input(); os.write(1, b'motd\\n' + line.encode() + b'\\n'); sys.stdin.read()"
    program = Program(
        "remote", ["-c", code], str(tmp_path / "log"), [sys.executable], stdin="ready", remote=True, keep=[pids.write]
    )
    launch = Launch([program], str(tmp_path), preload=False)
    launch.wait()
    started = time.monotonic()
    launch.stop()
    assert time.monotonic() - started < at_this_load(2.5)  # its standard input ended, no need to wait for the grace


def test_a_forked_child_of_the_owner_does_not_hold_the_lifeline(pids, tmp_path):
    scratch = Scratch(str(tmp_path), "private-")
    launch = Launch([sleeper(pids, tmp_path)], scratch.path, owned=scratch, preload=False)
    launch.wait()
    pids.next(2)
    gate_read, gate_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(gate_read, 1)
        os._exit(0)
    launch.stop()
    pids.all_end()
    os.write(gate_write, b"x")
    os.waitpid(child, 0)
    os.close(gate_read)
    os.close(gate_write)


def test_logs_are_private_and_bounded_while_they_are_written(tmp_path, monkeypatch):
    code = "import os, sys; os.write(2, b'x' * 5000); os.write(int(sys.argv[1][3:]), b'ready\\n'); sys.stdin.read()"
    code += "; os.write(2, b'more'); os.read(int(sys.argv[2]), 1)"
    program = Program("two", ["-c", code, READY, LIFELINE], str(tmp_path / "two.log"), [sys.executable], stdin="")
    before = os.umask(0)
    try:
        launch = Launch([program], str(tmp_path), preload=False, log_bytes_max=1000, look_at_logs_s=0.05)
        launch.wait()
        while not (tmp_path / "two.log.1").exists():
            time.sleep(0.01)
        launch.stop()
    finally:
        os.umask(before)
    assert (tmp_path / "two.log.1").read_bytes() == b"x" * 1000
    assert (tmp_path / "two.log").stat().st_size < 1000
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.log*")} == dict.fromkeys(
        ("guardian.log", "two.log", "two.log.1"), 0o600
    )
