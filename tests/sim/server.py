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
from rain.server.recovery import records as rec
from tests.sim.network import ACKNOWLEDGE_S, SERVER, Conversation, PeerSide
from tests.sim.process import Process
from tests.sim.snapshots import Snapshots

if TYPE_CHECKING:
    from tests.sim.client import SimClient
    from tests.sim.governor import SimGovernor
    from tests.sim.world import World

QUIET = (ev.Tick, ev.TurnEnded)
"""Events that often lead to nothing. Of the steps in which they do one in a hundred changes a record of the server
all the same (a task is put off); the check of the next step sees that."""
UP_AGAIN_S = 0.25
MORTAL = 1 / 6
"""Share of histories in which the server dies: each death is judged by a replay of all that was recorded."""
SETTLES_S = 3.0
"""After a return all is said again that was on its way."""


class SimServer:
    """The server of a run: one process after the other."""

    def __init__(self, world: World, policy: ChosenPolicy) -> None:
        self.world = world
        self.policy = policy
        self.random = Random(world.seed + 2_000_003)  # so that histories without deaths are what they were
        self.mortal = self.random.random() < MORTAL
        self.uploads: dict[str, bytes] = {}
        self.files = 0
        self.rows: dict[int, tuple[Any, ...]] = {}
        self.steps = 0
        self.traced: Callable[[ev.Event, list[do.Effect]], None] | None = None
        self.turn_due = False
        self.quick_loss: dict[str, float] = {}
        self.behind: dict[SimClient, bool] = {}
        self.conversations: list[Conversation] = []
        self.journal: list[tuple[int, bytes] | None] = []  # None: removed
        self.snapshots = Snapshots(self)
        self.committed = 0
        self.outputs: list[Callable[[], None]] = []
        self.doom = ""
        self.heir: Process | None = None  # made of the records when the last one died, unless some were not written
        self.away_s = self.away_all_s = 0.0
        self.returned_at = -SETTLES_S
        self.alive = True
        self.process = Process(self)
        self.process.living = True
        self._live()

    @property
    def core(self) -> ServerCore:
        """The present process's, or the last one's."""
        return self.process.machine.core

    @property
    def steady(self) -> bool:
        """Whether it is there, and has been for a while."""
        return self.alive and self.world.clock.now >= self.returned_at + SETTLES_S

    @property
    def now(self) -> float:
        """The time that its records tell: while it is away that stands still."""
        return self.world.clock.now - self.away_all_s

    def when_up(self, call: Callable[..., None], *args: Any) -> None:
        """Do something now, or when there is a server again."""
        if self.alive:
            call(*args)
        else:
            self.world.clock.after(UP_AGAIN_S, self.when_up, call, *args)

    # -- what happens ---------------------------------------------------------------------------

    def record(self, record: rec.Record, messages: list[Any] | tuple[()] = ()) -> None:
        """Something happens."""
        self._take(record, messages)
        if not self.mortal or self.random.random() < 0.3:
            self.commit()
        if not self.turn_due:
            self.turn_due = True
            self.world.clock.after(self.world.turn_delay(), self._turn_ended, self.process)

    def _take(self, record: rec.Record, messages: list[Any] | tuple[()] = ()) -> None:
        self.journal.append((rec.KINDS[type(record)], rec.encode_record(record)))
        self.process.apply(record, messages)
        self.process.pack()

    def _turn_ended(self, process: Process) -> None:
        if self._is_past(process):
            return
        self.turn_due = False
        self._take(rec.TurnEnded(self.now))
        self.commit()
        self.snapshots.turn_ended()

    def _tick(self, process: Process) -> None:
        if self._is_past(process):
            return
        now = self.world.clock.now
        self.record(rec.Ticked(self.now))
        for conversation, name in process.governors.items():
            side = process.side_of(conversation)
            limit = self.quick_loss.get(name, GOVERNOR_LOST_S)
            if side is not None and now - side.heard_at > limit and self.alive:
                self.lose(conversation, "silence")
        self.world.clock.after(1.0, self._tick, process)

    def _live(self) -> None:
        self.turn_due = False
        self.world.clock.after(1.0, self._tick, self.process)

    def _is_past(self, process: Process) -> bool:
        return process is not self.process or not self.alive

    def lose(self, conversation: Conversation, reason: str) -> None:
        """Give a peer up."""
        self.record(rec.Gone(self.now, self.process.numbers[conversation], reason))

    def pace(self, client: SimClient, behind: bool) -> None:
        """A client falls behind, or has caught up."""
        self.behind[client] = behind
        number = self.process.numbers.get(client.side.conversation)
        if self.alive and number is not None:
            self.record(rec.Paced(self.now, number, behind))

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
        hello = m.Hello("client" if conversation.client else "governor", str(conversation.number))
        hello.kernel = self.world.seed % 3 == 1
        number = self.process.machine.opened + 1
        self.record(rec.Opened(self.now, number, 0, conversation.peer.host, hello))
        self.put(partial(setattr, conversation, "welcomed", True))

    def arrived(self, process: Process, conversation: Conversation, packet: bytes) -> None:
        """A packet arrives at a process."""
        if self._is_past(process):
            return
        side = process.side_of(conversation)
        if side is None and not conversation.welcomed:
            self._open(conversation)
            side = process.side_of(conversation)
        elif side is None:
            self.commit()  # that it was given up may not be written
            if self.alive:
                conversation.refused()
            return
        if not self.alive or side is None:
            return
        side.heard_at = self.world.clock.now
        messages = side.channel.receive(packet)
        if side.channel.ack_wanted:
            side.set_timer(ACKNOWLEDGE_S)
        if packet[1] != 0:  # not a bare acknowledgement
            side.packets.append(packet)
        if messages:
            packets, side.packets = side.packets, []
            claims = self._claim(messages)
            number = process.numbers[conversation]
            self.record(rec.Came(self.now, number, packets, claims), messages)

    def _claim(self, messages: list[Any]) -> list[rec.Claim]:
        claims = []
        for index, message in enumerate(messages):
            if isinstance(message, m.Submit | m.Retry) and message.constants:
                files = [self._claimed(constant.location) for constant in message.constants]
                claims.append(rec.Claim(index, "", files))
        return claims

    def _claimed(self, upload: Any) -> LocalFile | None:
        if not isinstance(upload, Upload):
            return None
        self.files += 1
        return LocalFile(upload.name, self.files, upload.size, 0, upload.checksum)

    # -- what leaves ----------------------------------------------------------------------------

    def put(self, output: Callable[[], None]) -> None:
        """Do that when the records that led to it are written."""
        self.outputs.append(output)

    def discard(self, names: list[str]) -> None:
        """Remove files of constants."""
        self.put(partial(self._remove, names))

    def _remove(self, names: list[str]) -> None:
        for name in names:
            del self.uploads[name]
        gone = [name for name in self._needed_uploads() if name not in self.uploads]
        assert not gone, f"files were removed that are needed: {gone}"

    def _needed_uploads(self) -> set[str]:
        """As a real server that comes back finds them."""
        graph = self.core.state.graph
        names = {name for session in graph.sessions.values() for name in session.uploads.values()}
        gathering = [cut for client in graph.clients.values() for cut in client.gathering.values()]
        locations = [constant.location for cut in gathering for constant in cut.constants]
        return names | {location.name for location in locations if isinstance(location, Upload)}

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

    def write_row(self, number: int, row: tuple[Any, ...]) -> None:
        """Write a row of the event log."""
        assert number not in self.rows, f"row {number} was written: {self.rows[number]}"
        self.rows[number] = row

    def upload(self, client: SimClient, value: Value, id: ID, sent: bool = False) -> None:
        """Bring a constant to the server's host: `sent` over a data connection, else into a folder there."""
        assert value.data is not None
        number = self.process.numbers.get(client.side.conversation)
        value.name = f"upload-{id}"
        if number is None:
            return
        self.uploads[value.name] = value.data
        if sent:
            self.record(rec.Uploaded(self.now, number, value.name))
            self.commit(surely=True)  # it is answered

    # -- death and return -----------------------------------------------------------------------

    def plan_deaths(self) -> None:
        """When it dies, how, and for how long it is away."""
        for _ in range(self.random.choice([1, 1, 2, 4]) if self.mortal else 0):
            how = self.random.choice(["now", "torn", "torn", "sending"])
            away_s = self.random.choice([0.01, 0.1, 0.5, 2.0, 12.0])
            self.world.clock.after(self.random.random() * 4, self.die, how, away_s)
            self.world.clock.after(self.random.random() * 4, self._bring_in_vain)
        if self.mortal:
            self.snapshots.plan()
        if self.mortal and self.random.random() < 0.3:  # while sessions are closed, and their files removed
            how = self.random.choice(["torn", "sending"])
            self.world.clock.after(5.0 + 2 * self.random.random(), self.die, how, self.random.choice([0.01, 0.5]))

    def _bring_in_vain(self) -> None:
        """A client brings what it never submits."""
        client = self.random.choice(self.world.clients)
        number = self.process.numbers.get(client.side.conversation)
        if self.alive and number is not None:
            self.files += 1
            self.uploads[f"in-vain-{self.files}"] = b""
            self.record(rec.Uploaded(self.now, number, f"in-vain-{self.files}"))
            self.commit(surely=True)

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
        self.heir = self._judge_replay(self.process)
        if self.committed < len(self.journal):
            del self.journal[self.committed :]
            self.heir = None
        self.snapshots.died()
        self.outputs.clear()
        for side in self.process.sides.values():
            side.close()
        self.world.clock.after(self.away_s, self._return)

    def _return(self) -> None:
        if self.random.random() < 0.2:  # it is killed in the middle of its return
            self._replayed(self.random.randint(self.snapshots.begin, self.committed))
        process = self.heir or self._replayed(self.committed, self.random.randint(0, self.committed))
        for name in process.discarded:
            self.uploads.pop(name, None)
        for number, row in enumerate(process.rows):
            assert self.rows.setdefault(number, row) == row, f"row {number} was another one"
        assert len(self.rows) == len(process.rows), "rows were written of what was never recorded"
        sent = {name for names in process.machine.uploads.values() for name in names}
        for name in [name for name in self.uploads if name.startswith("in-vain") and name not in sent]:
            del self.uploads[name]  # it came, and that was not written
        self.process = process
        check(self.core)
        gone = [name for name in self._needed_uploads() if name not in self.uploads]
        assert not gone, f"files were removed that are needed: {gone}"
        process.living = True
        self.alive = True
        self.returned_at = self.world.clock.now
        self.away_all_s = self.world.clock.now - process.machine.now
        for side in process.sides.values():
            side.heard_at = self.world.clock.now
            side.set_timer()
            self.world.clock.after(self.random.random(), self._redialled, process, side.conversation)
        self._live()
        self.record(rec.Ticked(self.now))
        for client, behind in self.behind.items():
            self.pace(client, behind)

    def _redialled(self, process: Process, conversation: Conversation) -> None:
        """A peer is connected again: each side tells what it has had."""
        side, peer = process.side_of(conversation), conversation.peer
        if self._is_past(process) or side is None or not peer.open:
            return
        if self.world.network.reachable(peer.host, SERVER):
            self.commit()
            if self.alive:
                side.heard_at = self.world.clock.now
                side.resume(peer.channel.received)
                peer.resume(side.channel.received)
                conversation.welcomed = True
                self.commit()

    def _replayed(self, count: int, snapshot: int = 0) -> Process:
        """The process that the newest image and the records up to one make; `snapshot`: at which of them the state
        goes through an image once more."""
        process, begin = self.snapshots.start(), self.snapshots.begin
        if snapshot > begin:
            process.replay(self.snapshots.records(begin, snapshot))
            process.take_image(process.image())
            begin = snapshot
        process.replay(self.snapshots.records(begin, count))
        return process

    # -- what is judged -------------------------------------------------------------------------

    def judge_step(self, event: ev.Event, effects: list[do.Effect]) -> None:
        """The core has made a step."""
        self.steps += 1
        if self.traced is not None:
            self.traced(event, effects)
        quiet = not effects and type(event) in QUIET
        if self.world.checks and (not quiet or self.world.quiet_steps):
            check(self.core)
        if type(event) is ev.GovernorGone:
            if not self.core.state.graph.lost_on_purpose:
                self.world.losses += 1  # of those that leave on purpose nothing may be charged
            self.quick_loss.pop(event.governor_id, None)
        for effect in effects:
            if type(effect) is do.ToGovernor and type(effect.message) is m.Dismiss:
                self._judge_dismissal(effect.governor_id)
            elif type(effect) is do.Happened and "no governor can ever hold it" in effect.values.get("error", ""):
                task = self.core.state.graph.task(ID(effect.session, effect.id))
                own = task is not None and effect.values["error"].startswith(f"Task {task.title} asks for")
                assert not own or not offered(self.core.state, task.request), f"{task} could wait for a place"

    def _judge_replay(self, lived: Process) -> Process:
        """All that this process has become follows from its records; the process that they make."""
        replayed = self._replayed(len(self.journal), self.random.randint(0, len(self.journal)))
        lived.compare(replayed)
        return replayed

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
        for names in self.process.machine.uploads.values():
            for name in names:
                self.uploads.pop(name, None)
        for client in self.world.clients:
            for session in client.sessions:
                for id in session.graph.objects:
                    record = session.record(id)
                    if (record is None or record.state is None) and id.id not in session.mirror.refusals:
                        self.uploads.pop(f"upload-{id}", None)
