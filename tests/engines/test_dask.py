"""Rain in the workers of real Dask clusters, which retire, kill and bring them."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from distributed import Client as DaskClient
from distributed import LocalCluster
from distributed.chaos import KillWorker

from rain import Client, Output, RainException, remote
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool
from rain.processes import connection_files
from tests import snippets
from tests.engines.slurm_cluster import LOGIN, SlurmCluster, missing
from tests.support.processes import Marked
from tests.support.waiting import at_this_load, until

pytestmark = pytest.mark.engines
PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"
TASKS, MIB = 500, 50


@remote(outputs=[Output(encode="pickle")])
def large(ctx: Any, mib: int) -> Any:
    import os

    return os.urandom(1) * (mib << 20)


@remote(outputs=[Output(encode="json")])
def small(ctx: Any, number: int, data: Any, folder: str) -> Any:
    import os
    import time

    with open(os.path.join(folder, f"run-{number}"), "a") as file:
        file.write(f"{os.getppid()}\n")
    time.sleep(0.01)
    return [number, data.size >> 20]


@remote(outputs=[Output(encode="json")])
def nap(ctx: Any, seconds: float) -> Any:
    import os
    import time

    time.sleep(seconds)
    return os.getppid()


@remote(outputs=[Output(encode="json")])
def held(ctx: Any, gate: str, folder: str, number: int) -> Any:
    import os
    import time

    open(f"{folder}/held-{number}.{os.getpid()}", "w").close()
    while os.path.exists(gate):
        time.sleep(0.01)
    return os.getpid()


@pytest.fixture(autouse=True, scope="module")
def _resource_tracker() -> Iterator[None]:
    """multiprocessing has one process for all of this one's children, which it never ends."""
    resource_tracker.ensure_running()
    yield
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture
def cluster(marked: Marked, tmp_path: Path) -> Iterator[LocalCluster]:
    """Three workers of one thread each."""
    with LocalCluster(
        n_workers=3, threads_per_worker=1, memory_limit="1GiB", dashboard_address=None, local_directory=tmp_path
    ) as made:
        yield made


def places(pool: Pool, state: PlaceState) -> int:
    return sum(place.state is state for place in pool.places)


def story(client: Client, folder: Path, meanwhile: Callable[[], None]) -> list[list[str]]:
    """500 tasks that read 50 MiB; which governors ran each of them. When 100 are done, `meanwhile` is called."""
    with client.new_session("story", default=True) as session:
        data = large(MIB).output
        tasks = [small(number, data, os.fspath(folder)) for number in range(TASKS)]
        for task in tasks:
            task.keep_outputs()
        session.submit()
        session.wait(tasks[:100], timeout=100)
        meanwhile()
        session.wait_all(timeout=100)
        results = [task.output.fetch().load() for task in tasks]
    assert results == [[number, MIB] for number in range(TASKS)]
    return [(folder / f"run-{number}").read_text().splitlines() for number in range(TASKS)]


