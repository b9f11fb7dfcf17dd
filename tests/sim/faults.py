"""What goes wrong in a simulated run besides the network: processes die, leave and are cut off, data are lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from rain.common.limits import CLIENT_GRACE_S, GOVERNOR_LOST_S, GOVERNOR_RECONNECT_S
from rain.governor.core import events as gov
from tests.sim.client import SimClient, SimSession
from tests.sim.network import SERVER, PeerSide

if TYPE_CHECKING:
    from tests.sim.governor import SimGovernor
    from tests.sim.left_stores import LeftStore
    from tests.sim.world import World


class Faults:
    """The faults of one run, planned when it begins."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random

    def plan(self) -> None:
        random = self.random
        for _ in range(random.choice([0, 1, 1, 2, 3])):
            fault = random.choice(
                [
                    self._kill,
                    self._kill,
                    self._cut,
                    self._cut_peers,
                    self._crash,
                    self._lose_file,
                    self._spill,
                    self._late,
                    self._drain,
                    self._drain,
                    self._drain_and_kill,
                    self._drain_all,
                    self._terminate,
                ]
            )
            self.world.clock.after(random.random() * 3, fault)
        if len(self.world.clients) > 1 and random.random() < 0.3:
            self.world.clock.after(random.random() * 3, random.choice([self._client_dies, self._client_lost]))
        own = Random(f"{self.world.seed} given up")  # dice of their own
        if own.random() < 0.2:
            self.world.clock.after(own.random() * 3, self._given_up, own)
        if random.random() < 0.2:
            client = random.choice(self.world.clients)
            self.world.clock.after(random.random() * 3, client.break_off, random.choice([0.5, 3.0]))
        if random.random() < 0.2:
            client = random.choice(self.world.clients)
            self.world.clock.after(random.random() * 2, self.world.server.pace, client, True)
            self.world.clock.after(2 + random.random() * 3, self.world.server.pace, client, False)

    def _some_governor(self) -> SimGovernor | None:
        alive = [governor for governor in self.world.governors if governor.alive]
        return self.random.choice(alive) if alive else None

    def _kill(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            self._kill_this(governor)

    def _kill_this(self, governor: SimGovernor) -> None:
        if not governor.alive:
            return
        governor.die()
        self.world.deaths += 1
        self.world.governors.remove(governor)
        if self.random.random() < 0.5:
            self.world.server.quick_loss[governor.host] = GOVERNOR_RECONNECT_S
        host = governor.host if self.random.random() < 0.5 else governor.host + "1"
        left = governor.remains() if governor.previews.random() < 0.9 else None
        self.world.clock.after(self.random.random() * 4, self._follow, host, governor.resources, left)

    def _follow(self, host: str, resources: dict[str, float], left: LeftStore | None) -> None:
        """Another governor is started in the place of one that died."""
        self.world.new_governor(host, resources, left)
        self.world.clock.after(self.random.random(), self.world.governors[-1].read_something)

    def _drain(self) -> None:
        """A governor leaves: by a signal, or because a client asked for it; at times that is hurried afterwards."""
        governor = self._some_governor()
        if governor is None or governor.host not in self.world.server.process.machine.peers:
            return
        self._part(governor, self.random.choice([0.0, 0.3, 2.0, 20.0]))
        if self.random.random() < 0.2:
            self.world.clock.after(self.random.random(), governor.step, gov.LeaveAsked("SIGTERM", 0.5))

    def _part(self, governor: SimGovernor, within_s: float) -> None:
        self.world.departures += 1
        self.world.cuts += 1  # what it ends runs again, and what it takes along is made again
        if self.random.random() < 0.5:
            governor.step(gov.LeaveAsked("SIGTERM", within_s))
        else:
            self.world.clients[0].drain(governor.host, within_s)

    def _drain_and_kill(self) -> None:
        """It is killed in the middle of that."""
        governor = self._some_governor()
        if governor is not None and governor.host in self.world.server.process.machine.peers:
            self._part(governor, 20.0)
            self.world.clock.after(self.random.random(), self._kill_this, governor)

    def _terminate(self) -> None:
        """A batch system ends its job: all processes at once."""
        governor = self._some_governor()
        if governor is not None and governor.host in self.world.server.process.machine.peers:
            self.world.departures += 1
            self.world.cuts += 1
            governor.terminate_all(0.5 * self.random.random())

    def _drain_all(self) -> None:
        for governor in [
            one for one in self.world.governors if one.alive and one.host in self.world.server.process.machine.peers
        ]:
            self._part(governor, self.random.choice([1.0, 20.0]))

    def left(self, governor: SimGovernor, side: PeerSide) -> None:
        """A governor has ended by itself, with a word of farewell that arrives if anything does."""
        self.world.governors.remove(governor)
        if self.world.network.reachable(governor.host, SERVER):
            self.world.clock.after(self.world.network.delay(), self._farewell, side)
        host = governor.host if self.random.random() < 0.3 else governor.host + "1"
        self.world.clock.after(self.random.random() * 4, self.world.new_governor, host, governor.resources)

    def _farewell(self, side: PeerSide) -> None:
        server = self.world.server
        if server.alive and side.conversation in server.process.governors:
            server.lose(side.conversation, "it has left")

    def _late(self) -> None:
        if len(self.world.server.process.governors) < len(self.world.governors):
            return  # clients expect the first ones, and it would be taken for one of them
        self.world.ever.append({"cpus": 2.0})
        self.world.new_governor(f"g9{self.random.randint(0, 999)}:1", {"cpus": 2.0})

    def _cut(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            seconds = self.random.choice([0.5, 2.0, 14.0])
            self.world.long_cut |= seconds > GOVERNOR_LOST_S
            pair = (SERVER, governor.host) if self.random.random() < 0.5 else (governor.host, SERVER)
            self.world.network.cut(*pair, seconds)
            if self.random.random() < 0.5:
                self.world.network.cut(pair[1], pair[0], seconds)

    def _given_up(self, random: Random) -> None:
        """The server gives a governor up that lives, which hears of it at once, or when it can be reached again."""
        alive = [governor for governor in self.world.governors if governor.alive and governor.side is not None]
        if not alive:
            return
        governor = random.choice(alive)
        if random.random() < 0.5:
            self.world.network.cut(governor.host, SERVER, random.random())
            self.world.network.cut(SERVER, governor.host, random.random())
        self.world.server.when_up(self._lose_governor, governor)

    def _lose_governor(self, governor: SimGovernor) -> None:
        server = self.world.server
        if governor.side is not None and governor.side.conversation in server.process.governors:
            server.lose(governor.side.conversation, "nothing was heard of it")

    def _cut_peers(self) -> None:
        one, other = self._some_governor(), self._some_governor()
        if one is not None and other is not None and one is not other:
            self.world.cuts += 1  # what cannot be fetched may be made again
            self.world.network.cut(one.host, other.host, self.random.choice([0.5, 3.0]))

    def _crash(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.crash_some_executor()

    def _lose_file(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.lose_something()

    def _spill(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.move_something()

    def _client_dies(self) -> None:
        client = self.world.clients[-1]
        client.die()
        self.world.clock.after(CLIENT_GRACE_S, self.world.server.when_up, self._client_gone, client)

    def _client_lost(self) -> None:
        """The server gives a client up that lives: it was not heard for too long, or the server is a new one."""
        client = self.world.clients[-1]
        self.world.server.when_up(self._give_up, client)

    def _give_up(self, client: SimClient) -> None:
        self._client_gone(client)
        self.world.clock.after(self.random.random() * 2, client.be_lost)

    def _client_gone(self, client: SimClient) -> None:
        server = self.world.server
        server.lose(client.side.conversation, "it is gone")
        server.commit(surely=True)
        heir = self.world.clients[0]
        for session in client.sessions:
            if session.persistent:
                heir.adopt(session)
        known = {session.id for one in self.world.clients for session in one.sessions}
        for session_id, record in self.world.server.core.state.graph.sessions.items():
            if session_id not in known and record.client is None:
                # Its client died before it heard of it.
                heir.adopt(SimSession(session_id, self.random, record.on_failure, True))
        # What it had uploaded and never submitted goes with it; the real shell does that.
        for session in client.sessions:
            for id in (*session.graph.constants, *session.graph.functions, *session.graph.ephemeral):
                known = self.world.server.core.state.graph.sessions.get(session.id)
                if known is None or known.over or id.id not in known.uploads:
                    self.world.server.uploads.pop(f"upload-{id}", None)
