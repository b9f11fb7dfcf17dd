"""What dies with the server's process in the simulator: the real machine, and its sides of the conversations. All of it
follows from the records, in life and when they are applied again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from rain.common.protocol import messages as m
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.state_classes import codec
from rain.server.recovery import records as rec
from rain.server.recovery.images import Image, Kept, image_pieces, load_image
from rain.server.recovery.machine import Machine
from tests.sim.armed import ARMED
from tests.sim.network import SERVER, Conversation, ServerSide
from tests.sim.sameness import Sameness, compare_channels

if TYPE_CHECKING:
    from tests.sim.server import SimServer
CODEC = codec()


class JudgedCore(ServerCore):
    """The real core; what it does in life is looked at."""

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        policy = process.server.policy
        super().__init__(SERVER, "server-machine", policy=policy.make, policy_name=policy.name)
        self.process = process

    def step(self, event: ev.Event, now: float) -> list[do.Effect]:
        server = self.process.server
        ARMED.on = True
        try:
            effects = super().step(event, now)
        finally:
            ARMED.on = False
        if self.process.living:
            server.judge_step(event, effects)
        return effects


class Process:
    """One process of the server: the hands of its machine.

    Attributes
    ----------
    living : bool
        Whether what it does leaves it; else it applies records again.
    sides : dict of int to ServerSide
        By the number of their conversations, as the machine counts them.
    numbers : dict of Conversation to int
    pools : dict of int to bytes
    rows : list of tuple
        Of the event log.
    discarded : list of str
        Uploads of which the files are not needed any more, as the records say that are applied again.
    """

    def __init__(self, server: SimServer) -> None:
        self.server = server
        self.living = False
        self.machine = Machine(JudgedCore(self), self)
        self.sides: dict[int, ServerSide] = {}
        self.numbers: dict[Conversation, int] = {}
        self.pools: dict[int, bytes] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.discarded: list[str] = []

    @property
    def governors(self) -> dict[Conversation, str]:
        """Those that are registered."""
        names = self.machine.names
        return {
            side.conversation: names[number]
            for number, side in self.sides.items()
            if names.get(number) and not side.conversation.client
        }

    def side_of(self, conversation: Conversation) -> ServerSide | None:
        """Its side of a conversation, if that is known here."""
        return self.sides.get(self.numbers.get(conversation, 0))

    def apply(self, record: rec.Record, messages: list[Any] | tuple[()] = ()) -> None:
        """Let happen what a record says."""
        if type(record) is rec.Opened:
            self._join(record.conversation, self.server.conversations[int(record.hello.conversation)])
        elif type(record) is rec.Gone:
            self._leave(record.conversation)
        self.machine.apply(record, messages)

    def replay(self, records: Iterable[tuple[int, bytes]]) -> None:
        """Become what the process was that wrote these."""
        for kind, payload in records:
            record = rec.decode_record(kind, payload)
            messages: list[Any] = []
            if type(record) is rec.Came:
                side = self.sides[record.conversation]
                side.pack()  # the packets may acknowledge it
                for packet in record.packets:
                    messages += side.channel.receive(packet)
            self.apply(record, messages)
        for side in self.sides.values():
            side.pack()

    def image(self) -> bytes:
        """Of the core's state."""
        state = self.machine.core.state
        out, state.out = state.out, []  # effects of the present step, in the middle of which it may die
        image = dump(CODEC, state)
        state.out = out
        return image

    def take_image(self, image: bytes) -> None:
        """Go on from the state of which this is the image."""
        core = self.machine.core
        make_policy, before = core.state.make_policy, core.state
        core.state = load(CODEC, image)
        core.state.make_policy = make_policy
        if self.server.random.random() < 0.2:  # what goes on from it is compared with what was lived in any case
            Sameness().compare_states(before, core.state)

    def whole(self) -> bytes:
        """An image of all of it, as a forked child makes it."""
        state = self.machine.core.state
        kept = []
        for number, side in self.sides.items():
            assert not side.gathered, "a turn has ended, and not all is said"
            conversation = side.conversation
            hello = m.Hello("client" if conversation.client else "governor", str(conversation.number))
            kept.append(Kept(number, 0, conversation.peer.host, hello, side.channel.memory()))
        state.out = []  # effects of the last step; they are carried out
        image = Image(state, self.machine.memory(), kept, self.pools, len(self.rows), 0.0, SERVER, [], [], {})
        return b"".join(image_pieces(image))

    def be(self, data: bytes) -> None:
        """Begin as the process of which this is the image."""
        image = load_image(data)
        core = self.machine.core
        image.state.make_policy = core.state.make_policy
        core.state = image.state
        self.machine.remember(image.machine)
        for kept in image.conversations:
            self._join(kept.number, self.server.conversations[int(kept.hello.conversation)])
            self.sides[kept.number].channel.remember(kept.channel)
        self.pools = dict(image.salts)
        self.rows = [self.server.rows[number] for number in range(image.events)]

    def compare(self, replayed: Process) -> None:
        """Find the first difference to a process that was told the same.

        Raises
        ------
        AssertionError
            If there is one.
        """
        assert self.pools == replayed.pools
        assert self.numbers == replayed.numbers
        assert self.rows == replayed.rows
        for number, side in self.sides.items():
            had = side.conversation.peer.channel.received
            compare_channels(side.channel, replayed.sides[number].channel, had)
        one, other = self.machine, replayed.machine
        for name in ("behind", "names", "now", "opened", "peers", "uploads", "_client_count", "_pools"):
            assert getattr(one, name) == getattr(other, name), name
        Sameness().compare_states(one.core.state, other.core.state)

    def pack(self) -> None:
        """Send what was said."""
        for side in list(self.sides.values()):
            if side.gathered:
                side.flush()

    def _join(self, number: int, conversation: Conversation) -> None:
        self.sides[number] = ServerSide(conversation)
        self.numbers[conversation] = number

    def _leave(self, number: int) -> None:
        side = self.sides.pop(number, None)
        if side is not None:
            side.close()
            del self.numbers[side.conversation]

    # -- what the machine wants done ------------------------------------------------------------

    def send(self, conversation: int, message: Any) -> None:
        side = self.sides.get(conversation)
        if side is not None:
            side.gathered.append(message)
            if not self.living and self.server.random.random() < 0.3:
                side.pack()

    def close(self, conversation: int, reason: str) -> None:
        self._leave(conversation)

    def part(self, conversation: int, reason: str) -> None:
        raise AssertionError(f"conversation {conversation} was to be ended: {reason}")

    def later(self, event: rec.FollowUp, tries: int) -> None:
        raise AssertionError(f"{event} was to follow")

    def failed(self, what: str, error: Exception) -> None:
        raise error

    def fatal(self, error: Exception) -> None:
        raise error

    def perform(self, effect: do.Effect) -> None:
        server = self.server
        if type(effect) is do.DiscardUpload:
            if self.living:
                server.discard(effect.names)
            else:
                self.discarded += effect.names
        elif type(effect) is do.AllowPool:
            assert effect.pool not in self.pools, f"pool {effect.pool} was there"
            self.pools[effect.pool] = effect.salt
        elif type(effect) is do.ForbidPool:
            del self.pools[effect.pool]
        elif type(effect) is do.InternalError:
            raise effect.error
        elif isinstance(effect, do.Logged):
            for one in effect.each():
                self.rows.append((one.type, one.session, one.id))
                if self.living:
                    server.put(partial(server.write_row, len(self.rows) - 1, self.rows[-1]))
