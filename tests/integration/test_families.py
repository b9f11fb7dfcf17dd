"""Members of families from the client to the executors: each keeps what a task has."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from rain import Session, TaskCancelled, TaskException, remote, tasks
from tests.support.waiting import until


@remote(auto_load=True, auto_encode="pickle")
def act(ctx, x, folder=""):
    """What each does depends on its argument."""
    with open(os.path.join(folder, f"ran-{x}"), "a") as ran:
        ran.write("x")
    if x == 11:
        print("eleven")
    if x == 12:
        raise ValueError("twelve")
    if x == 13:
        ctx.debug("thirteen")
    if x == 14 and ctx.info.attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 15:
        return b"x" * 200_000
    return x, os.listdir("."), open("mine", "w").write("x")


def ran(folder: Path, x: int) -> int:
    return (folder / f"ran-{x}").stat().st_size


def test_each_member_keeps_what_a_task_has(session: Session, tmp_path: Path) -> None:
    made = [act(x, folder=str(tmp_path)) for x in range(400)]
    session.keep(made)
    session.submit()
    for x, task in enumerate(made):
        if x == 12:
            with pytest.raises(TaskException, match="twelve"):
                task.wait()
        else:
            task.wait()
    assert [made[x].output.fetch().load() for x in (0, 10, 14, 399)] == [(x, [], 1) for x in (0, 10, 14, 399)]
    assert len(made[15].output.fetch().load()) == 200_000
    assert [made[x].stdout() for x in (10, 11, 12)] == ["", "eleven\n", ""]
    assert made[13].info.debug == "thirteen"
    assert [made[x].info.attempts for x in (13, 14)] == [1, 2]
    # The crash repeated the member that ran, and no other.
    assert {x: ran(tmp_path, x) for x in range(400)} == {x: 2 if x == 14 else 1 for x in range(400)}


PROGRAM = """
echo x >> "$1/ran-$2"
case $2 in
11) echo eleven >&2;;
12) exit 3;;
14) test "$(wc -l < "$1/ran-14")" = 2 || kill -9 $PPID;;
15) exec head -c 200000 /dev/zero;;
16) kill -TERM $$;;
esac
ls -A; echo "$2"; touch mine
"""


def test_each_program_of_a_row_keeps_what_a_task_has(session: Session, tmp_path: Path) -> None:
    made = [tasks.Execute(["sh", "-c", PROGRAM, "sh", tmp_path, str(x)], stdout=True) for x in range(60)]
    session.keep(made)
    session.submit()
    for x, task in enumerate(made):
        if x in (12, 16):
            with pytest.raises(TaskException, match="exit status 3" if x == 12 else "SIGTERM") as caught:
                task.wait()
            assert str(task.id) in str(caught.value)
        else:
            task.wait()
    assert [made[x].output.fetch().get_bytes() for x in (0, 10, 14, 59)] == [b"0\n", b"10\n", b"14\n", b"59\n"]
    assert len(made[15].output.fetch().get_bytes()) == 200_000
    assert [made[x].stderr() for x in (10, 11)] == ["", "eleven\n"]
    assert [made[x].info.attempts for x in (13, 14)] == [1, 2]
    assert {x: ran(tmp_path, x) // 2 for x in range(60)} == {x: 2 if x == 14 else 1 for x in range(60)}


@remote(auto_load=True, auto_encode="pickle")
def wait_for(ctx, path):
    while path and not os.path.exists(path):
        time.sleep(0.005)
    return path


def test_cancel_ends_the_member_that_runs(session: Session, tmp_path: Path) -> None:
    paths = ["", "", "", str(tmp_path / "never"), *[""] * 60]
    made = [wait_for(path) for path in paths]
    session.keep(made)
    session.submit()
    until(lambda: made[3].state.value == "running")
    made[3].cancel()
    for place, task in enumerate(made):
        if place != 3:
            task.wait()
    with pytest.raises(TaskCancelled):
        made[3].wait()
    assert [task.output.fetch().load() for task in made[4:6]] == ["", ""]


@remote(auto_load=True, auto_encode="pickle", timeout=0.3)
def wait_at_most(ctx, path):
    while path and not os.path.exists(path):
        time.sleep(0.005)


def test_a_timeout_ends_the_member_that_takes_too_long(session: Session, tmp_path: Path) -> None:
    made = [wait_at_most(path) for path in ["", "", str(tmp_path / "never"), *[""] * 60]]
    session.keep(made)
    session.submit()
    with pytest.raises(TaskException, match="timeout"):
        made[2].wait()
    for place, task in enumerate(made):
        if place != 2:
            task.wait()


def test_results_of_a_range_come_while_the_rest_runs(session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    made = [wait_for(path) for path in ["", "", *[str(go)] * 40]]
    session.keep(made)
    session.submit()
    made[0].wait(10)
    made[1].wait(10)
    assert made[-1].state.value != "finished"
    go.touch()
    session.wait_all()
