"""A program on the governors of a task by srun: which job, which ranks, what is told of an end, what is killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.common.protocol.address import parse_address
from rain.common.protocol.messages import Node
from rain.common.task_configs import SLURM_JOB, SLURM_NODE
from rain.executor.gangs import launchers, launching, srun, wire
from rain.host.process_table import is_alive
from tests.support.commands import write_command
from tests.support.waiting import until
from tests.unit.executor.gangs.test_launching import certificate, node

__all__ = ["certificate", "node"]
_SRUN = """#!/bin/sh
echo "$@" > {folder}/words
cp "$SLURM_HOSTFILE" {folder}/hosts
while case "$1" in --*) true;; *) false;; esac; do shift; done
export SLURM_NTASKS=2
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
wait $first; one=$?
wait $second; two=$?
[ $one -gt $two ] && exit $one
exit $two
"""


@pytest.fixture
def nodes(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Two in one job; the first is this process."""
    (tmp_path / "bin").mkdir()
    write_command(tmp_path / "bin" / "srun", _SRUN.format(folder=tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv(SLURM_JOB, "17")
    monkeypatch.setenv(SLURM_NODE, "n1")
    return [Node("127.0.0.1:7211", "h1", 2.0), node]


def _run(nodes: list[Node], folder: Path, *args: str) -> tuple[launching.Launched, dict[bytes, bytes]]:
    wrote: dict[bytes, bytes] = {}

    def write(kind: bytes, data: bytes) -> None:
        wrote[kind] = wrote.get(kind, b"") + data

    made = folder / "launch"
    made.mkdir(exist_ok=True)
    return srun.srun(nodes, args, {"WORD": "told"}, write, str(made)), wrote


def test_each_rank_runs_once(nodes: list[Node], tmp_path: Path) -> None:
    done, wrote = _run(nodes, tmp_path, "sh", "-c", "echo $RAIN_NODE_RANK of $RAIN_NODES $WORD in $PWD")
    assert done == launching.Launched([0, 0], None)
    here = os.getcwd()
    assert sorted(wrote[wire.OUT].decode().splitlines()) == [f"{rank} of 2 told in {here}" for rank in (0, 1)]
    words = (tmp_path / "words").read_text()
    for word in ("--jobid=17", "--overlap", "--ntasks=2", "--cpus-per-task=2", "--kill-on-bad-exit=1"):
        assert f"{word} " in words
    assert (tmp_path / "hosts").read_text() == "n1\nn1\n", "by rank"


def test_which_failed_is_told(nodes: list[Node], tmp_path: Path) -> None:
    done, _ = _run(nodes, tmp_path, "sh", "-c", "exit $((3 * RAIN_NODE_RANK))")
    assert done == launching.Launched([0, 3], 1)
    done, _ = _run(nodes, tmp_path, "sh", "-c", "[ $RAIN_NODE_RANK = 0 ] && kill -9 $$; exit 0")
    assert done == launching.Launched([-9, 0], 0)
    done, wrote = _run(nodes, tmp_path, "/nowhere/program")
    assert done.statuses == [127, 127]
    assert b"the program cannot be started" in wrote[wire.ERR]


def test_srun_itself_fails(nodes: list[Node], tmp_path: Path) -> None:
    write_command(tmp_path / "bin" / "srun", "#!/bin/sh\necho srun: error: no >&2\nexit 1\n")
    with pytest.raises(RainException, match="srun ended with status 1, and no sleep had ended"):
        _run(nodes, tmp_path, "sleep", "0")


def test_where_it_cannot_be(nodes: list[Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SLURM_JOB, "18 a")
    with pytest.raises(RainException, match=r"127\.0\.0\.1:7211 is in none"):
        _run(nodes, tmp_path, "true")
    first = Node("127.0.0.1:7211", "h1", 2.0)
    monkeypatch.setattr(srun, "_ASK", ["sh", "-c", "echo 1$RAIN_NODE_RANK n1"])
    with pytest.raises(RainException, match="they are in 10, 11, and srun reaches the hosts of one only"):
        _run([first, first], tmp_path, "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RainException, match="not on this host's PATH"):
        _run(nodes, tmp_path, "true")


def test_an_unknown_launcher_is_refused(nodes: list[Node]) -> None:
    with pytest.raises(RainException, match="by 'rain' or by 'srun', not by 'mpirun'"):
        launchers.launch_all(nodes, ["true"], {}, "mpirun")


def test_the_end_of_the_task_ends_what_a_killed_srun_has_left(nodes: list[Node], tmp_path: Path) -> None:
    """A step goes on when its srun is killed."""
    write_command(
        tmp_path / "bin" / "srun",
        '#!/bin/sh\nwhile case "$1" in --*) true;; *) false;; esac; do shift; done\nexport SLURM_NTASKS=1\n'
        f'SLURM_PROCID=0 setsid "$@" </dev/null >/dev/null 2>&1 & echo $$ >{tmp_path}/srun; wait\n',
    )
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _run(nodes, tmp_path, "sh", "-c", f"echo $$ >{tmp_path}/program; exec sleep 1000")
        except RainException as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    program, started = tmp_path / "program", tmp_path / "srun"
    until(lambda: program.exists() and program.read_text() and started.read_text(), "the program runs")
    os.kill(int(started.read_text()), signal.SIGKILL)
    running.join()
    until(lambda: not is_alive(int(program.read_text())), "it was killed")
    assert "srun ended with status -9" in str(errors[0])


def test_what_is_no_program_of_the_step_is_not_heard() -> None:
    with srun._Tethers("127.0.0.1", 2) as tethers:
        for said in ("0 1", f"{'0' * 32} 0 1", f"{tethers.key} 99 1", f"{tethers.key} -1 1"):
            with socket.create_connection(parse_address(tethers.address)) as link:
                link.sendall(f"{said}\n".encode())
        with socket.create_connection(parse_address(tethers.address)) as link:
            link.sendall(f"{tethers.key} 1 3\n".encode())
        until(lambda: len(tethers._links) == 5)
        tethers.settle()
        assert (tethers.statuses, tethers.first) == ({1: 3}, 1)
