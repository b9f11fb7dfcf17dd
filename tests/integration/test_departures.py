"""Governors that leave on purpose, as processes: by SIGTERM, by a user, with a server that is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain import Client, Session, remote
from rain.common.limits import CRASHES_MAX
from rain.common.states import TaskState
from rain.host.process_table import descendants, is_alive
from rain.processes import connection_files
from tests.integration.test_cli import Shell, ends
from tests.support.waiting import GUARD_S, until


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


@pytest.fixture
def server(shell: Shell) -> tuple[subprocess.Popen[str], str]:
    return shell.server()


@pytest.fixture
def session(shell: Shell, server: tuple[subprocess.Popen[str], str]) -> Iterator[Session]:
    process, address = server
    token = shell.file(process.pid).credentials.token("client")
    with Client(address, token=token) as client, client.new_session("departures") as session:
        yield session


@remote(outputs=["data"])
def make(ctx, log):
    with open(log, "a") as file:
        file.write("made\n")
    return b"x" * 1_000_000


@remote(auto_encode="json")
def wait(ctx, folder):
    """Says that it runs, and waits until it may end."""
    import pathlib
    import time

    folder = pathlib.Path(folder)
    (folder / f"runs-{os.getpid()}").touch()
    while not (folder / "end").exists():
        time.sleep(0.01)
    return "done"


def _governors(shell: Shell, address: str) -> dict[str, str]:
    return {governor.governor_id: governor.leaves for governor in shell.info(address).governors}


def test_sigterm_lets_a_governor_finish_and_hand_over(shell: Shell, session: Session, server, tmp_path: Path) -> None:
    """What it runs finishes there, what it keeps is elsewhere afterwards, and it ends with 0."""
    _, address = server
    leaver = shell.daemon("governor", address, "--cpus", "1", "--leave-within", "2m")
    log = tmp_path / "log"
    kept = make(log=str(log)).output
    kept.keep()
    session.run(kept)
    (folder := tmp_path / "waits").mkdir()
    running = wait(folder=str(folder)).output
    running.keep()
    session.submit()
    until(lambda: list(folder.iterdir()))
    other = shell.daemon("governor", address, "--cpus", "1")
    leaver.send_signal(signal.SIGTERM)
    until(lambda: "SIGTERM" in _governors(shell, address).values())
    assert session.run(make(log=str(log))) is not None  # on the other one
    assert leaver.poll() is None
    (folder / "end").touch()
    running.wait()
    ends(leaver)
    assert leaver.returncode == 0
    until(lambda: len(_governors(shell, address)) == 1)
    assert running.fetch().load() == "done"
    assert len(kept.fetch().get_bytes()) == 1_000_000
    assert log.read_text() == "made\n" * 2, "it was made again"
    ends(other, signal.SIGTERM)
    assert other.returncode == 0


def test_a_batch_system_may_end_jobs_as_often_as_it_likes(
    shell: Shell, session: Session, server, tmp_path: Path
) -> None:
    """SIGTERM to all processes of a governor, which may hear of it last: its task goes on elsewhere, each time."""
    _, address = server
    (folder := tmp_path / "waits").mkdir()
    running = wait(folder=str(folder))
    running.keep_outputs()
    session.submit()
    for number in range(CRASHES_MAX + 1):
        governor = shell.daemon("governor", address, "--cpus", "1")
        until(lambda number=number: len(list(folder.iterdir())) == number + 1)
        for pid in (*descendants(governor.pid), governor.pid):
            os.kill(pid, signal.SIGTERM)
        ends(governor)
        assert governor.returncode == 0
        assert running.state is not TaskState.FAILED
    shell.daemon("governor", address, "--cpus", "1")
    until(lambda: len(list(folder.iterdir())) == CRASHES_MAX + 2)  # else a wait warns that no governor is here
    (folder / "end").touch()
    running.wait()
    assert running.output.fetch().load() == "done"


def test_a_server_that_is_stopped_dismisses_its_governors(
    shell: Shell, session: Session, server, tmp_path: Path
) -> None:
    process, address = server
    governor = shell.daemon("governor", address, "--cpus", "1")
    (folder := tmp_path / "waits").mkdir()
    wait(folder=str(folder)).keep_outputs()
    session.submit()
    until(lambda: list(folder.iterdir()))
    ends(process, signal.SIGTERM)
    ends(governor)
    assert governor.returncode == 0


def test_users_let_governors_go_by_the_command(shell: Shell, server) -> None:
    """With a token of the governor's own role, by id, by host, and on the host itself."""
    _, address = server
    token = shell.folder / "token"
    port = address.rpartition(":")[2]
    assert shell.run("status", port, "--token", "--role", "governor", "--to", str(token)).stdout == ""
    assert token.stat().st_mode & 0o777 == 0o600
    governors = [shell.daemon("governor", address, "--cpus", "1", "--token-file", str(token)) for _ in range(3)]
    assert "a key for the role client is needed" in shell.fails("status", address, "--token-file", str(token))
    first, *_ = _governors(shell, address)
    left = shell.run("drain", first, "--server", port, "--within", "1:00")
    assert left.stdout == f"1 governor will leave within 60 s: {first}\nit has left\n", left.stderr
    assert len(_governors(shell, address)) == 2
    assert shell.run("drain", "127.0.0.1", "--server", port).stdout.splitlines()[-1] == "they have left"
    assert shell.run("status", port).stdout.splitlines()[-1] == "no governors"
    governors.append(shell.daemon("governor", address, "--cpus", "1"))
    assert shell.run("governor", address, "--drain").stdout.startswith("left: 127.0.0.1:")
    for governor in governors:
        ends(governor)
        assert governor.returncode == 0


