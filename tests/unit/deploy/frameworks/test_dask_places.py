"""What a pool on Dask does when workers come, go, are taken or do not answer: with a stand-in for Dask's client."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.deploy.frameworks import dask_places, dask_worker
from rain.deploy.frameworks.dask_places import DaskSupplier, dask_on, own_client
from rain.deploy.frameworks.held import HeldState
from rain.deploy.pools.choice import named, options_of, supply_of
from rain.deploy.pools.supplier import JobState
from rain.net.sealing import Receiver

TOKEN = "rain1-very-secret"


class Worker:
    """A worker that does what a test says."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self.receiver = Receiver()
        self.reserved_by = ""
        self.token = ""
        self.state: HeldState | None = None
        self.error: Exception | None = None
        self.is_hung = False


class StandInClient:
    """Dask's client; remembers what was sent to workers."""

    def __init__(self, *workers: Worker) -> None:
        self.workers = {f"tcp://w{number}": worker for number, worker in enumerate(workers, 1)}
        self.status = "running"
        self.sent: list[bytes] = []
        self.tasks: dict[str, dict[str, Any]] = {}

    def nthreads(self) -> dict[str, int]:
        if self.status != "running":
            raise OSError("no scheduler")
        return {address: worker.threads for address, worker in self.workers.items()}

    def sync(self, make: Callable[[], Any]) -> Any:
        return asyncio.run(make())

    async def run(self, function: Any, *words: Any, workers: list[str], **_: Any) -> dict[str, Any]:
        self.sent.append(pickle.dumps(words))
        [address] = workers
        worker = self.workers[address]
        if worker.is_hung:
            await asyncio.sleep(100)
        return {address: worker.error or self._answer(function, worker, address, words)}

    def _answer(self, function: Any, worker: Worker, address: str, words: Any) -> Any:
        if function is dask_worker.reserve:
            if worker.reserved_by not in ("", words[0]):
                return worker.reserved_by
            worker.reserved_by = words[0]
            return worker.receiver.public
        if function is dask_worker.begin:
            worker.token = worker.receiver.unsealed(words[1][address])
            worker.state = HeldState(False, "", "", "")
        elif function is dask_worker.look:
            return worker.state
        elif function is dask_worker.leave:
            worker.state = HeldState(True, "LEFT", "h:1", "leaving")
        return None

    def submit(self, function: Any, *words: Any, key: str, **options: Any) -> str:
        self.tasks[key] = options
        return key

    def cancel(self, keys: list[str]) -> None:
        for key in keys:
            del self.tasks[key]

    def run_on_scheduler(self, function: Any, *words: Any) -> None:
        self.sent.append(pickle.dumps(words))

    def close(self, **_: Any) -> None:
        self.status = "closed"

    def count(self, prefix: str) -> int:
        return sum(key.startswith(prefix) for key in self.tasks)


def supplier(client: StandInClient) -> DaskSupplier:
    return DaskSupplier(client, "10.0.0.1:7210", TOKEN)


def states(made: DaskSupplier) -> list[JobState]:
    return [job.state for job in made.show([]).values()]


P, R, E = JobState.PENDING, JobState.RUNNING, JobState.ENDED


def test_a_place_a_worker_and_a_pinned_task_for_each() -> None:
    client = StandInClient(Worker(), Worker())
    made = supplier(client)
    for number in (1, 2, 3):
        made.ask(number)
    assert states(made) == [R, R, P]
    assert made.show([])["3"].reason == "Dask has 2 workers, none of them without a governor"
    held = [options for key, options in client.tasks.items() if key.startswith("rain-place-")]
    assert [options["workers"] for options in held] == [["tcp://w1"], ["tcp://w2"]]
    assert all(options["allow_other_workers"] is False and options["pure"] is False for options in held)
    assert made.resources == {"cpus": 1.0}


def test_the_token_travels_sealed_and_only_so() -> None:
    client = StandInClient(Worker())
    made = supplier(client)
    made.ask(1)
    made.show([])
    assert client.workers["tcp://w1"].token == TOKEN
    assert not [data for data in client.sent if b"secret" in data]
    made.close()
    assert TOKEN not in repr(vars(made))


def test_adapt_is_told_how_many_workers_are_wanted() -> None:
    client = StandInClient(Worker(threads=4))
    made = supplier(client)
    for number in (1, 2, 3):
        made.ask(number)
    made.show([])
    # Three workers of four threads, of which one task is there: Dask divides tasks by threads.
    assert client.count("rain-wanted") == 11
    client.workers["tcp://w2"] = Worker(threads=4)
    made.show([])
    assert client.count("rain-wanted") == 10
    made.give_up(["3"])
    made.show([])
    assert client.count("rain-wanted") == 0


