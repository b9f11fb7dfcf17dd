"""The server in the simulator: the real core, and a shell of paper around it."""

from __future__ import annotations

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
from tests.sim.network import Conversation, Side

if TYPE_CHECKING:
    from tests.sim.client import SimClient
    from tests.sim.governor import SimGovernor
    from tests.sim.world import World

SERVER = "server:1"
QUIET = (ev.Tick, ev.TurnEnded)
"""Events that often lead to nothing. Of the steps in which they do one in a hundred changes a record of the server
all the same (a task is put off); the check of the next step sees that."""


class SimServer:
    """The server's process."""

    def __init__(self, world: World, policy: ChosenPolicy) -> None:
        self.world = world
        self.uploads: dict[str, bytes] = {}
        self.pools: dict[int, bytes] = {}
        self.steps = 0
        self.core = ServerCore(SERVER, "server-machine", policy=policy.make, policy_name=policy.name)
        self.step_core = self.core.step
        self.turn_due = False
        self.peers: dict[str, Side] = {}
        self.governor_of: dict[Side, str] = {}
        self.quick_loss: dict[str, float] = {}
        world.clock.after(1.0, self._tick)

    # -- events in, effects out -----------------------------------------------------------------
    def step(self, event: ev.Event) -> None:
        self._apply(event)
        if not self.turn_due:
            self.turn_due = True
            self.world.clock.after(self.world.turn_delay(), self._turn_ended)

    def _turn_ended(self) -> None:
        self.turn_due = False
        self._apply(ev.TurnEnded())

    def _apply(self, event: ev.Event) -> None:
        self.steps += 1
        with self.world.armed:
            effects = self.step_core(event, self.world.clock.now)
        quiet = not effects and type(event) in QUIET
        if self.world.checks and (not quiet or self.world.quiet_steps):
            check(self.core)
        out: dict[str, list[Any]] = {}
        for effect in effects:
            if type(effect) is do.ToClient:
                out.setdefault(effect.client_id, []).append(effect.message)
            elif type(effect) is do.ToGovernor:
                if type(effect.message) is m.Dismiss:
                    self._judge_dismissal(effect.governor_id)
                out.setdefault(effect.governor_id, []).append(effect.message)
            elif type(effect) is do.DiscardUpload:
                for name in effect.names:
                    del self.uploads[name]
            elif type(effect) is do.DropGovernor:
                raise AssertionError(f"{effect.governor_id} was thrown out: {effect.reason}")
            elif type(effect) is do.AllowPool:
                assert effect.pool not in self.pools, f"pool {effect.pool} was there"
                self.pools[effect.pool] = effect.salt
            elif type(effect) is do.ForbidPool:
                del self.pools[effect.pool]
            elif type(effect) is do.InternalError:
                raise effect.error
            elif type(effect) is do.Happened and "no governor can ever hold it" in effect.values.get("error", ""):
                task = self.core.state.graph.task(ID(effect.session, effect.id))
                own = task is not None and effect.values["error"].startswith(f"Task {task.title} asks for")
                assert not own or not offered(self.core.state, task.request), f"{task} could wait for a place"
        for name, messages in out.items():
            if name in self.peers:
                self.peers[name].send(messages)

    def _tick(self) -> None:
        self.step(ev.Tick())
        now = self.world.clock.now
        for side, name in list(self.governor_of.items()):
            limit = self.quick_loss.get(name, GOVERNOR_LOST_S)
            if now - side.heard_at > limit:
                self.lose(side, name, "silence")
        self.world.clock.after(1.0, self._tick)

    def lose(self, side: Side, name: str, reason: str) -> None:
        if self.core.state.graph.governors[name].leaving is None:
            self.world.losses += 1  # of those that leave on purpose nothing may be charged
        side.close()
        del self.governor_of[side]
        del self.peers[name]
        self.quick_loss.pop(name, None)
        self.step(ev.GovernorGone(name, reason))

    # -- conversations --------------------------------------------------------------------------

    def open_client(self, client: SimClient) -> Side:
        conversation = Conversation(self.world.network, SERVER, client.host, m.ClientToServer, m.ServerToClient)
        self.peers[client.host] = conversation.here
        conversation.here.on_messages = lambda messages: self._client_said(client.host, messages)
        self.step(ev.ClientJoined(client.host))
        return conversation.there

    def _client_said(self, name: str, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, m.Submit | m.Retry):
                for constant in message.constants:
                    upload = constant.location
                    if isinstance(upload, Upload):
                        upload.file = LocalFile(upload.name, 1, upload.size, 0, upload.checksum)
            self.step(ev.ClientSaid(name, message))

    def open_governor(self, governor: SimGovernor) -> Side:
        conversation = Conversation(self.world.network, SERVER, governor.host, m.GovernorToServer, m.ServerToGovernor)
        side = conversation.here
        conversation.on_refused = governor.reset
        side.on_messages = lambda messages: self._governor_said(side, messages)
        return conversation.there

    def _governor_said(self, side: Side, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, m.Register):
                for other, name in list(self.governor_of.items()):
                    if name == message.governor_id:
                        self.lose(other, name, "it registered anew")
                self.governor_of[side] = message.governor_id
                self.peers[message.governor_id] = side
                self.step(ev.GovernorJoined(message.governor_id, message))
            elif side in self.governor_of:
                self.step(ev.GovernorSaid(self.governor_of[side], message))

    def upload(self, client: str, value: Value, id: ID) -> None:
        """Bring a constant to the server's host."""
        assert value.data is not None
        value.name = f"upload-{id}"
        if client in self.peers:
            self.uploads[value.name] = value.data

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
