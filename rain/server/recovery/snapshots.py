"""Images of the server in its journal: when one is due, and the forked child that writes it.

The child has the state that the server had when the journal's next segment began; it encodes and writes that, and ends,
while the server goes on. If the server dies, the child dies with it. It first closes its copies of connections, so that
peers notice the server's death.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import stat
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn

from rain.common.errors import RainException
from rain.common.limits import MIB
from rain.net.guarded import guarded
from rain.server.journal.format import JournalFull
from rain.server.journal.journal import Journal, Snapshot

log = logging.getLogger("rain.server")

TAIL_BYTES_MIN = 64 * MIB
"""Of records before an image is made; more if the last image was larger than half of that."""
RETURNED_BYTES_MIN = MIB // 4
"""After so many bytes of records that a returning server applied an image is made, so that it returns faster next
time."""
WORK_S_MIN = 3.0
"""Of this process's own processor time before an image is made. To apply records again takes about two thirds of it."""
WORK_S_MAX = 6.0
"""... at most, so that a server of 300,000 tasks is back within 10 s: it reads an image, and applies what was recorded
since and while the next one was written."""
AGAIN_S = 60.0
"""Seconds until the next try after an image that could not be made."""
_PR_SET_PDEATHSIG = 1


def work_between(image_s: float) -> float:
    """Seconds of processor time that a server works between two images, of which one takes `image_s`.

    Twice as long as an image takes, or `WORK_S_MAX`; but never less than an image takes, as images of very many tasks
    would else cost more than the tasks.

    Examples
    --------
    >>> [work_between(seconds) for seconds in (0.1, 2.0, 5.0, 20.0)]
    [3.0, 4.0, 6.0, 20.0]
    """
    return max(WORK_S_MIN, min(2 * image_s, max(WORK_S_MAX, image_s)))


class Snapshots:
    """Makes images of a server.

    Parameters
    ----------
    journal : Journal
    pieces : callable
        Called in the child: gives the bytes of the image.
    """

    def __init__(self, journal: Journal, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._journal = journal
        self._pieces = pieces
        self._loop = asyncio.get_running_loop()
        self._due_bytes = TAIL_BYTES_MIN
        self._due_s = WORK_S_MIN
        self._worked_s = time.process_time()
        self._not_before = 0.0
        self._snapshot: Snapshot | None = None
        self._child = (-1, -1)  # pid, handle
        self._began = 0.0
        self._awaited: asyncio.Future[int] | None = None

    def returned(self, same_code: bool) -> None:
        """The server has come back: an image is due if it applied many records, or other code wrote some of them."""
        self._due_bytes = RETURNED_BYTES_MIN if same_code else 0

    def make_if_due(self) -> None:
        """Begin an image if one is due. Called at the end of a turn, when all records are written."""
        if self._snapshot is not None or time.monotonic() < self._not_before:
            return
        tail, worked_s = self._journal.tail_bytes, time.process_time() - self._worked_s
        if tail > self._due_bytes or (worked_s > self._due_s and tail > RETURNED_BYTES_MIN):
            self.make()

    def make(self) -> None:
        """Begin an image."""
        self._not_before = time.monotonic() + AGAIN_S
        self._began = time.monotonic()
        try:
            snapshot = self._journal.begin_segment()
        except JournalFull as error:
            log.warning("no image of the server can be made: %s", error)
            return
        worked_s = time.process_time()
        try:
            pid = self._fork(snapshot)
        except OSError as error:
            snapshot.failed()
            log.warning("no image of the server can be made: %s", error.strerror)
            return
        try:
            handle = os.pidfd_open(pid)
        except OSError as error:  # out of descriptors
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            snapshot.failed()
            log.warning("no image of the server can be made: %s", error.strerror)
            return
        self._snapshot, self._worked_s = snapshot, worked_s
        self._child = (pid, handle)
        self._loop.add_reader(handle, self._child_ended)

    def now(self) -> asyncio.Future[int]:
        """Make an image of the present state, as `make`; the future that is returned gets its number when it is
        written.

        Raises
        ------
        RainException
            If none can be made; raised here, or by the future.
        """
        if self._awaited is None or self._awaited.done():
            if self._snapshot is None:
                self.make()
            if self._snapshot is None:
                raise RainException("no image of the server can be made; its log says why")
            self._awaited = self._loop.create_future()
        return self._awaited

    def last(self) -> None:
        """Make the last image, of the present state, and wait for it: no record comes behind it.

        Raises
        ------
        RainException
            If none can be made.
        """
        self.close()
        try:
            snapshot = self._journal.begin_segment()
            try:
                pid = self._fork(snapshot)
            except OSError as error:
                snapshot.failed()
                raise RainException(f"the server's image cannot be written: {error.strerror}") from None
            status = os.waitpid(pid, 0)[1]
            if status:
                snapshot.failed()
                raise RainException(f"the server's image could not be written (status {status}); its log says why")
            snapshot.done()
        except OSError as error:
            raise RainException(f"the server's image cannot be written: {error.strerror}") from None

    def _fork(self, snapshot: Snapshot) -> int:
        """Fork the process that writes the image."""
        gc.freeze()  # so that no collection in the child touches, and thereby copies, what is shared
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forks beside threads: the child only computes, writes and ends
            pid = os.fork()
        if pid == 0:
            self._be_child(snapshot)
        return pid

    def _be_child(self, snapshot: Snapshot) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            gc.disable()
            _close_sockets()
            status = 0 if snapshot.write(self._pieces()) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    @guarded("_child_lost")
    def _child_ended(self) -> None:
        pid, handle = self._child
        self._loop.remove_reader(handle)
        os.close(handle)
        _, status, used = os.wait4(pid, 0)
        snapshot, self._snapshot = self._snapshot, None
        assert snapshot is not None
        if status:
            snapshot.failed()
            log.error("the image of the server could not be written (status %d), the journal goes on without", status)
            self._tell(None)
            return
        size, took_s = snapshot.done(), time.monotonic() - self._began
        self._due_bytes = max(TAIL_BYTES_MIN, 2 * size)
        self._due_s = work_between(used.ru_utime + used.ru_stime)  # how long it took on the clock depends on the load
        self._not_before = 0.0
        log.info("an image of the server was written: %d bytes in %.1f s", size, took_s)
        self._tell(snapshot.number)

    def _tell(self, number: int | None) -> None:
        """Give the number of a new image to the callers that wait for it; None: it could not be made."""
        awaited, self._awaited = self._awaited, None
        if awaited is None or awaited.done():
            return
        if number is None:
            awaited.set_exception(RainException("the server's image could not be written; its log says why"))
        else:
            awaited.set_result(number)

    def _child_lost(self, error: Exception) -> None:
        """The image could not be made: the records before it still count, and another image is tried later."""
        self._snapshot = None
        self._tell(None)

    def close(self) -> None:
        """End a child that still writes; its image is dropped."""
        if self._snapshot is not None:
            pid, handle = self._child
            self._loop.remove_reader(handle)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
            os.waitpid(pid, 0)
            self._snapshot.failed()
            self._snapshot = None
            self._tell(None)


def _close_sockets() -> None:
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.close(int(name))
        except OSError:
            continue
