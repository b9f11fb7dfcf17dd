"""An elastic pool in the simulator: a client offers places, has one brought when work waits for it, and withdraws."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from rain.client.core.operations import governors
from rain.common.errors import RainException
from rain.common.limits import POOL_SALT_BYTES
from rain.common.protocol import messages as m

if TYPE_CHECKING:
    from tests.sim.world import World

LOOK_S = 0.5


class SimPool:
    """Places of one kind. It has dice of its own, so that histories without it are what they were."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(world.seed + 1_000_003)
        self.resources = self.random.choice([{"cpus": 3.0}, {"cpus": 4.0, "gpus": 1.0}, {"cpus": 1.0}])
        self.left = self.random.choice([1, 2, 3])
        self.brought = 0
        world.clock.after(2 * self.random.random(), self._open)

    def _open(self) -> None:
        client = self.world.clients[0]
        if client.alive and not client.core.over_because:
            opening = governors.open_pool(client.core, bytes(POOL_SALT_BYTES))
            client.start(opening, self._opened, failed=self._failed, patient=True)
        self._offer(self.left)
        self.world.clock.after(LOOK_S, self._look)
        if self.random.random() < 0.5:
            self.world.clock.after(4 * self.random.random(), self._offer, 0)

    def _offer(self, places: int) -> None:
        self.left = places
        offers = [m.Offer("paper", self.resources, places, "none asked for")] if places else []
        client = self.world.clients[0]
        if client.alive and not client.core.over_because:
            client.start(governors.offer(client.core, offers), failed=self._failed, patient=True)

    def _opened(self, number: int) -> None:
        if self.random.random() < 0.5:
            self.world.clock.after(4 * self.random.random(), self._close, number)

    def _close(self, number: int) -> None:
        client = self.world.clients[0]
        if client.alive and not client.core.over_because:
            client.start(governors.close_pool(client.core, number), failed=self._failed, patient=True)

    def _failed(self, error: BaseException) -> None:
        assert isinstance(error, RainException), error

    def _look(self) -> None:
        client = self.world.clients[0]
        if not client.alive or client.core.over_because or not self.left:
            return
        client.start(governors.demand(client.core), self._bring, failed=self._failed, patient=True)
        self.world.clock.after(LOOK_S, self._look)

    def _bring(self, demand: m.Demand) -> None:
        world = self.world
        waits = any(
            need.waiting and all(amount <= self.resources.get(name, 0.0) for name, amount in need.resources.items())
            for need in demand.needs
        )
        # Clients expect the first governors, and it would be taken for one of them.
        if waits and self.brought < self.left and len(world.server.process.governors) >= len(world.governors):
            self.brought += 1
            world.ever.append(self.resources)
            world.new_governor(f"p{self.brought}:1", self.resources)
