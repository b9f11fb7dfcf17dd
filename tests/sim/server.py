"""The server in the simulator: its life, its journal, its deaths and returns, and what is judged at each of them.

Output commit is modelled as the real shell has it: what follows from a record leaves when the record is written. In
seeds without a death of the server that is at once. In those with one, records are gathered for a turn; a death takes
those that are not written with it, and may come after they were written and before all was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from rain.client.operations.constant_values import Value
from rain.common.ids import ID
from rain.common.limits import GOVERNOR_LOST_S
from rain.common.location import LocalFile, Upload
from rain.common.protocol import messages as m
from rain.common.states import DataObjectState
from rain.server.check import check
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.core.demand import offered
from rain.server.policy_loading import ChosenPolicy
from tests.sim import records as rec
from tests.sim.machine import Machine
from tests.sim.network import Conversation, PeerSide
from tests.sim.sameness import Sameness

if TYPE_CHECKING:
    from tests.sim.client import SimClient
    from tests.sim.governor import SimGovernor
    from tests.sim.world import World

QUIET = (ev.Tick, ev.TurnEnded)
"""Events that often lead to nothing. Of the steps in which they do one in a hundred changes a record of the server
all the same (a task is put off); the check of the next step sees that."""
UP_AGAIN_S = 0.25
SETTLES_S = 3.0
"""After a return all is said again that was on its way."""


class SimServer:
    """The server of a run: one process after the other."""

    def __init__(self, world: World, policy: ChosenPolicy) -> None:
        self.world = world
        self.policy = policy
        self.random = Random(world.seed + 2_000_003)  # so that histories without deaths are what they were
        self.mortal = self.random.random() < 1 / 3
        self.uploads: dict[str, bytes] = {}
        self.files = 0
        self.steps = 0
        self.step_core: Callable[[ServerCore, ev.Event, float], list[do.Effect]] = ServerCore.step
        self.turn_due = False
        self.quick_loss: dict[str, float] = {}
        self.behind: dict[str, bool] = {}
        self.conversations: list[Conversation] = []
        self.journal: list[rec.Record] = []
        self.committed = 0
        self.outputs: list[Callable[[], None]] = []
        self.doom = ""
        self.away_s = 0.0
        self.returned_at = -SETTLES_S
        self.alive = True
        self.machine = Machine(self)
        self.machine.living = True
        self._live()

    @property
    def core(self) -> ServerCore:
        """The present process's, or the last one's."""
        return self.machine.core

    @property
    def steady(self) -> bool:
        """Whether it is there, and has been for a while."""
        return self.alive and self.world.clock.now >= self.returned_at + SETTLES_S

    def when_up(self, call: Callable[..., None], *args: Any) -> None:
        """Do something now, or when there is a server again."""
        if self.alive:
            call(*args)
        else:
            self.world.clock.after(UP_AGAIN_S, self.when_up, call, *args)

    # -- what happens ---------------------------------------------------------------------------

    def record(self, record: rec.Record, messages: list[Any] | None = None) -> None:
        """Something happens."""
        self.journal.append(record)
        self.machine.apply(record, messages)
        if not self.mortal or self.random.random() < 0.3:
            self.commit()
        if not self.turn_due:
            self.turn_due = True
            self.world.clock.after(self.world.turn_delay(), self._turn_ended, self.machine)

    def _turn_ended(self, machine: Machine) -> None:
        if self._is_past(machine):
            return
        self.turn_due = False
        record = rec.TurnEnded(self.world.clock.now)
        self.journal.append(record)
        machine.apply(record)
        self.commit()

    def _tick(self, machine: Machine) -> None:
        if self._is_past(machine):
            return
        now = self.world.clock.now
        self.record(rec.Tick(now))
        for conversation, name in list(machine.governor_of.items()):
            side = machine.sides.get(conversation)
            limit = self.quick_loss.get(name, GOVERNOR_LOST_S)
            if side is not None and now - side.heard_at > limit and self.alive:
                self.lose(conversation, "silence")
        self.world.clock.after(1.0, self._tick, machine)

    def _live(self) -> None:
        self.turn_due = False
        self.world.clock.after(1.0, self._tick, self.machine)

    def _is_past(self, machine: Machine) -> bool:
        return machine is not self.machine or not self.alive

    def lose(self, conversation: Conversation, reason: str) -> None:
        """Give a peer up."""
        self.record(rec.Gone(self.world.clock.now, conversation.number, reason))

    def pace(self, client: str, behind: bool) -> None:
        """A client falls behind, or has caught up."""
        self.behind[client] = behind
        if self.alive:
            self.record(rec.Pace(self.world.clock.now, client, behind))

    # -- conversations --------------------------------------------------------------------------

    def open_client(self, client: SimClient) -> PeerSide:
        world = self.world
        conversation = Conversation(world.network, self, client.host, client.host, m.ClientToServer, m.ServerToClient)
        self._open(conversation)
        self.commit(surely=True)
        return conversation.peer

    def open_governor(self, governor: SimGovernor) -> PeerSide:
        world = self.world
        conversation = Conversation(world.network, self, "", governor.host, m.GovernorToServer, m.ServerToGovernor)
        conversation.on_refused = governor.reset
        return conversation.peer

    def _open(self, conversation: Conversation) -> None:
        self.record(rec.Opened(self.world.clock.now, conversation.number))
        self.put(partial(setattr, conversation, "welcomed", True))

    def arrived(self, machine: Machine, conversation: Conversation, packet: bytes) -> None:
        """A packet arrives at the process that `machine` was."""
        if self._is_past(machine):
            return
        side = machine.sides.get(conversation)
        if side is None and not conversation.welcomed:
            self._open(conversation)
            side = machine.sides[conversation]
        elif side is None:
            self.commit()  # that it was given up may not be written
            if self.alive:
                conversation.refused()
            return
        if not self.alive:
            return
        side.heard_at = self.world.clock.now
        messages = side.channel.receive(packet)
        if side.channel.ack_wanted:
            side.set_timer()
        if packet[1] != 0:  # not a bare acknowledgement
            claims = self._claim(messages)
            self.record(rec.Packet(self.world.clock.now, conversation.number, packet, claims), messages)

    def _claim(self, messages: list[Any]) -> list[LocalFile]:
        found = []
        for message in messages:
            for constant in message.constants if isinstance(message, m.Submit | m.Retry) else ():
                upload = constant.location
                if isinstance(upload, Upload):
                    self.files += 1
                    found.append(LocalFile(upload.name, self.files, upload.size, 0, upload.checksum))
        return found

    # -- what leaves ----------------------------------------------------------------------------

    def put(self, output: Callable[[], None]) -> None:
        """Do that when the records that led to it are written."""
        self.outputs.append(output)

    def discard(self, names: list[str], machine: Machine) -> None:
        """Remove files of constants."""
        if machine.living:
            self.put(partial(self._remove, names))
        elif machine.returning:
            for name in names:
                self.uploads.pop(name, None)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            del self.uploads[name]

    def commit(self, surely: bool = False) -> None:
        """Write what was gathered, and let out what waits for that; `surely`: death comes later."""
        if not self.alive:
            return
        doom, self.doom = self.doom, ""
        if surely:
            self.doom, doom = doom, ""
        written, done = len(self.journal), len(self.outputs)
        if doom == "torn":
            written, done = self.random.randint(self.committed, written), 0
        elif doom == "sending":
            done = self.random.randint(0, done)
        self.committed = written
        outputs, self.outputs = self.outputs, []
        for output in outputs[:done]:
            output()
        if doom:
            self._die()

    def upload(self, client: str, value: Value, id: ID) -> None:
        """Bring a constant to the server's host."""
        assert value.data is not None
        value.name = f"upload-{id}"
        if client in self.machine.peers:
            self.uploads[value.name] = value.data

    # -- death and return -----------------------------------------------------------------------

    def plan_deaths(self) -> None:
        """When it dies, how, and for how long it is away."""
        for _ in range(self.random.choice([1, 1, 2, 4]) if self.mortal else 0):
            how = self.random.choice(["now", "torn", "torn", "sending"])
            away_s = self.random.choice([0.01, 0.1, 0.5, 2.0, 12.0])
            self.world.clock.after(self.random.random() * 4, self.die, how, away_s)

    def die(self, how: str, away_s: float) -> None:
        """End with the next commit: ``"torn"`` while the records are written, ``"sending"`` while what waits for that
        is sent; ``"now"``: at once."""
        if self.alive and not self.doom:
            self.doom, self.away_s = how, away_s
            if how == "now":
                self._die()

    def _die(self) -> None:
        self.doom = ""
        self.alive = False
        lived = self.machine
        self._judge_replay(lived)
        del self.journal[self.committed :]
        self.outputs.clear()
        for side in lived.sides.values():
            side.close()
        self.world.clock.after(self.away_s, self._return)

    def _return(self) -> None:
        if self.random.random() < 0.2:  # it is killed in the middle of its return
            self._replay(self.random.randint(0, self.committed), returning=True)
        self.machine = self._replay(self.committed, returning=True)
        check(self.core)
        self.machine.living = True
        self.alive = True
        self.returned_at = self.world.clock.now
        for conversation, side in self.machine.sides.items():
            side.set_timer()
            self.world.clock.after(self.random.random(), self._redialled, self.machine, conversation)
        self._live()
        self.record(rec.Tick(self.world.clock.now))
        for client, behind in self.behind.items():
            self.record(rec.Pace(self.world.clock.now, client, behind))

    def _redialled(self, machine: Machine, conversation: Conversation) -> None:
        """A peer is connected again: each side tells what it has had."""
        side, peer = machine.sides.get(conversation), conversation.peer
        if self._is_past(machine) or side is None or not peer.open:
            return
        if self.world.network.reachable(peer.host, "server:1"):
            self.commit()
            if self.alive:
                side.heard_at = self.world.clock.now
                side.resume(peer.channel.received)
                peer.resume(side.channel.received)
                self.commit()

    def _replay(self, count: int, returning: bool = False) -> Machine:
        machine = Machine(self)
        machine.returning = returning
        machine.replay(self.journal[:count])
        return machine

    # -- what is judged -------------------------------------------------------------------------

    def judge_step(self, event: ev.Event, effects: list[do.Effect]) -> None:
        """The core has made a step."""
        self.steps += 1
        quiet = not effects and type(event) in QUIET
        if self.world.checks and (not quiet or self.world.quiet_steps):
            check(self.core)
        for effect in effects:
            if type(effect) is do.ToGovernor and type(effect.message) is m.Dismiss:
                self._judge_dismissal(effect.governor_id)
            elif type(effect) is do.Happened and "no governor can ever hold it" in effect.values.get("error", ""):
                task = self.core.state.graph.task(ID(effect.session, effect.id))
                own = task is not None and effect.values["error"].startswith(f"Task {task.title} asks for")
                assert not own or not offered(self.core.state, task.request), f"{task} could wait for a place"

    def judge_loss(self, name: str) -> None:
        """A governor is given up."""
        if self.core.state.graph.governors[name].leaving is None:
            self.world.losses += 1  # of those that leave on purpose nothing may be charged
        self.quick_loss.pop(name, None)

    def _judge_replay(self, lived: Machine) -> None:
        """All that this process has become follows from its records."""
        replayed = self._replay(len(self.journal))
        Sameness().compare(lived, replayed)

    def _judge_dismissal(self, name: str) -> None:
        """A governor is let go: nothing that is needed may be there alone, unless nobody could have taken it."""
        graph = self.core.state.graph
        if not graph.staying():
            return
        leaver = graph.governors[name]
        for obj in leaver.objects:
            if obj.state is DataObjectState.FINISHED and not obj.safe and leaver in (holders := obj.holders()):
                assert any(holder.leaving is None for holder in holders), f"{obj} goes with {name}"

    def drop_what_was_not_submitted(self) -> None:
        """What clients had brought and did not submit goes with them; the real shell does that."""
        for client in self.world.clients:
            for session in client.sessions:
                for id in session.graph.objects:
                    record = session.record(id)
                    if (record is None or record.state is None) and id.id not in session.mirror.refusals:
                        self.uploads.pop(f"upload-{id}", None)
