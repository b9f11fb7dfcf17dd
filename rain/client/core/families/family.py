"""One family: calls that differ by their pickled arguments only, as columns.

Member i is task `first + i * stride`, its outputs have the `stride - 1` numbers that follow. A member that has to be
treated alone gets a record and is *taken out*: from then on only the record describes it, and the columns do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.records import ObjectRecord, TaskRecord
from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.blobs import joined
from rain.common.protocol.families import object_news, task_info
from rain.common.protocol.messages import FamilyUpdate, ObjectUpdate, TaskUpdate
from rain.common.spec import ObjectSpec, TaskOptions, TaskSpec
from rain.common.states import DataObjectState, TaskState
from rain.common.task_configs import PYTHON, PyConfig

if TYPE_CHECKING:
    from rain.client.core.gates import Gate
    from rain.client.core.reuse.task import Reuse
    from rain.client.functions.call_sites import Site
    from rain.client.functions.function import Source

_STATES = tuple(TaskState)
_CODES = {state: code for code, state in enumerate(_STATES)}
_FINISHED = _CODES[TaskState.FINISHED]


class Template:
    """What the members of a family have in common.

    Attributes
    ----------
    config : PyConfig
        The config, without arguments.
    outputs : list of ObjectSpec
        Specs of the outputs, whose ids do not count.
    source : Source or None
    reuse : callable or None
        Where results may come from an earlier run: makes the `Reuse` of each member.
    stride : int
        How many numbers a member has: one for its task and one for each output.
    """

    __slots__ = ("config", "function", "name", "options", "outputs", "resources", "reuse", "source", "stride", "user")

    def __init__(
        self,
        config: PyConfig,
        outputs: list[ObjectSpec],
        resources: dict[str, float],
        name: str | None,
        user: dict[str, Any],
        function: ID,
        options: TaskOptions | None,
        source: Source | None,
        reuse: Callable[[], Reuse] | None = None,
    ) -> None:
        self.config = config
        self.outputs = outputs
        self.stride = len(outputs) + 1
        self.resources = resources
        self.name = name
        self.user = user
        self.function = function
        self.options = options
        self.source = source
        self.reuse = reuse

    def spec(self, session_id: int, number: int, args: bytes) -> TaskSpec:
        """The spec of a member, which shares no mutable value with others."""
        outputs = [ID(session_id, number + 1 + place) for place in range(len(self.outputs))]
        config = msgspec.structs.replace(self.config, args=args)
        return TaskSpec(
            ID(session_id, number), PYTHON, config, [], outputs, dict(self.resources), self.name, dict(self.user),
            self.function, self.options,
        )  # fmt: skip

    def output_specs(self, session_id: int, number: int) -> list[ObjectSpec]:
        """The specs of a member's outputs."""
        return [
            ObjectSpec(
                ID(session_id, number + 1 + place), spec.label, spec.content_type, spec.data_type, spec.size_hint
            )
            for place, spec in enumerate(self.outputs)
        ]


class Alone:
    """The updates of one member that were not part of an update of several members."""

    __slots__ = ("obj", "task")

    def __init__(self) -> None:
        self.task: TaskUpdate | None = None
        self.obj: ObjectUpdate | None = None


