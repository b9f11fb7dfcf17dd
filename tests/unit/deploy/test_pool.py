"""A pool of places, with stand-ins for Slurm's commands that tell what a file says."""

from __future__ import annotations

import os
import queue
import re
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.deploy.engines.batch import Order
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.engines.slurm import Slurm
from rain.deploy.pools import pool as pool_module
from rain.deploy.pools.choice import supply_of
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool, pool_of
from rain.deploy.pools.supplier import Job, JobState
from rain.net.auth import Credentials
from tests.support.commands import write_command
from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.supplier import StandIn
from tests.support.waiting import GUARD_S, until

SERVER = "10.0.0.1:7210"


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmStandIn:
    made = SlurmStandIn(tmp_path)
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.setattr(JobSupplier, "look_s", 0.1)
    monkeypatch.setattr(pool_module, "ENGINE_END_S", 0.1)
    return made


@pytest.fixture
def pool(batch: SlurmStandIn) -> Iterator[Pool]:
    made = Pool(JobSupplier(Slurm(), SERVER, Order(2), PoolFolder("the-token", batch.folder / "shared")))
    yield made
    made.close()
    # It looks by the commands of the path that ends with this test.
    made._thread.join()


def states(pool: Pool) -> list[str]:
    return [place.state.value for place in pool.places]


def up(pool: Pool, batch: SlurmStandIn, *numbers: int) -> None:
    """These jobs run, and their governors are registered; the others wait."""
    for number in numbers:
        next((batch.folder / "shared").glob("2*")).joinpath(f"place-{number}.id").write_text("h:1\n")
    all_of_them = range(1, len(pool.places) + 1)
    batch.say(*(f"{n}|RUNNING|None|N/A" if n in numbers else f"{n}|PENDING|Resources|N/A" for n in all_of_them))
    until(lambda: all(pool.places[number - 1].state is PlaceState.UP for number in numbers))


