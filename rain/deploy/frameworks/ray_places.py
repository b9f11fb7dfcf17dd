"""Places on the nodes of a Ray cluster: an actor each, in a bundle of a placement group.

Theory of operation
-------------------
Places that are asked for together make one placement group, whose strategy STRICT_SPREAD puts each on a node of its
own; nodes on which this pool has places already are excluded by their labels. A group that waits is what Ray's
autoscaler sees. In each bundle an actor takes all of it and holds the governor. Ray reserves a group as a whole: what
its places had is free again when the last of them has ended; until then it serves places that are asked for later.

Everything belongs to the driver, this process: when it ends Ray ends the actors and removes the groups.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import FRAMEWORK_ANSWER_S, FRAMEWORK_STEP_S, STORE_MEMORY_SHARE
from rain.deploy.frameworks.held import HeldState
from rain.deploy.frameworks.ray_actor import Holder
from rain.deploy.frameworks.supplier import FrameworkSupplier, Spot, check_counts, check_words
from rain.deploy.pools.supplier import Supplier, Supply
from rain.net.sealing import sealed

log = logging.getLogger("rain.deploy")

_CALLS_AT_ONCE = 4


class _Group(NamedTuple):
    """A placement group, and the spots that are its bundles, in order."""

    group: Any
    spots: list[Spot]


class RaySupplier(FrameworkSupplier):
    """Places on the nodes of the Ray cluster to which this process is connected.

    Parameters
    ----------
    server : str
        ``host:port`` as nodes reach it.
    token : str
        For governors.
    cpus, gpus, memory_bytes : int
        Of each place; 0 bytes: nothing is said to Ray of memory.
    arguments : sequence of str
        Further words of ``rain governor``.
    """

    def __init__(
        self,
        server: str,
        token: str,
        cpus: int = 1,
        gpus: int = 0,
        memory_bytes: int = 0,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__("ray", token)
        self.resources = {"cpus": float(cpus)} | ({"gpus": float(gpus)} if gpus else {})
        self._server = server
        self._bundle = (
            {"CPU": cpus} | ({"GPU": gpus} if gpus else {}) | ({"memory": memory_bytes} if memory_bytes else {})
        )
        self._cpus, self._gpus, self._memory_bytes = cpus, gpus, memory_bytes
        self._words = ["--cpus", str(cpus)]
        if memory_bytes:
            self._words += ["--store-memory", str(int(memory_bytes * STORE_MEMORY_SHARE))]
        self._words += arguments
        self._groups: list[_Group] = []

    def advance(self, spots: list[Spot]) -> None:
        import ray

        if not ray.is_initialized():
            for spot in spots:  # actors end with their driver
                spot.over("RAY LOST")
            return
        self._look([spot for spot in spots if spot.begun])
        if not self._closed:
            grouped = {spot for group in self._groups for spot in group.spots}
            self._ask_for([spot for spot in spots if spot not in grouped and not spot.unwanted])
            for group in self._groups:
                self._begin_in(group)
        self._let_go()

    def leave(self, spots: list[Spot]) -> None:
        self._answers(spots, [spot.at.leave.remote() for spot in spots], FRAMEWORK_ANSWER_S)

    def finish(self) -> None:
        self._let_go()

    # -- the steps of a place -------------------------------------------------------------------

    def _ask_for(self, spots: list[Spot]) -> None:
        from ray.util.placement_group import placement_group

        spots = self._reuse(spots)
        if not spots:
            return
        bundles = [dict(self._bundle) for _ in spots]
        taken = sorted(self._nodes())
        options: dict[str, Any] = {}
        if taken:
            options["bundle_label_selector"] = [{"ray.io/node-id": f"!in({','.join(taken)})"} for _ in spots]
        self._groups.append(_Group(placement_group(bundles, strategy="STRICT_SPREAD", **options), spots))

    def _reuse(self, spots: list[Spot]) -> list[Spot]:
        """Give these the bundles of places that have ended, which Ray still reserves; those that are left over."""
        left = list(spots)
        for group in self._groups:
            for index, ended in enumerate(group.spots):
                if left and ended.told.ended:
                    self._end_actor(ended)
                    group.spots[index] = left.pop(0)
        return left

    def _nodes(self) -> set[str]:
        """On which there are places of this pool."""
        from ray.util.placement_group import placement_group_table

        found = set()
        for group, spots in self._groups:
            nodes = placement_group_table(group).get("bundles_to_node_id", {})
            found |= {nodes[i] for i, spot in enumerate(spots) if not spot.told.ended and nodes.get(i)}
        return found

    def _begin_in(self, group: _Group) -> None:
        """Start actors in a group that has become ready, and governors in these."""
        from ray.util.placement_group import placement_group_table

        waiting = [spot for spot in group.spots if not spot.begun and not spot.told.ended]
        if not waiting:
            return
        table = placement_group_table(group.group)
        if table.get("state") != "CREATED":
            reason = table.get("stats", {}).get("scheduling_state", "")
            for spot in waiting:
                spot.waits_for = f"Ray's placement group of {len(group.spots)} nodes: {reason or table.get('state')}"
            return
        for spot in waiting:
            spot.at = self._actor(group, spot)
        keys = self._answers(waiting, [spot.at.public.remote() for spot in waiting], FRAMEWORK_STEP_S)
        ready = [spot for spot in waiting if not spot.told.ended and spot.number in keys]
        begun = self._answers(
            ready,
            [
                spot.at.begin.remote(sealed(self._token, keys[spot.number]), self._server, self._gpus, self._words)
                for spot in ready
            ],
            FRAMEWORK_STEP_S,
        )
        for spot in waiting:
            spot.begun = spot.begun or spot.number in begun
            if not spot.begun and not spot.told.ended:
                spot.over(
                    "NOT STARTED", f"Ray's actor has not answered within FRAMEWORK_STEP_S ({FRAMEWORK_STEP_S:g} s)"
                )

    def _actor(self, group: _Group, spot: Spot) -> Any:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        where = PlacementGroupSchedulingStrategy(
            placement_group=group.group, placement_group_bundle_index=group.spots.index(spot)
        )
        made = ray.remote(Holder).options(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_concurrency=_CALLS_AT_ONCE,
            scheduling_strategy=where,
            **({"memory": self._memory_bytes} if self._memory_bytes else {}),
        )
        return made.remote()

    def _look(self, spots: list[Spot]) -> None:
        told = self._answers(spots, [spot.at.state.remote() for spot in spots], FRAMEWORK_ANSWER_S)
        for spot in spots:
            if spot.number in told:
                spot.told = HeldState(*told[spot.number])

    def _answers(self, spots: Sequence[Spot], asked: Iterable[Any], within_s: float) -> dict[int, Any]:
        """What actors have answered within a time, by number; places whose actor has failed have ended."""
        import ray

        references = list(asked)
        if not references:
            return {}
        done, _ = ray.wait(references, num_returns=len(references), timeout=within_s)
        answers = {}
        for spot, reference in zip(spots, references, strict=True):
            if reference not in done:
                log.info("Ray's actor of place %d has not answered within %g s", spot.number, within_s)
                continue
            try:
                answers[spot.number] = ray.get(reference)
            except Exception as error:
                spot.over("ACTOR LOST" if spot.begun else "NOT STARTED", f"{type(error).__name__}: {error}")
        return answers

    @staticmethod
    def _end_actor(spot: Spot) -> None:
        import ray

        if spot.at is not None:
            ray.kill(spot.at)
            spot.at = None

    def _let_go(self) -> None:
        """End the actors of places that have ended, and remove groups of which none is left."""
        import ray
        from ray.util.placement_group import remove_placement_group

        if not ray.is_initialized():
            return
        for group in list(self._groups):
            for spot in group.spots:
                if spot.told.ended:
                    self._end_actor(spot)
            if all(spot.told.ended for spot in group.spots):
                remove_placement_group(group.group)
                self._groups.remove(group)


def ray_on(
    *,
    address: str = "auto",
    cpus: int = 1,
    gpus: int = 0,
    memory: int | str = 0,
    arguments: Sequence[str] = (),
) -> Supply:
    """Places on the nodes of a Ray cluster, whose options are checked here.

    Parameters
    ----------
    address : str
        Of the cluster, as `ray.init` takes it, if this process is not connected to one.
    cpus, gpus : int
        Of each place.
    memory : int or str
        Of each place, that Ray sets aside: bytes, or a text as ``"16G"``; 0: nothing is said of it.
    arguments : sequence of str
        Further options of ``rain governor``, verbatim.

    Raises
    ------
    RainException
        If one of them has no meaning, or Ray is not installed.
    """
    check_counts(cpus=cpus, gpus=gpus)
    check_words(arguments)
    if cpus < 1:
        raise RainException(f"cpus of a place is a number of at least 1, not {cpus}")
    memory_bytes = parse_bytes(memory) if memory else 0
    try:
        import ray  # noqa: F401
    except ImportError:
        raise RainException("places on Ray need the library ray: pip install 'rain[ray]'") from None

    def supplier(server: str, token: str) -> Supplier:
        connect(address)
        return RaySupplier(server, token, cpus, gpus, memory_bytes, arguments)

    return supplier


def connect(address: str) -> None:
    """Connect this process to a Ray cluster, if it is to none. It stays so: the user's own code may use Ray as well.

    Raises
    ------
    RainException
        If there is no cluster.
    """
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RainException(f"this process cannot be connected to a Ray cluster at {address!r}: {error}") from None
