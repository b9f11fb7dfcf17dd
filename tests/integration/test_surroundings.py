"""What tasks have of the process that started their governor: neither its batch job's variables nor what it blocks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rain import Client, Program, TaskState, remote
from tests.integration.test_cli import Shell
from tests.support.waiting import until

OURS = {
    "SLURM_PROCID": "3",
    "SLURM_JOB_ID": "77",
    "PMI_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "RAYON_NUM_THREADS": "1",
}


@remote(auto_encode="json")
def look(ctx):
    import os
    import pathlib
    import signal

    status = dict(line.split(":\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    blocked = sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    return {"variables": dict(os.environ), "blocked": blocked, "ignored": int(status["SigIgn"], 16)}


@remote(auto_encode="json")
def sleep(ctx, folder):
    import pathlib
    import time

    folder = pathlib.Path(folder)
    (folder / "runs").touch()
    try:
        time.sleep(1000)
    except KeyboardInterrupt:
        (folder / "interrupted").touch()
        raise


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def _blocks(numbers: str) -> set[int]:
    """The signals in a mask as /proc has it."""
    mask = int(numbers, 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_what_tasks_and_programs_inherit(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "governor.toml"
    config.write_text('pass_environment = ["SLURM_JOB_ID"]\n')
    process, address = shell.server()
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # as Ray does in its workers
    try:
        governor = shell.daemon("governor", address, "--cpus", "1", "--config", str(config), **OURS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    token = shell.file(process.pid).credentials.token("client")
    try:
        with Client(address, token=token) as client, client.new_session("surroundings") as session:
            seen = session.run(look())
            assert {name for name in OURS if name in seen["variables"]} == {"SLURM_JOB_ID", "RAYON_NUM_THREADS"}
            assert seen["blocked"] == []
            assert not signals & {signal.Signals(n) for n in range(1, 32) if seen["ignored"] >> (n - 1) & 1}
            status = Program(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], stdout="status")
            lines = dict(line.split(":\t") for line in session.run(status()).decode().splitlines())
            assert _blocks(lines["SigBlk"]) == set()
            assert not signals & _blocks(lines["SigIgn"])
            variables = session.run(Program(["env"], stdout="all")()).decode()
            assert "SLURM_PROCID" not in variables
            assert "OMPI_COMM" not in variables
            (folder := tmp_path / "sleeps").mkdir()
            sleeping = sleep(folder=str(folder))
            session.submit()
            until(lambda: (folder / "runs").exists())
            session.cancel([sleeping])
            until(lambda: (folder / "interrupted").exists())
            assert sleeping.state is TaskState.CANCELLED
    finally:
        for daemon in (governor, process):
            daemon.kill()
            daemon.wait()
            assert daemon.stderr is not None
            daemon.stderr.close()
