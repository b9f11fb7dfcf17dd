"""How a server takes over the state of the one that died: its machine applies the records of the journal again.

Conversations are restored without a connection, so that the messages which the machine sends are gathered and numbered
as they were; clients and governors, which dial again, say how many of them they have had and get the rest. Effects that
the dead server carried out are not carried out twice: rows of the event log that are in the database stay as they are,
and files of uploads are discarded when all records are applied.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import CLIENT_RETURN_S
from rain.common.location import Upload
from rain.net.transport import Listener
from rain.server.core import effects as do
from rain.server.core.lifecycle.placing import offer_all
from rain.server.event_log.event_log import EventLog
from rain.server.journal.journal import Journal
from rain.server.peers import Peers
from rain.server.recovery.images import Image, load_image
from rain.server.recovery.records import (
    Acknowledged,
    Begun,
    Came,
    Followed,
    FollowUp,
    Gone,
    Opened,
    Record,
    decode_record,
)
from rain.server.scheduling.policy import DEFAULT_POLICY

log = logging.getLogger("rain.server")

ANOTHER = (
    "the server was started again by another version of Rain, or with a scheduling policy from outside, and cannot "
    "repeat what the server before it had decided last. "
    "Sessions and their results are there: make a new Client, whose attach() takes them up "
    f"(those that are not persistent wait for it for {CLIENT_RETURN_S:g} s)"
)


class Replay:
    """Applies a journal's records to the server's machine, and carries out the effects of these.

    Parameters
    ----------
    peers : Peers
    listener : Listener
    events : EventLog
    address : str
        Of the listener; it must be that of the dead server.

    Attributes
    ----------
    count : int
        Of records that were applied; an image counts as one.
    folders : list of str
        Where the files of large constants are; empty: the journal is new.
    exact : bool
        Whether the machine decided what the dead server's machine had decided: all records that lead to decisions were
        written by the same code and policy, or there are none since an image; and channels took all packets that the
        dead server's channels had taken.
    discarded : list of str
        Uploads whose files are to be discarded.
    """

    def __init__(self, peers: Peers, listener: Listener, events: EventLog, address: str) -> None:
        self._peers = peers
        self._listener = listener
        self._events = events
        self._address = address
        self._machine = peers.machine
        self._epoch = 0.0
        self._followed: list[tuple[FollowUp, int]] = []
        self._parted: dict[int, str] = {}
        self.count = 0
        self.exact = True
        self.folders: list[str] = []
        self.discarded: list[str] = []

    def run(self, journal: Journal) -> None:
        """Apply all records of a journal.

        Raises
        ------
        RainException
            If the journal is damaged, or another server's.
        """
        collects, machine = gc.isenabled(), self._machine
        gc.disable()  # what is made here stays
        machine.hands = self
        try:
            image = journal.image()
            if image is not None:
                self._load(load_image(image))
                self.count += 1
                del image
            # What a policy from outside decides need not follow from records alone: its code may have changed, and how
            # long it may take is bounded by a clock.
            own = machine.core.state.policy_name == DEFAULT_POLICY
            for kind, payload in journal.records():
                record = decode_record(kind, payload)
                if not (own and journal.by_same_code) and type(record) is not Begun:
                    self.exact = False
                self._apply(record)
                self.count += 1
        finally:
            machine.hands = self._peers
            gc.freeze()
            if collects:
                gc.enable()

    def finish(self) -> None:
        """All records are applied: from now on the server's own `Peers` carry out effects. Unless the replay was
        `exact`, no conversation goes on: governors register anew, and clients that wait are told that their sessions
        are over."""
        peers = self._peers
        peers.resume()
        if not self.exact:
            for number in list(self._machine.names):
                peers.part(number, ANOTHER, True)
            return
        for number, reason in self._parted.items():
            peers.part(number, reason)
        for event, tries in self._followed:
            peers.later(event, tries)

    def uploads(self) -> set[str]:
        """Names of the uploads whose files are needed."""
        machine = self._machine
        graph = machine.core.state.graph
        names = {name for uploads in machine.uploads.values() for name in uploads}
        for session in graph.sessions.values():
            names.update(session.uploads.values())
        for client in graph.clients.values():
            for cut in client.gathering.values():
                names.update(one.location.name for one in cut.constants if isinstance(one.location, Upload))
        return names

    def _load(self, image: Image) -> None:
        machine, state = self._machine, image.state
        before = machine.core.state
        if type(state.policy) is not type(before.policy):  # an image holds no policy but Rain's own
            state.policy = before.policy
            offer_all(state)
            state.schedule_due = True
        state.make_policy, state.policy_name = before.make_policy, before.policy_name
        state.http, state.version, state.log_dir = before.http, before.version, before.log_dir
        machine.core.state = state
        machine.remember(image.machine)
        for kept in image.conversations:
            conversation = self._listener.restore(kept.hello, kept.pool, kept.address)
            conversation.remember(kept.channel)
            self._peers.restore(kept.number, conversation)
        for pool, salt in image.salts.items():
            self._peers.perform(do.AllowPool(pool, salt))
        self._followed = list(image.followed)
        self._parted = dict(image.parted)
        now = machine.now
        self._begun(Begun(now, image.wall + now, image.events, image.address, image.folders))

    def _apply(self, record: Record) -> None:
        messages: list[Any] = []
        kind = type(record)
        try:
            if isinstance(record, Came):
                conversation: Any = self._peers.conversation(record.conversation)
                if conversation is not None:
                    with self._heard():
                        messages = conversation.replay(record.packets)
            elif isinstance(record, Begun):
                self._begun(record)
            elif isinstance(record, Opened):
                self._open(record)
            elif isinstance(record, Gone):
                self._parted.pop(record.conversation, None)
                self._forget(record.conversation)
            elif isinstance(record, Acknowledged):
                conversation = self._peers.conversation(record.conversation)
                if conversation is not None:
                    with self._heard():
                        conversation.replay_acknowledged(record.received)
            elif isinstance(record, Followed):
                pending = (record.event, record.tries)
                if pending in self._followed:
                    self._followed.remove(pending)
            self._machine.apply(record, messages)
        except ProtocolError as error:  # as when the packet came: the record that ends the conversation follows
            log.info("while records were applied again: %s", error)
        except RainException:
            raise
        except Exception as error:
            log.exception("a record %s raised an error when it was applied again: %s", kind.__name__, error)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """A channel that refuses a packet which the dead server's channel took has another past: the replay is not
        `exact`."""
        try:
            yield
        except ProtocolError as error:
            self.exact = False
            log.error("while records were applied again: %s", error)

    def _begun(self, record: Begun) -> None:
        if record.address != self._address:
            raise RainException(
                f"the journal is that of a server at {record.address}, and this server listens at {self._address}: "
                f"start it with --listen {record.address}, or with another --journal"
            )
        self._epoch = record.wall - record.now
        self._events.rewind(record.events)
        self.folders = record.folders

    def _open(self, record: Opened) -> None:
        conversation = self._listener.restore(record.hello, record.pool, record.address)
        self._peers.restore(record.conversation, conversation)

    def _forget(self, number: int) -> None:
        conversation: Any = self._peers.leave(number)
        if conversation is not None:
            conversation.forget()

    # -- what the machine wants done ------------------------------------------------------------

    def send(self, conversation: int, message: Any) -> None:
        self._peers.send(conversation, message)

    def close(self, conversation: int, reason: str) -> None:
        self._forget(conversation)

    def part(self, conversation: int, reason: str) -> None:
        self._parted[conversation] = reason

    def later(self, event: FollowUp, tries: int) -> None:
        self._followed.append((event, tries))

    def failed(self, what: str, error: Exception) -> None:
        log.info("%s failed again as it had before: %s: %s", what, type(error).__name__, error)

    def fatal(self, error: Exception) -> None:
        self._peers.fatal(error)

    def perform(self, effect: do.Effect) -> None:
        if isinstance(effect, do.Logged):
            self._events.add(effect, self._epoch + self._machine.now)
        elif isinstance(effect, do.DiscardUpload):
            self.discarded += effect.names
        elif isinstance(effect, do.AllowPool | do.ForbidPool):
            self._peers.perform(effect)
