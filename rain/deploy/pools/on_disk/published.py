"""A pool's record on disk is kept true, and what other processes ask of the pool is done."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable

from rain.common.errors import RainException, RainWarning
from rain.common.limits import POOL_RECORD_S, POOL_REQUEST_LOOK_S
from rain.deploy.pools.on_disk import orphans, records, requests
from rain.deploy.pools.places import PlaceState, wanted
from rain.deploy.pools.pool import Pool
from rain.objects.dirtree import remove_tree

log = logging.getLogger(__name__)


def publish(pool: Pool, name: str, server: str, remove: Callable[[], None]) -> Published:
    """Write a pool's record to disk, and let other processes of the user send requests to the pool.

    Parameters
    ----------
    pool : Pool
    name : str
        Empty: that of the engine.
    server : str
        ``host:port``.
    remove : callable
        Closes the pool where it was opened.

    Raises
    ------
    RainException
        If the record cannot be written.
    """
    called = pool.name = name or pool.engine
    pool.used_before_core_s = records.used_core_s(called)
    pool.left_before = _left_behind(called)
    record = records.new_record(called, pool.engine, server)
    pool.id = record.id
    return Published(pool, record, remove)


def _left_behind(name: str) -> int:
    """How many places pools of that name have left whose processes have ended; says so, and what is not known."""
    count = 0
    known = records.known()
    if known.unread:
        warnings.warn(
            "\n".join(known.unread)
            + "\nWhat such a pool has used, and jobs that it may have left, do not count for this "
            "one: look after them, and remove the file",
            RainWarning,
            stacklevel=2,
        )
    for record in known.records:
        if record.name == name and not record.ended and records.is_held(record) is False:
            if trouble := orphans.settle(record):
                warnings.warn(
                    f"what is left of pool {record.id}, whose process has ended, is not known: {trouble}",
                    RainWarning,
                    stacklevel=2,
                )
            count += len(record.places)
            if record.places:
                jobs = ", ".join(place.job for place in record.places)
                warnings.warn(
                    f"the process that held pool {record.id} has ended, and left jobs {jobs} of {record.engine}; "
                    f"`rain pool remove {record.id}` ends them",
                    RainWarning,
                    stacklevel=2,
                )
    return count


class Published:
    """The record of one pool. A thread of its own writes: the pool waits for no disk."""

    def __init__(self, pool: Pool, record: records.PoolRecord, remove: Callable[[], None]) -> None:
        self._pool = pool
        self._record = record
        self._remove = remove
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._written_at = time.monotonic()
        records.write(record)  # which makes the folder above that of the requests, for the user alone
        requests.opened(record)
        pool.watch(self._changed.set)
        self._thread = threading.Thread(target=self._keep, name="rain-pool-record", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._record.ended:
            if self._changed.wait(POOL_REQUEST_LOOK_S) or time.monotonic() - self._written_at > POOL_RECORD_S:
                self._changed.clear()
                self.write()
            requests.serve(self._record, self._do)
        remove_tree(str(self._record.requests))

    def write(self) -> None:
        """Have it on disk now."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        record = self._record
        record.closed = self._pool.closed  # before the places: none is added after that
        places = self._pool.places
        self._written_at = time.monotonic()
        record.wanted = sum(map(wanted, places))
        record.places = [
            records.PlaceRecord(
                number=place.number, job=place.job, state=place.state.value, told=place.reason, governor=place.governor
            )
            for place in places
            if place.state is not PlaceState.ENDED
        ]
        record.used_core_s = self._pool.used_core_s
        record.ended = record.closed and not record.places
        try:
            records.write(record)
        except (RainException, OSError) as error:
            log.warning("%s", error)

    def _do(self, request: requests.Request) -> None:
        if request.action == "scale":
            self._pool.scale(request.count)
        elif request.action == "drain":
            self._pool.give_up(request.places or [place.number for place in self._pool.places if wanted(place)])
        else:
            self._remove()