class Family:
    """Calls that differ by their arguments only.

    Attributes
    ----------
    session_id, first, stride : int
    template : Template
    args : sequence of bytes
        Pickled arguments of each member; a list while there may come more of them.
    made, origin
        As in `TaskRecord`, for all members.
    kept : bytearray
        For each member 1 if its outputs are kept, else 0.
    removed : bytearray
        For each member 1 if it finished and its outputs were removed since, else 0; empty if there is none.
    submitted : bool
    taken : dict of int to TaskRecord
        The members that have records, by place.
    left : int
        How many of the other members are not settled.
    handles : dict of int to weakref
        The handles of members, by place.
    listed : bool
        Whether a `TaskList` stands for all members, so that all count as having a handle.
    gates : list of Gate or None
    """

    __slots__ = (
        "_states", "_told", "args", "first", "gates", "handles", "kept", "left", "listed", "made", "origin",
        "removed", "session_id", "stride", "submitted", "taken", "template",
    )  # fmt: skip

    def __init__(
        self, session_id: int, first: int, template: Template, args: Sequence[bytes], made: Site, origin: Any
    ) -> None:
        self.session_id = session_id
        self.first = first
        self.template = template
        self.stride = template.stride
        self.args = args
        self.made = made
        self.origin = origin
        self.kept = bytearray(len(args))
        self.removed = bytearray()
        self.submitted = False
        self.taken: dict[int, TaskRecord] = {}
        self.left = 0
        self.handles: dict[int, Any] = {}
        self.listed = False
        self.gates: list[Gate] | None = None
        self._states = bytearray()
        self._told: list[FamilyUpdate | Alone | None] = []

    def __repr__(self) -> str:
        return f"<Family of {len(self.args)} tasks from {self.session_id}/{self.first}>"

    @property
    def count(self) -> int:
        """How many members it has."""
        return len(self.args)

    @property
    def end(self) -> int:
        """The first number behind those of the family."""
        return self.first + len(self.args) * self.stride

    @property
    def is_new(self) -> bool:
        """Whether all members are in the same state: none has a record, none was submitted, and each has one output."""
        return self.stride == 2 and not self.submitted and not self.taken

    @property
    def is_over(self) -> bool:
        """Whether all members have records."""
        return len(self.taken) == len(self.args)

    def id_of(self, place: int) -> ID:
        """The id of a member."""
        return ID(self.session_id, self.first + place * self.stride)

    def state_of(self, place: int) -> TaskState | None:
        """The state of a member that was not taken out."""
        return _STATES[self._states[place]] if self.submitted else None

    def keep(self, place: int) -> None:
        """Keep the outputs of a member. Only before the family is submitted."""
        record = self.taken.get(place)
        if record is None:
            self.kept[place] = 1
        else:
            for output in record.outputs:
                output.kept = True

    def keep_held(self) -> None:
        """Keep the outputs of the members that have handles. Only before the family is submitted."""
        for place, handle in list(self.handles.items()):
            if handle() is not None:
                self.keep(place)

    # -- submit and updates ---------------------------------------------------------------------

    def submitting(self) -> None:
        """Take note that the family is being sent to the server; no member was taken out."""
        count = len(self.args)
        self.submitted = True
        self.args = joined(self.args)
        self.left = count
        self._states = bytearray([_CODES[TaskState.WAITING]]) * count
        self._told = [None] * count

    def fold(self, start: int, update: FamilyUpdate) -> int:
        """Take an update of members from `start` on; returns how many have settled by it.

        The caller updates members that were taken out.
        """
        end = start + update.count
        taken = sum(place in self.taken for place in range(start, end)) if self.taken else 0
        was = self._states[start:end].count(_FINISHED)
        if self.taken:
            was = sum(self._states[place] == _FINISHED for place in range(start, end) if place not in self.taken)
        code = _CODES[update.state]
        self._states[start:end] = bytes([code]) * update.count
        if code != _FINISHED:
            return 0
        self._told[start:end] = [update] * update.count
        for column in update.outputs:
            column.data = joined(column.data)
        settled = update.count - taken - was
        self.left -= settled
        return settled

    def has_finished(self, start: int, count: int) -> bool:
        """Whether one of `count` members from `start` on is finished and was not taken out."""
        return self._states.find(_FINISHED, start, start + count) >= 0

    def fold_task(self, place: int, update: TaskUpdate) -> bool | None:
        """Take an update of a member without a record; returns whether it has settled, None if it needs a record."""
        code = _CODES[update.state]
        was = self._states[place]
        if was == _FINISHED or update.error is not None or update.state in (TaskState.FAILED, TaskState.CANCELLED):
            return None
        if update.info is not None:
            self._alone(place).task = update
        self._states[place] = code
        if code != _FINISHED:
            return False
        self._alone(place).task = update
        self.left -= 1
        return True

    def fold_object(self, place: int, update: ObjectUpdate) -> bool:
        """Take an update of the only output of a member without a record; returns whether that was possible."""
        if self.stride != 2 or update.state is DataObjectState.FAILED:
            return False
        self._alone(place).obj = update
        return True

    def _alone(self, place: int) -> Alone:
        told = self._told[place]
        if isinstance(told, Alone):
            return told
        alone = self._told[place] = Alone()
        if told is not None:
            at, (session_id, number) = self._at(told, place), self.id_of(place)
            alone.task = TaskUpdate(ID(session_id, number), told.state, task_info(told, at))
            if len(told.outputs) == 1:
                info, location = object_news(told.outputs[0], at)
                alone.obj = ObjectUpdate(ID(session_id, number + 1), told.outputs[0].state, info, location)
        return alone

    def _at(self, update: FamilyUpdate, place: int) -> int:
        """The place of a member among those of which an update tells."""
        return (self.first + place * self.stride - update.first.id) // self.stride

    def keep_all(self) -> None:
        """Keep the outputs of all members. Only before the family is submitted, and while no member has a record."""
        self.kept = bytearray(b"\1") * len(self.args)

    def remove(self, start: int, count: int) -> None:
        """Take note that the outputs of members that had finished were removed."""
        if not self.removed:
            self.removed = bytearray(len(self.args))
        self.removed[start : start + count] = b"\1" * count

    def kept_runs(self, places: list[int]) -> list[tuple[int, int]]:
        """Those of these members, in order, whose outputs are kept: runs of consecutive places, from and to before."""
        runs: list[tuple[int, int]] = []
        kept = self.kept
        start = stop = -1
        for place in places:
            if not kept[place]:
                continue
            if place != stop:
                if stop > start:
                    runs.append((start, stop))
                start = place
            stop = place + 1
        if stop > start:
            runs.append((start, stop))
        return runs

    def let_go_run(self, start: int, stop: int) -> None:
        """Stop keeping the outputs of members from `start` to before `stop`."""
        self.kept[start:stop] = bytes(stop - start)
        place = start if self.submitted else stop
        while place < stop:
            update = self._told[place]
            end = place + 1
            if isinstance(update, FamilyUpdate):
                at = self._at(update, place)
                end = min(stop, place + update.count - at)
                if self._told[place:end].count(update) < end - place:
                    end = place + 1
                for column in update.outputs:
                    if end - place == update.count:
                        column.data = []
                    elif column.data:
                        column.data = list(column.data)
                        column.data[at : at + end - place] = [b""] * (end - place)
            else:
                self.let_go(place)
            place = end

    def let_go(self, place: int) -> None:
        """Stop keeping the outputs of a member."""
        self.kept[place] = 0
        update = self._told[place] if self.submitted else None
        if isinstance(update, Alone):
            if update.obj is not None:
                update.obj.location = None
        elif update is not None:
            at = self._at(update, place)
            for column in update.outputs:
                if column.data:
                    if type(column.data) is not list:
                        column.data = list(column.data)
                    column.data[at] = b""

    def data_of(self, place: int) -> tuple[str | None, bytes] | None:
        """The content type and bytes of the only output of a member, if this process has them."""
        record = self.taken.get(place)
        if record is not None:
            return _data_in(record)
        update = self._told[place] if self.submitted else None
        if update is None or self.stride != 2 or not self.kept[place]:
            return None
        declared = self.template.outputs[0].content_type
        if isinstance(update, Alone):
            obj = update.obj
            if obj is None or obj.state is not DataObjectState.FINISHED or type(obj.location) is not Inline:
                return None
            return (obj.info.content_type if obj.info is not None else None) or declared, obj.location.data
        (column,) = update.outputs
        if column.state is not DataObjectState.FINISHED or not column.data:
            return None
        return column.info.content_type or declared, column.data[self._at(update, place)]

    # -- members as records ---------------------------------------------------------------------

    def take(self, place: int) -> TaskRecord:
        """The record of a member, which is taken out if it was not before. Called by `RecordTable` only."""
        record = self.taken.get(place)
        if record is None:
            record = self.taken[place] = self._made_record(place)
        return record

    def _made_record(self, place: int) -> TaskRecord:
        number = self.first + place * self.stride
        template = self.template
        record = TaskRecord(template.spec(self.session_id, number, self.args[place]), self.made, None)
        record.source, record.origin, record.family = template.source, self.origin, self
        if template.reuse is not None:
            record.reuse = template.reuse()
        record.handle = self.handles.get(place)
        outputs = [ObjectRecord(spec, record) for spec in template.output_specs(self.session_id, number)]
        record.outputs = tuple(outputs)
        for output in outputs:
            output.kept = bool(self.kept[place])
        if self.submitted:
            record.state = _STATES[self._states[place]]
            for output in outputs:
                output.state = DataObjectState.UNFINISHED
            update = self._told[place]
            if isinstance(update, Alone):
                _tell_alone(record, update)
            elif update is not None:
                self._tell(record, update, self._at(update, place))
            if self.removed and self.removed[place]:
                for output in outputs:
                    output.state, output.location = DataObjectState.REMOVED, None
            if not record.settled:
                self.left -= 1
                self._stand_at_gates(record)
        return record

    def _tell(self, record: TaskRecord, update: FamilyUpdate, at: int) -> None:
        record.info = task_info(update, at)
        for output, column in zip(record.outputs, update.outputs, strict=False):
            output.state = column.state
            output.info, location = object_news(column, at)
            if column.state is DataObjectState.FINISHED and output.kept:
                output.location = location

    def _stand_at_gates(self, record: TaskRecord) -> None:
        if self.gates:
            record.gates = list(self.gates)
            for gate in self.gates:
                gate.records.append(record)

    def untaken(self) -> Iterator[int]:
        """Places of members that were not taken out."""
        taken = self.taken
        return iter(range(len(self.args))) if not taken else (p for p in range(len(self.args)) if p not in taken)


def _tell_alone(record: TaskRecord, told: Alone) -> None:
    if told.task is not None:
        record.info = told.task.info
        if record.state is TaskState.FINISHED:
            for output in record.outputs:
                output.state = DataObjectState.FINISHED
    if told.obj is not None:
        (output,) = record.outputs
        output.state, output.info = told.obj.state, told.obj.info
        if output.state is DataObjectState.FINISHED and output.kept:
            output.location = told.obj.location


def _data_in(record: TaskRecord) -> tuple[str | None, bytes] | None:
    """The content type and bytes of the only output of a member with a record, if this process has them."""
    if len(record.outputs) != 1 or type(record.outputs[0].location) is not Inline:
        return None
    (output,) = record.outputs
    assert isinstance(output.location, Inline)
    declared = output.spec.content_type
    return (output.info.content_type if output.info is not None else None) or declared, output.location.data
