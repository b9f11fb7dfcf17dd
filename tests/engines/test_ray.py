"""Rain on the nodes of a Ray cluster: two nodes on one host, by `ray.cluster_utils.Cluster`.

Ray is 400 MB, and fragile on a busy machine: `pip install 'rain[ray]'`, and ``pytest --ray -m ray tests/engines``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, Output, RainException, remote
from rain.deploy.pools.places import PlaceState
from tests import snippets
from tests.support.processes import Marked
from tests.support.waiting import at_this_load, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"
pytestmark = pytest.mark.ray


@remote(outputs=[Output(encode="pickle")])
def large(ctx: Any, mib: int) -> Any:
    import os

    return os.urandom(1) * (mib << 20)


@remote(outputs=[Output(encode="json")])
def small(ctx: Any, number: int, data: Any) -> Any:
    import os
    import time

    time.sleep(0.02)
    return [number, data.size >> 20, os.getppid()]


@remote(outputs=[Output(encode="json")])
def environment(ctx: Any) -> Any:
    import os
    import signal

    blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    return [[name for name in os.environ if name.startswith("RAY_")], [int(number) for number in blocked]]


@pytest.fixture
def two_nodes(marked: Marked, tmp_path: Path) -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_places_are_on_nodes_of_their_own_and_end_with_them(
    two_nodes: Any, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(line, source)] = snippets.section(PAGE, "Ray", "python")
    namespace: dict[str, Any] = {"Client": Client}
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)  # of all that runs here, whatever else does
    snippets.run(PAGE, line, source, namespace)
    with namespace["client"] as client:
        [pool] = client.pools
        pool.wait(2, timeout=150)
        assert repr(pool) == "<Pool on ray: 2 up>"
        waits = client.pool("ray", 1)
        until(lambda: waits.places[0].reason)
        assert "Ray's placement group of 1 nodes" in waits.places[0].reason
        waits.close()
        with client.new_session("story", default=True) as session:
            assert session.run(environment()) == [[], []]
            data = large(50).output
            tasks = [small(number, data) for number in range(500)]
            for task in tasks:
                task.keep_outputs()
            session.submit()
            session.wait(tasks[:100], timeout=100)
            first, second = marked.named("rain-governor")
            assert {first.parent().name(), second.parent().name()} == {"ray::Holder"}  # type: ignore[union-attr]
            second.parent().kill()  # type: ignore[union-attr]
            until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE, "it ended with its actor")
            session.wait_all(timeout=100)
            results = [task.output.fetch().load() for task in tasks]
        assert [result[:2] for result in results] == [[number, 50] for number in range(500)]
        until(lambda: [place.state for place in pool.places].count(PlaceState.ENDED) == 1, "the pool knows")
        pool.scale(2)
        pool.wait(2, timeout=150)
        governors = marked.named("rain-governor")
        os.kill(governors[0].pid, 9)
        until(lambda: [place.state for place in pool.places].count(PlaceState.ENDED) == 2, "a child's death is seen")
        with pytest.raises(RainException, match=r"places of 'ray' have no option 'partition'\."):
            client.pool("ray", partition="main")
        begin = time.monotonic()
    until(lambda: not marked.named("rain-governor"), "no governor is left")
    assert time.monotonic() - begin < at_this_load(3)