def test_places_come_and_go(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(2)
    until(lambda: states(pool) == ["pending", "pending"])
    with pytest.raises(
        TimeoutError, match=r"1 places are not up within 0.01 s: <Place 1: pending, job 1 \(Resources\)>"
    ):
        pool.wait(1, timeout=0.01)
    up(pool, batch, 1, 2)
    pool.wait(2)
    for place in pool.places:
        until(lambda place=place: place.ends_at is not None, "what the engine tells of it")
        assert place.ends_at is not None
        assert 3500 < place.ends_at - time.time() <= 3600
    assert repr(pool) == "<Pool on slurm: 2 up>"
    pool.scale(1)
    until(lambda: states(pool) == ["up", "ended"])
    pool.scale(1)
    assert len(pool.places) == 2
    pool.close()
    pool.close()
    until(lambda: states(pool) == ["ended", "ended"])
    until(lambda: not list((batch.folder / "shared").iterdir()))
    with pytest.raises(RainException, match="2 ended; closed> cannot be scaled"):
        pool.scale(3)


def test_the_token_is_in_a_file_of_the_user_alone(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(1)
    script = (batch.folder / "job-1.sh").read_text()
    found = [path for path in batch.folder.rglob("*") if path.is_file() and b"the-token" in path.read_bytes()]
    assert [path.name for path in found] == ["token"]
    assert str(found[0]) in script
    for path, mode in ((found[0], 0o600), (found[0].parent, 0o700), (batch.folder / "shared", 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    pool.close()
    assert not found[0].exists()


def test_a_place_that_ends_before_it_is_up_tells_what_it_printed(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(1)
    next((batch.folder / "shared").glob("2*")).joinpath("place-1.log").write_text("loading\nno module named rain\n")
    batch.say("1|FAILED|NonZeroExitCode|N/A")
    with pytest.raises(
        RainException, match=r"(?s)1 places cannot come up: <Place 1: ended, .*FAILED.*no module named rain"
    ):
        pool.wait(1)
    (place,) = pool.places
    assert place.printed == "loading\nno module named rain"
    assert (place.reason, place.cause) == ("FAILED", "")
    pool.close()
    assert list((batch.folder / "shared").iterdir()), "what was printed stays"


def test_jobs_whose_governors_were_dismissed_end_by_themselves(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(2)
    up(pool, batch, 1)
    pool.dismissed()
    assert (batch.folder / "jobs").read_text() == "1|CANCELLED|None|N/A\n2|CANCELLED|None|N/A\n"


def test_a_close_that_is_refused_can_be_tried_again(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(1)
    scancel = batch.folder / "bin" / "scancel"
    told = scancel.read_text()
    write_command(scancel, "#!/bin/sh\necho no controller >&2\nexit 1\n")
    with pytest.raises(RainException, match="scancel 1 failed with status 1: no controller"):
        pool.close()
    write_command(scancel, told)
    pool.close()
    assert (batch.folder / "jobs").read_text() == "1|CANCELLED|None|N/A\n"


def test_a_forked_child_gives_up_nothing(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(1)
    pid = os.fork()
    if pid == 0:
        pool.close()
        pool.dismissed()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert "PENDING" in (batch.folder / "jobs").read_text()
    assert list((batch.folder / "shared").glob("*/token"))


def test_places_have_nothing_of_the_job_in_which_they_are_asked_for(
    pool: Pool, batch: SlurmStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_MEM_PER_CPU", "CUDA_VISIBLE_DEVICES", "SBATCH_ACCOUNT", "SLURM_CONF"):
        monkeypatch.setenv(name, "7")
    sbatch = batch.folder / "bin" / "sbatch"
    write_command(sbatch, sbatch.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\nenv >{batch.folder}/seen\n"))
    pool.scale(1)
    seen = (batch.folder / "seen").read_text()
    assert "SBATCH_ACCOUNT=7" in seen
    assert "SLURM_CONF=7" in seen
    assert "SLURM_MEM_PER_CPU" not in seen
    assert "CUDA_VISIBLE_DEVICES" not in seen


def test_files_of_a_job_that_was_refused_are_no_other_s(pool: Pool, batch: SlurmStandIn) -> None:
    (batch.folder / "refused").write_text("no\n")
    with pytest.raises(RainException, match="failed with status 1: no"):
        pool.scale(1)
    (batch.folder / "refused").unlink()
    pool.scale(1)
    assert [place.number for place in pool.places] == [2]


@pytest.mark.parametrize("printed", ["exit 1", "echo no table", "echo '1|RUNNING'"])
def test_a_batch_system_that_does_not_tell_is_no_hang(
    pool: Pool, batch: SlurmStandIn, monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    pool.scale(1)
    until(lambda: states(pool) == ["pending"])
    squeue = batch.folder / "bin" / "squeue"
    told = squeue.read_text()
    write_command(squeue, f"#!/bin/sh\n{printed}\n")
    monkeypatch.setattr(pool_module, "ENGINE_SILENT_S", 0.1)
    with pytest.raises(RainException, match=r"(?s)slurm does not tell what became of jobs: .*job 1"):
        pool.wait(1)
    write_command(squeue, told)
    up(pool, batch, 1)
    pool.wait(1)


@pytest.fixture
def engine() -> StandIn:
    return StandIn()


def test_each_change_is_told_and_only_changes(engine: StandIn) -> None:
    told: queue.Queue[list[str]] = queue.Queue()
    with Pool(engine) as pool:
        end = pool.watch(lambda: told.put(states(pool)))
        pool.scale(1)
        until_told(told, ["pending"])
        engine.runs(1)
        until_told(told, ["starting"])
        engine.runs(1, "h:1")
        until_told(told, ["up"])
        looks = engine.looks
        until(lambda: engine.looks > looks + 3)
        assert told.empty(), "it was looked at thrice, and nothing changed"
        engine.silent = "no controller"
        until(lambda: bool(pool.trouble))
        assert pool.trouble == "no controller"
        until_told(told, ["up"])
        engine.silent = ""
        until(lambda: not pool.trouble)
        end()
        end()
    until(lambda: states(pool) == ["ended"])
    assert pool.closed


def until_told(told: queue.Queue[list[str]], wanted: list[str]) -> None:
    while told.get(timeout=GUARD_S) != wanted:
        pass


def test_some_places_are_given_up(engine: StandIn) -> None:
    with Pool(engine) as pool:
        pool.scale(3)
        with pytest.raises(RainException, match=r"<Pool on stand-in: 3 \w+> has no place 0, 7"):
            pool.give_up([7, 1, 0])
        assert engine.given_up == []
        pool.give_up([2])
        until(lambda: states(pool) == ["pending", "ended", "pending"])
        pool.give_up([2])
        assert engine.given_up == ["job-2"]
        engine.refuses = "not now"
        with pytest.raises(RainException, match="not now"):
            pool.give_up([1])
        engine.refuses = ""


def test_places_are_seen_while_the_engine_takes_its_time(engine: StandIn) -> None:
    slow, seen = threading.Event(), threading.Event()
    engine.start = lambda number: (seen.set(), slow.wait(GUARD_S))[0] if number == 2 else None
    with Pool(engine) as pool:
        asking = threading.Thread(target=pool.scale, args=(2,))
        asking.start()
        assert seen.wait(GUARD_S)
        assert [place.number for place in pool.places] == [1]
        slow.set()
        asking.join()


def test_refusals_are_told(pool: Pool, batch: SlurmStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    (batch.folder / "refused").write_text("sbatch: error: invalid partition\n")
    with pytest.raises(RainException, match=r"sbatch .* failed with status 1: sbatch: error: invalid partition"):
        pool.scale(1)
    assert pool.places == []
    for count in (-1, 10_000, True, "2"):
        with pytest.raises(RainException, match="the number of places on slurm is from 0 to"):
            pool.scale(count)  # type: ignore[arg-type]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RainException, match="there is no command sbatch on this machine"):
        pool.scale(1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "cloud"}, "no places can be had from 'cloud'; they can from 'slurm', 'pbs', 'sge'"),
        ({"partion": "main"}, "places of 'slurm' have no option 'partion': do you mean partition"),
        ({"server": "127.0.0.1:7210"}, r"hosts of slurm cannot reach it: start it by Client.on\(\"slurm\""),
        ({"cpus": 0}, "cpus of a place is a number of at least 1, not 0"),
        ({"gpus": 0.5}, "gpus of a place is a number of at least 0, not 0.5"),
        ({"arguments": "--account=a"}, r"arguments is a sequence of texts, \['--account=a'\]"),
        ({"time": "soon"}, "'soon' is not a time"),
        ({"memory": "much"}, "much"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, object], text: str) -> None:
    words: dict[str, Any] = {"engine": "slurm", **options}
    server = words.pop("server", SERVER)
    with pytest.raises(RainException, match=text):
        pool_of(supply_of(**words), server, Credentials.generate())


def test_many_places_are_one_array(pool: Pool, batch: SlurmStandIn) -> None:
    pool.scale(1)
    pool.scale(10)
    assert [place.job for place in pool.places] == ["1", *(f"2_{element}" for element in range(1, 10))]
    [folder] = (batch.folder / "shared").glob("2*")
    script = (batch.folder / "job-2.sh").read_text()
    assert "place=$((1 + SLURM_ARRAY_TASK_ID))" in script
    (folder / "place-4.id").write_text("h:4\n")
    lines = [f"2_{element}|PENDING|Resources|N/A" for element in range(1, 10) if element not in (3, 4)]
    (folder / "places-2-4.log").write_text("no module named rain\n")
    batch.say("1|PENDING|Resources|N/A", "2_3|RUNNING|None|N/A", "2_4|FAILED|NonZeroExitCode|N/A", *lines)
    until(lambda: pool.places[4].printed)
    assert [place.state.value for place in pool.places[2:6]] == ["pending", "up", "ended", "pending"]
    assert pool.places[3].governor == "h:4"
    pool.scale(8)
    assert (batch.folder / "cancelled").read_text() == "2_9\n"
    script = script.replace("exec ", "echo ")
    ran = subprocess.run(
        ["sh", "-c", script], env={"SLURM_ARRAY_TASK_ID": "3", "PATH": "/usr/bin:/bin"}, capture_output=True
    )
    assert f"--id-file {folder}/place-4.id" in ran.stdout.decode()
    assert not (folder / "place-4.id").exists()


def test_what_an_interrupted_command_has_submitted_is_cancelled(pool: Pool, batch: SlurmStandIn) -> None:
    sbatch = batch.folder / "bin" / "sbatch"
    write_command(sbatch, sbatch.read_text() + f"kill -INT {os.getpid()}\nexec sleep 100\n")
    with pytest.raises(KeyboardInterrupt):
        pool.scale(1)
    assert pool.places == []
    name = re.search(r"--job-name=(\S+)", (batch.folder / "job-1.sh").read_text())
    assert name is not None
    assert re.fullmatch(r"rain-[0-9a-f]{6}-1", name[1])
    assert (batch.folder / "cancelled").read_text() == f"--name={name[1]} --user={os.getuid()}\n"
    (batch.folder / "cancelled").unlink()
    (batch.folder / "refused").write_text("no\n")
    with pytest.raises(RainException, match="no"):
        pool.scale(1)
    assert (batch.folder / "cancelled").read_text() == f"--name={name[1][:-1]}2 --user={os.getuid()}\n"


def test_a_job_that_was_forgotten_before_it_was_seen_has_ended(pool: Pool, batch: SlurmStandIn) -> None:
    squeue = batch.folder / "bin" / "squeue"
    told = squeue.read_text()
    write_command(squeue, "#!/bin/sh\nexit 1\n")
    pool.scale(1)
    until(lambda: pool.trouble)
    (batch.folder / "jobs").write_text("")
    write_command(squeue, told)
    until(lambda: states(pool) == ["ended"])


def test_a_batch_system_is_asked_seldom_while_nothing_is_to_come(pool: Pool, batch: SlurmStandIn) -> None:
    squeue = batch.folder / "bin" / "squeue"
    write_command(squeue, f"#!/bin/sh\necho >>{batch.folder}/asked\n{squeue.read_text()}")
    pool.scale(1)
    up(pool, batch, 1)
    asked = (batch.folder / "asked").read_text()
    pool._thread.join(0.5)  # five times as long as it waits while something is to come
    assert (batch.folder / "asked").read_text() == asked
    batch.say("1|CANCELLED|None|N/A")
    pool.scale(1)  # is not decided by what was known then
    until(lambda: states(pool) == ["ended", "pending"])


def test_what_a_place_has_is_asked_for() -> None:
    order = Order(4, 1, 3 << 30, 5400, "main", ("--account=a b",))
    script = Slurm().script(order, "rain-1", "exec rain governor x", "/shared/log", 1)
    assert Slurm().submit(order, "/shared/script") == ["sbatch", "--account=a b", "/shared/script"]
    for line in (
        "--cpus-per-task=4", "--gpus=1", "--mem=3072M", "--time=1:30:00", "--partition=main",
        "--job-name=rain-1", "--output=/shared/log", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert script.rstrip().endswith("exec rain governor x")


def test_a_governor_that_registers_is_seen_before_the_engine_is_asked_again() -> None:
    supplier = StandIn()
    supplier.look_s = supplier.idle_look_s = 3600
    pool = Pool(supplier)
    pool.scale(1)
    until(lambda: supplier.looks, "the first look")
    [place] = pool.places
    supplier.silent = "no controller"
    supplier.governors[place.number] = "h:1"
    pool.wait(1)
    assert (place.governor, place.reason) == ("h:1", "")
    supplier.silent = ""
    supplier.jobs[place.job] = Job(JobState.RUNNING, "RUNNING", left_s=100.0)
    pool.scale(1)
    until(lambda: place.ends_at is not None, "what the engine tells of it")
    pool.close()


def test_a_server_that_counts_another_governor_is_word_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PLACE_COMES_S", 3600)
    supplier = StandIn()
    supplier.look_s = supplier.idle_look_s = 3600
    pool = Pool(supplier)
    pool.scale(1)
    until(lambda: supplier.looks, "the first look")
    supplier.runs(1, "h:1")
    pool.governors_counted()
    pool.wait(1)
    pool.close()


def test_what_an_engine_has_forgotten_does_not_count_when_more_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_AGAIN_S", 0.0)
    engine = StandIn()
    with Pool(engine) as pool:
        pool.scale(2)
        for number in (1, 2):
            engine.runs(number, f"g{number}")
        until(lambda: states(pool) == ["up", "up"])
        engine.look_s = engine.idle_look_s = 1000.0
        pool._looked_at = -1e9
        del engine.jobs["job-1"]
        pool.scale(4)
        assert states(pool)[0] == "ended"
        assert len(pool.places) == 5
        engine.look_s = engine.idle_look_s = 0.02
    pool._thread.join()
