"""What is said of processes that died: who sent the signal, whether memory was short, where the logs are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rain import Client, RainException, SessionException, blob, tasks
from rain.cli import commands
from rain.deploy.start import StartOptions, start
from rain.host.process_table import is_alive
from rain.processes import connection_files
from tests.support.processes import Marked, end_guardian, kill_guardian
from tests.support.waiting import until

LIMIT_BYTES = 400 << 20


@pytest.fixture
def small_memory() -> Iterator[Callable[[], None]]:
    """Puts a process that calls it into a control group with little memory."""
    name = f"rain-test-{uuid.uuid4().hex}"
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root, name)
        try:
            group.mkdir()
            (group / limit).write_text(str(LIMIT_BYTES))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        break
    else:
        pytest.skip("no control group with a memory limit can be made here (needs root and a writable /sys/fs/cgroup)")
    yield lambda: (group / "cgroup.procs").write_text(str(os.getpid())) and None
    group.rmdir()


CODE = """
    from rain import *

    @remote()
    def greedy(ctx):
        held = []
        while True:
            held.append(bytearray(b"x") * (16 << 20))

    with Client.local(cpus=1) as client, client.new_session("memory") as session:
        python = greedy(rerun="never")
        program = tasks.Execute(["{python}", "-c", "x = bytearray(b'x') * (2 << 30)"])
        session.submit()
        for task in (python, program):
            try:
                task.wait()
            except TaskException as error:
                print(error, flush=True)
"""


@pytest.mark.soak
def test_what_the_kernel_killed_for_lack_of_memory_is_said(small_memory: Callable[[], None]) -> None:
    code = textwrap.dedent(CODE).replace("{python}", sys.executable)
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=small_memory, capture_output=True, text=True, timeout=100
    )
    known = "It was out of memory: the kernel killed 1 process of its control group for that. Its peak was "
    print(done.stdout, done.stderr)
    assert done.stdout.count(known) == 2
    assert "the executor was killed by signal SIGKILL (Killed) while it ran attempt 1" in done.stdout


# -- the end of all -------------------------------------------------------------------------------


def test_the_death_of_the_guardian_says_what_died_and_what_to_do(marked: Marked) -> None:
    client = Client.local(cpus=1)
    session = client.new_session("guarded", default=True)
    guardian = marked.guardian().pid
    task = tasks.Sleep(blob("a"), 600)
    session.submit()
    kill_guardian(guardian)
    with pytest.raises(SessionException) as caught:
        task.wait()
    for text in (str(caught.value), _error(client.sessions)):
        assert f"its guardian (process {guardian})" in text
        assert "it ended without a word, so it was killed" in text
        assert "Make a new one: Client.local()" in text
        folder = re.search(r"Logs: (\S+)", text)
        assert folder is not None
        assert "listening at" in Path(folder[1], "server.log").read_text(), "they are there to be read"
    client.close()
    assert not Path(folder[1]).exists()


def test_a_server_without_a_journal_forgets_its_sessions_and_it_is_said_why(marked: Marked) -> None:
    """Without a journal a death costs the session, and it is said that it was one."""
    client = Client.local(governors=0, journal=False)
    session = client.new_session("doomed", default=True)
    task = tasks.Sleep(blob("a"), 600)
    session.submit()
    (server,) = marked.named("rain-server")
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(SessionException) as caught:
        task.wait()
    text = str(caught.value)
    assert f"server (process {server.pid}) ended (killed by SIGKILL" in text
    assert "starting it again, its log is " in text
    assert "Neither Rain sent this signal nor the kernel for lack of memory" in text or "memory" in text
    client.close()


def _error(call: Callable[[], object]) -> str:
    with pytest.raises(RainException) as caught:
        call()
    return str(caught.value)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[connection_files.ConnectionFile]:
    """A server left running by `rain start`, without governors."""
    for name in ("run", "tmp"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    found = start(StartOptions(listen="127.0.0.1:0", http_listen="127.0.0.1:0", logdir=str(tmp_path / "logs")))
    file = connection_files.read(found.file)
    yield file
    end_guardian(file)


def test_who_comes_to_a_server_of_rain_start_that_is_gone_hears_why(
    started: connection_files.ConnectionFile, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(started.address) as client:
        session = client.new_session("left")
        kill_guardian(started.guardian)
        until(lambda: not is_alive(started.pid), "the server has ended")
        assert session.active, "it may be started again by hand"
    texts = []
    texts.append(_error(lambda: Client(started.address)))
    assert commands.run(["status", started.address]) == 1
    texts.append(capsys.readouterr().err)
    for text in texts:
        assert f"its guardian (process {started.guardian})" in text
        assert f"Logs: {started.logdir}" in text
        assert "`rain start --listen " in text


def test_a_server_that_died_again_and_again_is_told_of_by_its_file(
    started: connection_files.ConnectionFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guardian wrote when it gave up; its own test is among those of the guardian."""
    end_guardian(started)
    log = Path(started.logdir, "guardian.log")
    assert "guardian: ended: it was asked to by signal 15" in log.read_text()
    with log.open("a") as file:
        file.write("2026-01-02 03:04:05 guardian: gave up: the server failed 6 times in a row, the last time: x\n")
    connection_files.write(started)
    text = _error(lambda: Client(started.address))
    assert "gave up: the server failed 6 times in a row, the last time: x (2026-01-02 03:04:05). Logs: " in text


@pytest.mark.soak
@pytest.mark.timeout(200)
def test_a_server_that_dies_six_times_in_a_row_ends_all_and_it_is_told(
    started: connection_files.ConnectionFile, capsys: pytest.CaptureFixture[str]
) -> None:
    path, pid = connection_files.default_path(started.address), started.pid
    for number in range(6):
        os.kill(pid, signal.SIGKILL)
        if number < 5:
            until(lambda pid=pid: connection_files.read(path).pid not in (0, pid), "it is started again", guard_s=60)
            pid = connection_files.read(path).pid
    until(lambda: not is_alive(started.guardian), "the guardian has given up")
    assert commands.run(["status", started.address]) == 1
    text = capsys.readouterr().err
    assert "gave up: the server failed 6 times in a row, the last time: server (process" in text
    assert f"its log is {started.logdir}/server.log" in text
