"""The shell of the client's core: one lock, through which events reach it, operations go on, and effects are done.

Theory of operation
-------------------
The link's thread and the threads of users step the core (`ClientCore`) one at a time. Messages that it wants sent are
given to the link while the lock is held, so that they leave in the order of the decisions; all other effects are done
without the lock.
An operation of the core is driven by `Connection.drive`, an operation in the sense of `operation` that yields futures:
each of its steps is made in the thread that waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from rain.client import active_session
from rain.client.core import effects as do
from rain.client.core import events as ev
from rain.client.core import stalls
from rain.client.core.core import ClientCore
from rain.client.core.errors import SessionEnded, TaskFailed
from rain.client.core.gates import Gate
from rain.client.core.operations.reading import TryReplicas
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation as CoreOperation
from rain.client.core.waiting import Pause, Upload, Waiting
from rain.client.functions.call_sites import warn
from rain.client.handles import inside
from rain.client.operations.constant_values import Room
from rain.client.operations.link import Link
from rain.client.operations.operation import Operation, reject, resolve, uninterrupted
from rain.client.operations.uploads import upload
from rain.client.report.failures import ended, failure
from rain.client.report.libraries import LibraryComparison
from rain.common.errors import RainException
from rain.common.protocol.address import is_loopback, parse_address
from rain.common.protocol.messages import ModuleFound

T = TypeVar("T")
_LOOK_AGAIN_S = 2.0
_log = logging.getLogger(__name__)


class Connection:
    """A client's core with its lock, its link, and what the link brings.

    Parameters
    ----------
    address : str
        ``host:port`` of the server; empty of a detached session, whose connection has no link.

    Attributes
    ----------
    core : ClientCore
    lock : threading.RLock
    link : Link
    room : Room or None
        Where large constants are put on the server's host.
    has_other_hosts : bool
        Whether governors may be on other hosts than this process.
    libraries : LibraryComparison
    told_fate : callable
        Adds to a reason what is known of the server's death.
    fate_alone : callable
        What became of the server, if nothing will start it again but its user; else empty.
    cluster_ended : callable
        Whether the private cluster that the server belongs to is gone for good.
    governors_counted : callable
        Called in the link's thread when the number of governors has changed.
    """

    link: Link

    def __init__(self, address: str = "") -> None:
        self.core = ClientCore(address, connected=bool(address))
        self.core.starting = bool(address)
        self.lock = threading.RLock()
        self._pid = os.getpid()
        self.room: Room | None = None
        self.has_other_hosts = False
        self.libraries = LibraryComparison()
        self.told_fate: Callable[[str], str] = str
        self.cluster_ended: Callable[[], bool] = bool
        self.fate_alone: Callable[[], str] = str
        self._looked_at, self._found = 0.0, ""
        self.governors_counted: Callable[[], None] = lambda: None

    def bind(self, link: Link) -> None:
        """Take the link: from now on the server can be asked."""
        self.link = link
        self.core.starting = False
        welcome = link.welcome
        self.room = Room(welcome.incoming, welcome.incoming_disk, welcome.incoming_max)
        # A server that listens on loopback only has all its governors on this host.
        self.has_other_hosts = not is_loopback(parse_address(welcome.data or self.core.address)[0])

    def close(self, name: str) -> None:
        """Leave the server, because the client called `name` was closed."""
        self.step(ev.Left(name))
        if not self.core.starting:
            self.link.close()
        if self.room is not None:
            self.room.close()

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process made the connection, instead of being a forked child of the one that did."""
        return os.getpid() == self._pid

    def check_process(self) -> None:
        """Check that this process made the connection.

        Raises
        ------
        RainException
            If this is a forked child of that process.
        """
        if not self.is_of_this_process:
            raise RainException(
                f"this client was made in process {self._pid} and cannot be used in the forked process {os.getpid()}: "
                "make a new Client there"
            )

    def check(self, mirror: SessionMirror | None = None) -> None:
        """Check that the client, and `mirror`'s session if given, may be used; let objects go whose handles are gone.

        Raises
        ------
        RainException
            If the client is closed or lost, or this is a forked child.
        SessionException, TaskException
            If the session is closed, lost, or stopped by a failure.
        """
        if mirror is not None and mirror.ended is not None:
            raise ended(mirror.handle)
        self.check_process()
        self.core.check()
        if mirror is not None and mirror.dropped:
            self.step(ev.Released(mirror))

    # -- the core -------------------------------------------------------------------------------

    def step(self, event: ev.Event) -> None:
        """Give `event` to the core, and do what it wants done."""
        with self.lock:
            rest = self._sent(self.core.step(event, time.monotonic()))
        self._do(rest)

    def resume(
        self, operation: CoreOperation[T], value: Any, error: BaseException | None
    ) -> tuple[Waiting | None, T | None]:
        """Make the next step of an operation of the core; see `ClientCore.resume`. What it waits for then has a future
        as its `waiter`."""
        core = self.core
        rest: list[do.Effect] = []
        try:
            with self.lock:
                try:
                    waiting, result = core.resume(operation, value, error)
                    if waiting is not None and waiting.waiter is None:
                        waiting.waiter = Future()
                        if waiting.over:
                            _tell(waiting)
                finally:
                    if core.effects:
                        rest = self._sent(core.take_effects())
        finally:
            if rest:
                self._do(rest)
        return waiting, result

    def drive(
        self,
        operation: CoreOperation[T],
        mirror: SessionMirror | None = None,
        whole: bool = False,
        read: Callable[[TryReplicas], Operation[Any]] | None = None,
    ) -> Operation[T]:
        """An operation of the core as one that can be waited for; failures become the exceptions that users get.

        Parameters
        ----------
        mirror : SessionMirror, optional
            The session that it is about: if something stands in the way of that, the waiting thread is warned.
        whole : bool
            Whether Ctrl-C is put off during each step, because what a step marks as sent must be sent.
        read : callable, optional
            Reads from replicas, if the operation does.
        """
        value, error = None, None
        try:
            while True:
                if whole:
                    with uninterrupted():
                        waiting, result = self.resume(operation, value, error)
                else:
                    waiting, result = self.resume(operation, value, error)
                if waiting is None:
                    return cast(T, result)
                value = error = None
                try:
                    kind = type(waiting)
                    if kind is Upload or kind is Pause or kind is TryReplicas:
                        value = yield from self._done(waiting, read)
                        continue
                    if mirror is not None and isinstance(waiting, Gate):
                        self._warn(mirror)
                    value = yield waiting.waiter
                except BaseException as caught:
                    error = caught
        except TaskFailed as failed:
            raised: RainException = failure(failed.mirror.handle, failed.record, failed.others, failed.not_run)
        except SessionEnded as over:
            raised = ended(over.mirror.handle)
        raise raised

    def _done(self, waiting: Waiting, read: Callable[[TryReplicas], Operation[Any]] | None) -> Operation[Any]:
        """Do in the waiting thread what an operation waits for, where that is no message; gives its result."""
        if isinstance(waiting, Upload):
            yield from upload(self, waiting.values)
        elif isinstance(waiting, Pause) and self.core.connected:
            yield self.link.call(asyncio.sleep(waiting.seconds))
        elif isinstance(waiting, TryReplicas) and read is not None:
            return (yield from read(waiting))
        return None

    def _warn(self, mirror: SessionMirror) -> None:
        with self.lock:
            text = stalls.warning(mirror)
        if text:
            warn(text)
        self.warn_of_libraries()

    def warn_of_libraries(self) -> None:
        """Warn the user's thread of libraries that are other ones on other hosts; once of each."""
        if self.has_other_hosts and self.core.libraries:
            text = self.libraries.warning(self.core.libraries)  # it reads files, so not with the lock
            if text:
                warn(text)

    # -- effects --------------------------------------------------------------------------------

    def _sent(self, effects: list[do.Effect]) -> list[do.Effect]:
        """Give messages to the link, with the lock held; gives the effects that are left."""
        rest = []
        for effect in effects:
            if type(effect) is do.Send:
                self.link.send(effect.messages)
            else:
                rest.append(effect)
        return rest

    def _do(self, effects: list[do.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, do.WaitOver):
                _tell(effect.waiting)
            elif isinstance(effect, do.FindModule):
                self._find_module(effect)
            elif isinstance(effect, do.SessionOver):
                _follow_the_end(effect.mirror)

    def _find_module(self, effect: do.FindModule) -> None:
        handle = None if effect.mirror is None else effect.mirror.handle
        module = None if handle is None else inside(handle).surroundings.asked(effect.name)
        self.link.send([ModuleFound(effect.session_id, effect.name, module)])

    # -- what the link tells --------------------------------------------------------------------

    def arrived(self, messages: list[Any]) -> None:
        """Messages from the server."""
        before = self.core.governor_count
        self.step(ev.Said(messages))
        if self.core.governor_count != before:
            self.governors_counted()

    def gone(self, reason: str) -> None:
        """The server is gone for good."""
        if not self.core.over_because:
            self.step(ev.Gone(self.told_fate(reason)))

    def away(self) -> None:
        """The connection to the server broke; it is dialled again."""
        self.step(ev.Away())

    def back(self) -> None:
        """A new connection to the same server carries the conversation on."""
        self.step(ev.Back())

    def unsendable(self, message: Any, error: Exception) -> None:
        """A message could not be encoded, and was not sent."""
        self.step(ev.Unsendable(message, str(error)))

    def tick(self, absence: str) -> None:
        """Called by the link now and then, with what it met last where the server listened, if that is away."""
        if self.core.away_since is not None and self.cluster_ended():
            self.gone("the server is gone")
        self.step(ev.Tick(absence, self._fate() if absence == "refused" else ""))

    def _fate(self) -> str:
        now = time.monotonic()
        if now - self._looked_at > _LOOK_AGAIN_S:
            self._looked_at, self._found = now, self.fate_alone()
        return self._found


def _tell(waiting: Waiting) -> None:
    """Wake the thread that waits for this."""
    if waiting.error is not None:
        reject(waiting.waiter, waiting.error)
    else:
        resolve(waiting.waiter, waiting.value)


def _follow_the_end(mirror: SessionMirror) -> None:
    session = mirror.handle
    if session is None:
        return
    active_session.unset_default(session)
    own = inside(session)
    calls, own.at_end = own.at_end, []
    for call in calls:
        try:
            call()
        except Exception:  # of a view of the session, which has ended all the same
            _log.exception("what was to follow the end of %r failed", session)