def test_a_worker_that_another_pool_has_is_passed_over() -> None:
    client = StandInClient(Worker(), Worker())
    client.workers["tcp://w1"].reserved_by = "rain-place-other"
    made = supplier(client)
    made.ask(1)
    assert states(made) == [R]
    assert client.workers["tcp://w2"].token == TOKEN


def test_a_worker_that_goes_while_its_governor_starts_costs_no_place() -> None:
    client = StandInClient(Worker(), Worker())
    client.workers["tcp://w1"].error = OSError("closed")
    made = supplier(client)
    made.ask(1)
    assert states(made) == [R]
    assert client.workers["tcp://w2"].token == TOKEN


def test_a_worker_without_rain_ends_its_place_with_what_it_said() -> None:
    client = StandInClient(Worker())
    client.workers["tcp://w1"].error = ModuleNotFoundError("No module named 'rain'")
    made = supplier(client)
    made.ask(1)
    assert states(made) == [E]
    assert made.printed(1) == "ModuleNotFoundError: No module named 'rain'"
    assert client.tasks == {}


def test_a_worker_that_hangs_keeps_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StandInClient(Worker(), Worker())
    made = supplier(client)
    made.ask(1)
    made.ask(2)
    made.show([])
    monkeypatch.setattr(dask_places, "FRAMEWORK_ANSWER_S", 0.01)
    client.workers["tcp://w1"].is_hung = True
    client.workers["tcp://w2"].state = HeldState(False, "", "h:2", "")
    assert states(made) == [R, R]
    assert [made.governor(number) for number in (1, 2)] == ["", "h:2"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda client: client.workers.clear(), "WORKER LOST"),
        (lambda client: setattr(client.workers["tcp://w1"], "state", None), "WORKER RESTARTED"),
        (
            lambda client: setattr(client.workers["tcp://w1"], "state", HeldState(True, "SIGKILL", "h:1", "")),
            "SIGKILL",
        ),
        (lambda client: setattr(client, "status", "closed"), "DASK LOST"),
    ],
)
def test_places_end(change: Callable[[StandInClient], Any], word: str) -> None:
    client = StandInClient(Worker())
    made = supplier(client)
    made.ask(1)
    made.show([])
    change(client)
    assert made.show([])["1"] == (E, word, "", "", None)
    assert client.count("rain-place-") == (word == "DASK LOST")  # no scheduler could be told
    made.tidy(keep=False)


def test_a_scheduler_that_is_away_is_told_and_waited_for() -> None:
    client = StandInClient(Worker())
    made = supplier(client)
    made.ask(1)
    client.status = "connecting"
    with pytest.raises(RainException, match="Dask's scheduler does not answer: OSError: no scheduler"):
        made.show([])
    client.status = "running"
    assert states(made) == [R]
    client.status = "connecting"
    made.close()
    assert states(made) == [E]


def test_what_is_given_up_leaves_and_what_waits_is_gone_at_once() -> None:
    client = StandInClient(Worker())
    made = supplier(client)
    made.ask(1)
    made.ask(2)
    made.show([])
    made.give_up(["1", "2"])
    assert states(made) == [E, E]
    assert client.tasks == {}
    made.close()
    with pytest.raises(RainException, match="is closed"):
        made.ask(3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"places on Dask need its client, its cluster, or the address of its scheduler: Client.on\(dask_client\)"),
        ({"scheduler": "tcp://127.0.0.1:1", "cpus": -1}, "cpus of a place is a number of at least 0, not -1"),
        ({"scheduler": "tcp://127.0.0.1:1", "arguments": "--a"}, "arguments is a sequence of texts, not '--a'"),
        ({"scheduler": "x", "memory": "1G"}, "places of 'dask' have no option 'memory'"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(RainException, match=text):
        supply_of("dask", **options)


def test_what_is_no_scheduler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_places, "_CONNECT_S", 0.2)
    with pytest.raises(RainException, match=r"there is no Dask scheduler at 'tcp://127\.0\.0\.1:1'"):
        own_client("tcp://127.0.0.1:1")
    with pytest.raises(RainException, match="is no Dask client, no Dask cluster, and no address"):
        own_client(object())
    assert callable(dask_on(scheduler="tcp://127.0.0.1:1"))


def test_objects_of_dask_stand_for_it() -> None:
    from distributed import Client, LocalCluster

    client, cluster = Client.__new__(Client), LocalCluster.__new__(LocalCluster)
    assert named(client, {})[0] == named(cluster, {})[0] == "dask"
    assert named(cluster, {"cpus": 2})[1] == {"scheduler": cluster, "cpus": 2}
    assert set(options_of("ray")) == {"address", "cpus", "gpus", "memory", "arguments"}
