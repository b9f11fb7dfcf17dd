"""One task at a foreign executor: what it is given, and what its result says."""

from __future__ import annotations

import os
import time

import msgspec

from rain.common.ids import ID
from rain.common.limits import CBOR_CALL_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, ExecutorTask, TaskResult
from rain.common.spec import TaskInfo
from rain.governor.pools.cbor1.calls import encode_call
from rain.governor.pools.cbor1.inputs import lend
from rain.governor.pools.cbor1.locations import Cached, Location, Memory, Path
from rain.objects.dirtree import remove_tree
from rain.objects.lent_inputs import LentFile, before


class ForeignCall:
    """A task that was given to a foreign executor and has not ended.

    Attributes
    ----------
    task : ExecutorTask
    watched : list of LentFile
        Inputs that were lent as files of the store.
    taking : bool
        Whether it was answered, and its outputs are on their way to the store's incoming folder.
    """

    def __init__(self, task: ExecutorTask, setup: ExecutorSetup) -> None:
        self.task = task
        self.watched: list[LentFile] = []
        self.taking = False
        self._setup = setup
        self._memory_left = CBOR_CALL_BYTES_MAX  # bytes of inputs that it may still take along
        self._lent_folder = os.path.join(setup.work_dir, "inputs")
        self._lent = 0  # inputs that were written as files
        self._started = (time.time(), time.perf_counter())

    def spoiled(self, cached: set[ID]) -> TaskResult | None:
        """Why the task cannot run, if an input that the executor has not cached is damaged."""
        given = [value for value in self.task.inputs if value.spec.id not in cached]
        return before(msgspec.structs.replace(self.task, inputs=given), self._setup.governor_id)

    def frame(self, cached: set[ID], met: set[ID]) -> bytes:
        """The ``call`` frame.

        Parameters
        ----------
        cached : set of ID
            Objects that the executor holds.
        met : set of ID
            Objects that it had as inputs before, and should cache now.

        Raises
        ------
        RainException
            If the task cannot be sent. The text continues a sentence that begins with the executor.
        OSError
            If an input cannot be read or written.
        """
        inputs = self.task.inputs
        locations = [Cached() if value.spec.id in cached else self._locate(value) for value in inputs]
        return encode_call(self.task, locations, [value.spec.id in met for value in inputs])

    def _locate(self, value: ExecutorInput) -> Location:
        if isinstance(value.location, Inline):
            data = value.location.data
            if len(data) > self._memory_left:
                return Path(self._write(data))
            self._memory_left -= len(data)
            return Memory(data)
        location, watched = lend(value, self._memory_left)
        if isinstance(location, Memory):
            self._memory_left -= len(location.data)
        if watched is not None:
            self.watched.append(watched)
        return location

    def _write(self, data: bytes) -> str:
        """The path of a read-only file with an input that the call does not take along in memory."""
        if not self._lent:
            os.mkdir(self._lent_folder, 0o700)
        self._lent += 1
        path = os.path.join(self._lent_folder, str(self._lent))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb") as file:
            file.write(data)
        return path

    def complete(self, info: TaskInfo) -> None:
        """Fill in what the executor did not say of the attempt."""
        info.attempts = self.task.attempt
        info.governor = self._setup.governor_id
        if info.start_time is None:
            info.start_time = self._started[0]
        if info.duration is None:
            info.duration = time.perf_counter() - self._started[1]

    def end(self) -> None:
        """Remove what was written for it."""
        if self._lent:
            remove_tree(self._lent_folder)
