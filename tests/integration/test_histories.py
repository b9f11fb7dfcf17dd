"""Random graphs on real processes, with faults at random moments; every result is compared with a serial run."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Session, Task, TaskCancelled, TaskException, TaskState, blob, remote, tasks
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S, until


@remote(auto_load=True, auto_encode="json")
def mix(ctx: Any, seed: int, log: str, *values: int) -> int:
    with open(log, "a") as file:
        file.write(f"{seed}\n")
    return (seed + 31 * sum(values)) % 1_000_003


def random_graph(rnd: random.Random, count: int, log: Path) -> tuple[list[Task], list[int]]:
    """`count` tasks, each on up to three earlier ones, and what each must give."""
    made: list[Task] = []
    expected: list[int] = []
    for seed in range(count):
        sources = [rnd.randrange(max(0, seed - 200), seed) for _ in range(rnd.randint(0, 3)) if seed]
        made.append(mix(seed, str(log), *[made[source] for source in sources]))
        expected.append((seed + 31 * sum(expected[source] for source in sources)) % 1_000_003)
    return made, expected


def run_with_a_kill(marked: Marked, folder: Path, seed: int, count: int) -> None:
    """Kill one of three governors at a random moment of the run."""
    rnd = random.Random(seed)
    log = folder / f"log{seed}"
    log.touch()
    with Client.local(cpus=3, governors=3) as client, client.new_session("history") as session:
        made, expected = random_graph(rnd, count, log)
        for task in made[::7]:
            task.keep_outputs()
        session.submit()
        moment = rnd.randrange(count)
        until(lambda: log.stat().st_size >= 5 * moment or session_is_done(session), "the run gets there", 60)
        victim = rnd.choice(marked.named("rain-governor"))
        victim.send_signal(signal.SIGKILL)
        session.wait_all(timeout=GUARD_S)
        assert [task.output.fetch().load() for task in made[::7]] == expected[::7]
        times = [0] * count
        for line in log.read_text().split():
            times[int(line)] += 1
        assert min(times) >= 1
        # Once more for those that ran or whose outputs were lost, never for all.
        assert max(times) <= 3


def session_is_done(session: Session) -> bool:
    return all(task.state is TaskState.FINISHED for task in session.tasks)


def test_a_governor_dies_in_the_middle(marked: Marked, tmp_path: Path) -> None:
    run_with_a_kill(marked, tmp_path, seed=1, count=400)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(20))
def test_a_governor_dies_at_any_moment(marked: Marked, tmp_path: Path, seed: int) -> None:
    run_with_a_kill(marked, tmp_path, seed, count=5000)


def cancel_at_random(client: Client, seed: int, count: int) -> None:
    """Cancel `count` tasks, waiting, queued or running, while others run and depend on them."""
    rnd = random.Random(seed)
    with client.new_session("cancels") as session:
        short = [tasks.Sleep(blob(str(i)), rnd.choice([0, 0.001, 0.01])) for i in range(count)]
        programs = [tasks.Execute(["sleep", str(rnd.choice([0, 0.001, 5]))]) for _ in range(count // 10)]
        after = [tasks.Concat([rnd.choice(short), rnd.choice(short)]) for _ in range(count)]
        session.submit()
        victims = rnd.sample(short + after, count) + programs
        rnd.shuffle(victims)
        while victims:
            size = rnd.randint(1, 20)
            session.cancel(victims[:size])
            del victims[:size]
        failed = session.wait_all(raise_on_failure=False, timeout=GUARD_S)
        for task in session.tasks:
            assert task.state in (TaskState.FINISHED, TaskState.CANCELLED, TaskState.FAILED), task
        for task in failed:
            with pytest.raises((TaskCancelled, TaskException)):
                task.wait()
        assert session.run(tasks.Concat([blob("as "), blob("before")])) == b"as before"
    (governor,) = client.get_server_info()["governors"]
    assert not governor["tasks"]
    assert not governor["objects"]


def test_cancels_at_any_moment(client: Client) -> None:
    cancel_at_random(client, seed=1, count=60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10))
def test_many_cancels(client: Client, seed: int) -> None:
    cancel_at_random(client, seed, count=500)
