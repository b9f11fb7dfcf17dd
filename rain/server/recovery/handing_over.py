"""Handing over to another version of Rain: the server writes an image of its state, and ends.

`rain restart` takes two steps, each by a request over HTTP. ``look``: the server writes an image while it goes on,
which the new version reads as a trial. ``go``: at the end of a turn, when all records are written, the server writes
its last image, behind which no record comes, tells its guardian what to start in its place, and ends in the way of a
server that comes back. So the new version has no records to apply, and the conversations go on.

The file `RESTART` in the journal's folder, which only the server's user can have written, names the new version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.processes.keeper import start_next
from rain.server.event_log.event_log import EventLog
from rain.server.recovery.recorder import Recorder
from rain.server.recovery.snapshots import Snapshots

log = logging.getLogger("rain.server")

_TURNS_MAX = 1000


class Wish(msgspec.Struct):
    """The version that is to replace a server.

    Attributes
    ----------
    rain : list of str
        The command `rain` of the new version: an interpreter, its options, a script.
    version : str
    """

    rain: list[str]
    version: str


class HandingOver:
    """The server's side of the steps of a restart.

    Parameters
    ----------
    recorder : Recorder
    settled : callable
        Returns whether all that happened is recorded, and the turn is over.
    events : EventLog
    snapshots : Snapshots or None
        None: no journal is kept.
    guarded : bool
        Whether a guardian starts the new version.
    on_handed_over : callable
        Called when the last image is written: the server ends its conversations at once, and then itself.
    """

    def __init__(
        self,
        recorder: Recorder,
        settled: Callable[[], bool],
        events: EventLog,
        snapshots: Snapshots | None,
        guarded: bool,
        on_handed_over: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._is_settled = settled
        self._events = events
        self._snapshots = snapshots
        self._guarded = guarded
        self._on_handed_over = on_handed_over

    async def step(self, name: str) -> dict[str, Any]:
        """Take a step; returns ``image``, the number of the image that was written.

        Raises
        ------
        RainException
            If the step cannot be taken; the server goes on then.
        """
        recorder, journal, snapshots = self._recorder, self._recorder.journal, self._snapshots
        if journal is None or snapshots is None:
            raise RainException(
                "the server keeps no journal (--journal none), so its sessions would be lost: `rain stop` ends them"
            )
        if not self._guarded:
            raise RainException("the server was not started by `rain start`, so nothing would start it again")
        wish = _wish(journal.wish())
        await self._settled()
        if name == "look":
            return {"image": await snapshots.now()}
        if name != "go":
            raise RainException(f"{name!r} is no step: look, go")
        self._events.push()
        await asyncio.get_running_loop().run_in_executor(None, self._events.flush)
        await self._settled()
        if not recorder.commit():
            raise RainException(recorder.full)
        self._events.push()
        snapshots.last()
        recorder.end()
        log.info("Rain %s is started in the place of this server", wish.version)
        try:
            journal.wish_is_granted()
            start_next(wish.rain)
        finally:
            self._on_handed_over()
        return {}

    async def _settled(self) -> None:
        for _ in range(_TURNS_MAX):
            if self._is_settled():
                return
            await asyncio.sleep(0)
        raise RainException("the server is never at the end of a turn; its log may say why")


def _wish(data: bytes | None) -> Wish:
    if data is None:
        raise RainException("it is not written in the journal's folder what is to come: use `rain restart`")
    try:
        return msgspec.json.decode(data, type=Wish)
    except msgspec.MsgspecError as error:
        raise RainException(f"what is to come is not written as this version of Rain reads it: {error}") from None
