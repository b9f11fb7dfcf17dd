"""What tasks of this executor made, for those that follow them here without a word of the governor in between.

The governor may count a task as waiting in this executor whose result is on its way already. So what was made is kept
for a while, whether or not something that awaits it has come: as long as there are not many such values, and as they
are small. What is not here any more costs a round trip: the task that awaits it goes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from rain.common.ids import ID
from rain.common.limits import HANDED_ON_BYTES_MAX, HANDED_ON_COUNT_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorInput, ExecutorTask, TaskResult
from rain.common.spec import ObjectInfo, ObjectSpec


class HandedOn:
    """Small outputs of the tasks that ran last.

    Attributes
    ----------
    links : int
        How many tasks in a row awaited something, up to the one that `fill` was given last.
    """

    __slots__ = ("_bytes", "_made", "links")

    def __init__(self) -> None:
        self._made: dict[ID, tuple[ObjectSpec, ObjectInfo, Inline]] = {}  # the oldest first
        self._bytes = 0
        self.links = 0

    def ended(self, task: ExecutorTask, result: TaskResult) -> None:
        """A task has ended here: what it made is what counts from now on."""
        made = self._made
        for spec in task.outputs:
            earlier = made.pop(spec.id, None)
            if earlier is not None:
                self._bytes -= len(earlier[2].data)
        if result.error is not None:
            return
        for spec, output in zip(task.outputs, result.outputs, strict=False):
            location = output.location
            if type(location) is Inline:
                made[spec.id] = (spec, output.info, location)
                self._bytes += len(location.data)
        while len(made) > HANDED_ON_COUNT_MAX or self._bytes > HANDED_ON_BYTES_MAX:
            self._bytes -= len(made.pop(next(iter(made)))[2].data)

    def fill(self, task: ExecutorTask) -> bool:
        """Give a task the inputs that it awaits; False if one of them is not here."""
        inputs: Sequence[ExecutorInput] = task.inputs
        for value in inputs:
            if value.awaited:
                break
        else:
            self.links = 0
            return True
        self.links += 1
        filled = []
        for value in inputs:
            if value.awaited:
                found = self._made.get(value.spec.id)
                if found is None:
                    return False
                spec, info, location = found
                filled.append(ExecutorInput(spec, info, value.label, location))
            else:
                filled.append(value)
        task.inputs = filled
        return True