def test_workers_that_are_retired_and_killed_lose_nothing(
    cluster: LocalCluster, marked: Marked, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    line, source = snippets.section(PAGE, "Dask", "python")[0]
    namespace: dict[str, Any] = {"Client": Client}
    snippets.run(PAGE, line, source.replace("tcp://scheduler:8786", cluster.scheduler_address), namespace)
    with namespace["dask_client"] as dask_client, namespace["client"] as client:
        [pool] = client.pools
        pool.wait(3, timeout=100)
        assert repr(pool) == "<Pool on dask: 3 up>"
        assert all(len(tasks) == 1 for tasks in dask_client.processing().values())
        assert dask_client.submit(os.getpid).result(timeout=100), "a worker's threads are still Dask's"

        def meanwhile() -> None:
            retired, killed, _ = sorted(dask_client.nthreads())
            dask_client.retire_workers([retired], remove=True)
            kill = KillWorker(delay="1 ms", mode="segfault")
            dask_client.run(added, kill, workers=[killed], wait=False)

        lines = story(client, tmp_path / "runs", meanwhile)
        assert len({run for ran in lines for run in ran}) >= 3
        until(lambda: places(pool, PlaceState.ENDED) == 2, "two places ended")
        until(lambda: len(dask_client.nthreads()) == 2, "the worker that was killed is started again by Dask")
        pool.scale(2)  # the one that is left, and one in the worker that came anew
        pool.wait(2, timeout=100)
        assert pool.engine == "dask"
        dump = tmp_path / "dask"
        dask_client.dump_cluster_state(os.fspath(dump), format="yaml")
        assert b"rain1-" not in (tmp_path / "dask.yaml").read_bytes()
        begin = time.monotonic()
        client.close()
        until(lambda: not marked.named("rain-governor"), "all governors ended")
        assert time.monotonic() - begin < at_this_load(3)
        until(lambda: not any(dask_client.processing().values()), "no task of ours is left in Dask")
        other_ends(cluster, dask_client, marked)


def other_ends(cluster: LocalCluster, dask_client: DaskClient, marked: Marked) -> None:
    """A governor ends with its worker, however that ends; and what a pool cannot have is said."""
    with Client.local(governors=0) as client:
        pool = client.pool(cluster, 2)
        pool.wait(2, timeout=100)
        pids = dask_client.run(os.getpid)
        governors = {process.ppid(): process for process in marked.named("rain-governor")}
        assert set(governors) == set(pids.values())
        first, second = pids.values()
        os.kill(first, signal.SIGKILL)
        until(lambda: not governors[first].is_running(), "it ended with a worker that was killed")
        with pytest.raises(RainException, match=r"have no option 'partition'\. They have cpus, gpus, arguments\."):
            client.pool(dask_client, partition="main")
        broken = client.pool(dask_client, 1, arguments=["--config", "/nowhere"])
        with pytest.raises(RainException, match=r"(?s)1 places cannot come up.*/nowhere"):
            broken.wait(1, timeout=100)
        broken.close()
        cluster.close()
        until(lambda: not governors[second].is_running(), "it ended with its cluster")
        until(lambda: places(pool, PlaceState.ENDED) == 2, "the pool knows")


async def added(plugin: Any, dask_worker: Any) -> None:
    await dask_worker.plugin_add(plugin)


def test_places_outlive_the_server_and_one_that_waited_is_used(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client.local(governors=0) as client:
        pool = client.pool(cluster, 4)
        pool.wait(3, timeout=100)
        before = {one["governor_id"] for one in client.get_server_info()["governors"]}
        with client.new_session("outlives", default=True) as session:
            (gate := tmp_path / "gate").touch()
            running = [held(os.fspath(gate), os.fspath(tmp_path), number) for number in range(3)]
            for task in running:
                task.keep_outputs()
            session.submit()
            until(lambda: len(list(tmp_path.glob("held-*"))) == 3, "all run")
            assert client._cluster is not None
            os.kill(connection_files.read(client._cluster.connection_file).pid, signal.SIGKILL)
            assert len(client.get_server_info()["governors"]) == 3, "it is back"
            cluster.scale(4)
            until(lambda: places(pool, PlaceState.UP) == 4, "the place that waited")
            gate.unlink()
            assert len({task.output.fetch().load() for task in running}) == 3
            assert len(list(tmp_path.glob("held-*"))) == 3, "none ran twice"
            assert len(set(session.run(*[nap(0.2) for _ in range(40)]))) == 4
        assert before < {one["governor_id"] for one in client.get_server_info()["governors"]}


@pytest.mark.soak
def test_adapt_brings_what_is_wanted_and_takes_only_what_is_not_used(marked: Marked, tmp_path: Path) -> None:
    with LocalCluster(
        n_workers=0, threads_per_worker=2, processes=True, dashboard_address=None, local_directory=tmp_path
    ) as cluster:
        cluster.adapt(minimum=0, maximum=2, interval="200ms", wait_count=3)
        with Client.on(cluster, nodes=2, wait=2, timeout=100) as client:
            [pool] = client.pools
            with client.new_session("busy", default=True) as session:
                ran = session.run(*[nap(0.2) for _ in range(40)])  # long enough for Dask to take an idle worker
            assert len(set(ran)) == 2
            assert repr(pool) == "<Pool on dask: 2 up>"
            pool.scale(1)
            until(lambda: len(cluster.scheduler.workers) == 1, "Dask took the worker that is not used any more")
            pool.scale(2)
            pool.wait(2, timeout=100)
            waits = client.pool(cluster, 1)
            until(lambda: waits.places[0].reason)
            assert "Dask has 2 workers, none of them without a governor" in waits.places[0].reason
        until(lambda: not cluster.scheduler.workers, "none is left")


@pytest.fixture
def slurm(home: Path, kept: list[Path], cluster_folder: Path) -> Iterator[SlurmCluster]:
    why = missing()
    if why:
        pytest.skip(why)
    made = SlurmCluster(cluster_folder, kept=kept)
    yield made
    made.close()


@pytest.mark.soak
def test_workers_in_jobs_of_slurm(slurm: SlurmCluster, home: Path) -> None:
    script = Path(__file__).parent / "scripts" / "on_jobqueue.py"
    with slurm.start([sys.executable, "-P", str(script), str(home), LOGIN]) as process:
        until(lambda: (home / "closed").exists() or process.poll() is not None, "its client closed")
        begin = time.monotonic()
        while slurm.processes("\0governor\0") and time.monotonic() - begin < at_this_load(3):
            time.sleep(0.05)
        left = slurm.processes("\0governor\0")
        (home / "looked").touch()
        output, _ = process.communicate()
    assert process.returncode == 0, f"{output}\n{slurm.logs()}"
    assert left == []
    assert re.search("up <Pool on dask: .*3 up", output), output
    assert "none is left" in output
    assert "hosts n1 n2 n3" in output
    assert int(re.search(r"ran twice (\d+)", output)[1]) <= 2, output  # type: ignore[index]
    until(lambda: slurm.idle() == 3, "all hosts free again")