def test_what_a_governor_would_have_is_told_with_what_says_so(shell: Shell) -> None:
    lines = shell.run("doctor", SLURM_JOB_ID="7", SLURM_CPUS_ON_NODE="1", SLURM_JOB_END_TIME="99999999999").stdout
    rows = {line.split("  ")[0].strip(): line for line in lines.splitlines()}
    assert rows["cpus"].endswith("SLURM_CPUS_ON_NODE=1")
    assert rows["time"].endswith("SLURM_JOB_END_TIME")
    assert {"memory", "gpus", "scratch files"} <= rows.keys()


def test_what_cannot_leave_is_named(shell: Shell, server) -> None:
    _, address = server
    port = address.rpartition(":")[2]
    assert "there is no governor nobody:1; those here are: none" in shell.fails("drain", "nobody:1", "--server", port)
    assert "'soon' is not a time" in shell.fails("drain", "nobody:1", "--server", port, "--within", "soon")
    assert "is on this host; it has: none" in shell.fails("governor", address, "--drain")
    assert "there is no role 'king'" in shell.fails("status", port, "--token", "--role", "king")
    assert "add --token" in shell.fails("status", port, "--role", "governor")
    assert "cannot be written" in shell.fails("status", port, "--token", "--to", "/nowhere/token")


def _processes_of_governors(guardian: int) -> list[int]:
    found = []
    for pid in descendants(guardian):
        with contextlib.suppress(OSError):  # it has ended
            if Path(f"/proc/{pid}/comm").read_text() == "rain-governor\n":
                found.append(pid)
    return found


def test_a_governor_of_rain_start_that_a_user_lets_go_does_not_come_back_and_a_killed_one_does(shell: Shell) -> None:
    address = shell.start("--local-governors", "[1,1]")
    port = address.rpartition(":")[2]
    try:
        first, second = _governors(shell, address)
        assert shell.run("drain", first, "--server", port).returncode == 0
        assert list(_governors(shell, address)) == [second]
        (file,) = (shell.runtime / "rain").glob("*.json")
        guardian = connection_files.read(file).guardian
        # The server lets a governor go before its process has ended.
        until(lambda: len(_processes_of_governors(guardian)) == 1)
        os.kill(*_processes_of_governors(guardian), signal.SIGTERM)
        until(lambda: list(_governors(shell, address)) not in ([second], []))
        assert len(_governors(shell, address)) == 1
    finally:
        assert shell.run("stop", port).returncode == 0


@pytest.mark.soak
def test_a_governor_of_a_job_whose_server_is_gone_for_good_ends_itself_and_its_tasks(
    shell: Shell, tmp_path: Path
) -> None:
    """After the time in the table: what a batch system runs and nobody will ask for uses its cores no longer."""
    process, address = shell.server("--deadlines", "0.05")
    token = shell.file(process.pid).credentials.token("client")
    governor = shell.daemon("governor", address, "--cpus", "1", "--deadlines", "0.05")
    client = Client(address, token=token)
    with client.new_session("orphaned").bind_only() as session:
        wait(str(tmp_path))
        session.submit()
    until(lambda: list(tmp_path.glob("runs-*")), "it runs")
    [pid] = [int(path.name.partition("-")[2]) for path in tmp_path.glob("runs-*")]
    below = descendants(governor.pid)
    assert pid in below
    ends(process, signal.SIGKILL)
    client.close()
    assert governor.wait(GUARD_S) == 1
    assert governor.stderr is not None
    assert f"the server {address} is gone" in governor.stderr.read()
    until(lambda: not any(map(is_alive, below)), "nothing of it is left")
