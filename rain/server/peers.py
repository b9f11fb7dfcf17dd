"""The server's hands: what its peers say becomes records, and what the machine says leaves by their conversations.

Whatever happens becomes a record, which is gathered for the journal and applied to the machine. At the end of a loop
turn in which anything happened the machine gets `TurnEnded`: then the core schedules, and one batch goes to each peer.
Peers are conversations here: connections come and go below, in `rain.net.transport`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import UPDATES_BACKLOG_BYTES_MAX
from rain.common.location import LocalFile, Upload
from rain.common.protocol.messages import Assign, Failed, Hello, NewSession, ReadOutput, Retry, Submit
from rain.net.auth import Credentials, pool_key, pool_role
from rain.net.guarded import guarded
from rain.net.peer_identity import has_ended
from rain.net.sending import Sender
from rain.net.transport import Conversation
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.event_log.event_log import EventLog
from rain.server.recovery.images import Image, Kept
from rain.server.recovery.machine import FAILURES_MAX, Machine
from rain.server.recovery.recorder import Recorder
from rain.server.recovery.records import (
    Acknowledged,
    Came,
    Claim,
    Followed,
    FollowUp,
    Gone,
    Opened,
    Paced,
    Record,
    Ticked,
    TurnEnded,
    Uploaded,
    names_of_uploads,
    without_work,
)
from rain.server.uploads import ConstantFiles

log = logging.getLogger("rain.server")


class Peers:
    """The conversations of a server, and its machine.

    Parameters
    ----------
    core : ServerCore
    credentials : Credentials
        Get the keys of pools.
    events : EventLog
    recorder : Recorder
    on_fatal : callable
        Called with an error that stays.

    Attributes
    ----------
    machine : Machine
    recorder : Recorder
    constants : ConstantFiles
        To be set before anything comes.
    """

    constants: ConstantFiles

    def __init__(
        self,
        core: ServerCore,
        credentials: Credentials,
        events: EventLog,
        recorder: Recorder,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self.machine = Machine(core, self)
        self._loop = asyncio.get_running_loop()
        self._credentials = credentials
        self._events = events
        self.recorder = recorder
        self._on_fatal = on_fatal
        self._conversations: dict[int, Conversation] = {}
        self._senders: dict[int, Sender] = {}
        self._salts: dict[int, bytes] = {}  # of pools
        self._turn_due = False
        self._turn_ending = False
        self._flushes: list[Callable[[], None]] = []  # of conversations in which there is something to be sent
        self._soon = 0  # what is to become a record in the next turn of the loop
        self._failures = 0  # of turns and ticks, in a row
        self._performs: dict[type, Callable[[Any], None]] = {
            do.AllowPool: self._allow_pool,
            do.ForbidPool: self._forbid_pool,
            do.InternalError: lambda effect: self.failed(effect.about, effect.error),
            do.DiscardUpload: lambda effect: recorder.after_commit(self.constants.discard, effect.names),
            **dict.fromkeys(do.LOGGED, self._happened),
        }

    # -- what comes -----------------------------------------------------------------------------

    def opened(self, conversation: Conversation, hello: Hello) -> None:
        """A peer opened a conversation."""
        number = self.machine.opened + 1
        self.join(number, conversation)
        self._take(Opened(self.recorder.now(), number, conversation.pool, conversation.address, hello))

    def join(self, number: int, conversation: Conversation) -> None:
        """Listen to a conversation, and speak through it."""
        conversation.on_messages = lambda messages: self._came(number, conversation, messages)
        conversation.on_gone = lambda reason: self._gone(number, reason)
        conversation.on_acknowledged = lambda received: self._acknowledged(number, received)
        conversation.soon = self._flush_soon
        self._conversations[number] = conversation
        self._senders[number] = Sender(
            conversation, lambda message, error: self._unsendable(number, conversation, message, error)
        )

    def restore(self, number: int, conversation: Conversation) -> None:
        """As `join`, for a conversation in which it is said again what was said before: nothing waits."""
        self.join(number, conversation)
        self._senders[number].patient = False

    def conversation(self, number: int) -> Conversation | None:
        """A conversation that is not over."""
        return self._conversations.get(number)

    def leave(self, number: int) -> Conversation | None:
        """Forget a conversation, and give it if it was there."""
        self._senders.pop(number, None)
        conversation = self._conversations.pop(number, None)
        if conversation is not None:  # the circle would hold it for ever where the collector has frozen it
            conversation.on_messages = conversation.on_gone = _nothing
            conversation.soon = self._loop.call_soon
        return conversation

    def resume(self) -> None:
        """All that was said before is said again: senders wait for their peers from now on, and a turn is due."""
        for sender in self._senders.values():
            sender.patient = True
        self._turn_soon()

    @property
    def settled(self) -> bool:
        """Whether all that happened is recorded, and its turn is over."""
        return not self._turn_due and not self._soon

    def image(self, events: int, address: str, folders: list[str]) -> Image:
        """All of the server as one object; only in a child, which shall do nothing else afterwards."""
        hands = self.machine.hands = _ChildsHands()
        self.recorder.detach()
        for conversation in self._conversations.values():
            conversation.detach()
        kept = []
        for number, conversation in list(self._conversations.items()):
            self._senders[number].send_waiting()
            memory = conversation.memory()
            kept.append(Kept(number, conversation.pool, conversation.address, conversation.peer, memory))
        return Image(
            self.machine.core.state, self.machine.memory(), kept, self._salts, events,
            time.time() - self.recorder.now(), address, folders, hands.followed, hands.parted,
        )  # fmt: skip

    def uploaded(self, conversation: str, name: str) -> None:
        """A client brought a file over a data connection.

        Raises
        ------
        RainException
            If the client is gone.
        """
        for number, known in self._conversations.items():
            if known.name == conversation and self.machine.is_client(number):
                self.record(Uploaded(self.recorder.now(), number, name))
                return
        self.constants.abandon([name])
        raise RainException("the client that sent this constant is gone")

    def tick(self) -> None:
        """Time went by."""
        self._take(Ticked(self.recorder.now()))

    def tell_governors(self, message: Any) -> None:
        """Send a message to all governors."""
        for name, number in self.machine.peers.items():
            if name not in self.machine.behind:
                self.send(number, message)

    def _came(self, number: int, conversation: Conversation, messages: list[Any]) -> None:
        packets, client, full = conversation.packets, self.machine.is_client(number), self.recorder.full
        if full and client and any(isinstance(message, Submit | Retry | NewSession) for message in messages):
            messages, claims = self._refused(messages, full)
            packets = [conversation.packet_of(messages)]  # of what is refused little has to be recorded
        else:
            claims = [
                self._claim(index, message.constants)
                for index, message in enumerate(messages)
                if client and isinstance(message, Submit | Retry) and message.constants
            ]
        self._take(Came(self.recorder.now(), number, packets, claims), messages)

    def _refused(self, messages: list[Any], why: str) -> tuple[list[Any], list[Claim]]:
        """Nothing new is taken on: there is no room to record it."""
        claims = []
        for index, message in enumerate(messages):
            if isinstance(message, Submit | Retry | NewSession):
                claims.append(Claim(index, why, []))
                names = names_of_uploads(message)
                if names:
                    self.recorder.after_commit(self.constants.discard, names)
        return [without_work(message) for message in messages], claims

    def _claim(self, index: int, constants: list[Any]) -> Claim:
        """Take over what was uploaded. The core refuses the request if anything is wrong, of which this may be one
        piece of several."""
        claim = Claim(index, "", [])
        for constant in constants:
            file: LocalFile | None = None
            if isinstance(constant.location, Upload) and not claim.trouble:
                try:
                    file = self.constants.claim(constant.id, constant.location)
                except Exception as error:
                    if not isinstance(error, RainException):
                        log.exception("constant %s cannot be taken over", constant.id)
                    claim.trouble = str(error) or type(error).__name__
            claim.files.append(file)
        return claim

    def _gone(self, number: int, reason: str, waits_s: float = 0.0) -> None:
        conversation = self.leave(number)
        if conversation is None:
            return
        name = self.machine.names.get(number)
        if name and not self.machine.is_client(number):
            log.warning("governor %s is lost: %s", name, reason)
        self._take(Gone(self.recorder.now(), number, reason, waits_s or self._waits_s(conversation)))

    def _waits_s(self, conversation: Conversation) -> float:
        """How long the sessions of a client that is gone wait for another."""
        hello = conversation.peer
        if hello.role != "client" or conversation.ended != "unreachable":
            return 0.0
        comes_back = hello.kernel or not has_ended(hello.process)
        return conversation.deadlines.client_return_s if comes_back else 0.0

    def _acknowledged(self, number: int, received: int) -> None:
        self.recorder.add(Acknowledged(self.recorder.now(), number, received))

    def record(self, record: Record, messages: list[Any] | tuple[()] = ()) -> None:
        """Let something happen, in this turn of the loop."""
        self.recorder.add(record)
        self.machine.apply(record, messages)

    def _take(self, record: Record, messages: list[Any] | tuple[()] = ()) -> None:
        self._turn_soon()  # first: what is to be sent waits for it, and leaves in one packet with what it adds
        self.record(record, messages)

    # -- turns ----------------------------------------------------------------------------------

    def _turn_soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn_ended)

    @guarded("turn_failed")
    def _turn_ended(self) -> None:
        self._turn_due = False
        self._turn_ending = True
        try:
            peers, now = self.machine.peers, self.recorder.now()
            for name, was_behind in self.machine.behind.items():
                number = peers[name]
                behind = self._conversations[number].backlog_bytes > UPDATES_BACKLOG_BYTES_MAX
                if behind is not was_behind:
                    self.record(Paced(now, number, behind))
            self.record(TurnEnded(now))
        finally:
            self._turn_ending = False
            self._flush()
        self._failures = 0

    def _flush_soon(self, flush: Callable[[], None]) -> None:
        """Let a conversation send at the end of the turn, which may be no turn of the core's."""
        self._flushes.append(flush)
        if len(self._flushes) == 1 and not (self._turn_due or self._turn_ending):
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush()

    def turn_failed(self, error: Exception, *_: Any) -> None:
        """The turn is tried again; an error that stays ends the server rather than leave it half alive."""
        self._failures += 1
        if self._failures > FAILURES_MAX:
            self._on_fatal(error)
            return
        self._turn_due = True
        self._loop.call_soon(self._turn_ended)

    def _callback_failed(self, error: Exception, *_: Any) -> None:
        """Nothing waits for what the callback should have done."""

    # -- what the machine wants done ------------------------------------------------------------

    def send(self, conversation: int, message: Any) -> None:
        sender = self._senders.get(conversation)
        if sender is not None:
            sender.send(message)

    def _unsendable(self, number: int, conversation: Conversation, message: Any, error: Exception) -> None:
        """A message cannot be sent: what it was about fails; a peer cannot go on without the message."""
        log.error("a %s message to %s cannot be sent", type(message).__name__, conversation.address, exc_info=error)
        name = self.machine.names.get(number)
        if not name or self._conversations.get(number) is not conversation:
            return
        why = f"a {type(message).__name__} message cannot be sent: {error}"
        request = getattr(message, "request", None)
        if isinstance(message, Assign) and (tasks := message.tasks or message.families):
            task = tasks[0]
            self.machine.hands.later(ev.AssignmentFailed(name, task.spec.id, task.attempt, why), 0)
        elif request is not None and not isinstance(message, Failed | ReadOutput):
            # In the place of the message: what was sent when does not depend on how much waited.
            conversation.send(Failed(request, "rain", why))
        else:
            self.machine.hands.part(number, why)

    def close(self, conversation: int, reason: str) -> None:
        closed = self.leave(conversation)
        if closed is not None:
            log.warning("the conversation with %s is closed: %s", closed.address, reason)
            closed.close(reason)

    def part(self, conversation: int, reason: str, returns: bool = False) -> None:
        self._soon += 1
        self._loop.call_soon(self._part, conversation, reason, returns)

    @guarded("_callback_failed")
    def _part(self, number: int, why: str, returns: bool) -> None:
        """End the conversation with a peer; `returns`: sessions of a client wait for its user."""
        self._soon -= 1
        conversation = self._conversations.get(number)
        if conversation is not None:
            conversation.close(why)
            is_client = conversation.peer.role == "client"
            self._gone(number, why, conversation.deadlines.client_return_s if returns and is_client else 0.0)

    def later(self, event: FollowUp, tries: int) -> None:
        self._soon += 1
        self._loop.call_soon(self._follow, event, tries)

    @guarded("turn_failed")
    def _follow(self, event: FollowUp, tries: int) -> None:
        self._soon -= 1
        self._take(Followed(self.recorder.now(), event, tries))

    def failed(self, what: str, error: Exception) -> None:
        log.error("%s failed", what, exc_info=error)

    def fatal(self, error: Exception) -> None:
        self._on_fatal(error)

    def perform(self, effect: do.Effect) -> None:
        self._performs[type(effect)](effect)

    def _allow_pool(self, effect: do.AllowPool) -> None:
        credentials = self._credentials
        self._salts[effect.pool] = effect.salt
        credentials.keys[pool_role(effect.pool)] = pool_key(credentials.key("governor"), effect.salt)

    def _forbid_pool(self, effect: do.ForbidPool) -> None:
        del self._salts[effect.pool]
        del self._credentials.keys[pool_role(effect.pool)]

    def _happened(self, effect: do.Logged) -> None:
        self._events.add(effect)


def _nothing(_: Any) -> None:
    pass


class _ChildsHands:
    """In the child that writes an image: what a message that cannot be sent leads to is due when the image is read."""

    def __init__(self) -> None:
        self.followed: list[tuple[FollowUp, int]] = []
        self.parted: dict[int, str] = {}

    def send(self, conversation: int, message: Any) -> None: ...

    def close(self, conversation: int, reason: str) -> None: ...

    def part(self, conversation: int, reason: str) -> None:
        self.parted[conversation] = reason

    def perform(self, effect: do.Effect) -> None: ...

    def later(self, event: FollowUp, tries: int) -> None:
        self.followed.append((event, tries))

    def failed(self, what: str, error: Exception) -> None: ...

    def fatal(self, error: Exception) -> None: ...
