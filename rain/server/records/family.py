"""The server's record of a family: tasks that differ by their arguments only, as one record with one byte per task.

A member gets a record of its own, for good, when it has to be treated alone (`TaskFamily.take`). Until then it is
ready, or assigned to a governor with its first attempt, or finished; it has no consumers, no replicas and no notes of
its own. Members are looked up in `rain.server.records.items`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.columns import counts_of
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec, runs_once
from rain.server.records.data_object import Object
from rain.server.records.task import Task
from rain.server.states import CANCELLED, DEMAND, OBJ_FINISHED, QUEUED, READY

if TYPE_CHECKING:
    from rain.server.records.governor import Governor
    from rain.server.records.resources import DurationEstimate, ResourceRequest
    from rain.server.records.session import Session

OWN, NEW, FREE, DROPPED, DONE, PAST, AT = range(7)
"""What `TaskFamily.states` says of a member: it has a record of its own; its submit has not been taken; it is ready and
queued with the policy; its session ended while it was that; it finished, and what is kept of its outputs is here; it
finished, and nothing of it is here; from `AT` on: it is assigned to the governor of the share with this number."""
SHARES_MAX = 240
"""How many governors a family may be assigned to at a time; further ones get members with records of their own."""
_FREE_BYTE = bytes((FREE,))


class Share:
    """A share: the members of a family that are assigned to one governor, and what they add to its `work`."""

    __slots__ = ("count", "governor", "load")

    def __init__(self, governor: Governor) -> None:
        self.governor = governor
        self.count = 0
        self.load = 0


class TaskFamily:
    """Tasks of one submit that differ by their arguments only.

    Attributes
    ----------
    first, stride, count : int
        Member i of `count` is task ``first + i * stride``; its outputs have the numbers that follow.
    spec, outputs : TaskSpec, list of ObjectSpec
        Specs of the first member and its outputs, without arguments.
    args : list of bytes
        The pickled arguments of each member; empty for members that have a record of their own, or have finished.
    kept : tuple of int
        The places of the outputs that the client keeps, of all members that it has not let go.
    unkept : bytearray
        For each member 1 if the client let its outputs go before it finished, else 0; empty if there is none.
    inputs : tuple of Object
        Constants; each member counts as a user of them until it has finished.
    order : int
        `Task.order` of the first member.
    states : bytearray
        The state of each member: `OWN` and so on.
    waiting, made : int
        How many members without a record of their own have not finished, and how many have.
    shares : list of Share or None
    data : list of list of bytes
        For each output that is kept the bytes that members made, as far as there are any; for others an empty list.
    checksums : list of bytearray
        For each output the checksums of these bytes, as a column (`rain.common.protocol.columns`).
    infos : list of ObjectInfo or None
        For each output the info that all members' outputs have in common, once there is one.
    """

    __slots__ = (
        "args",
        "checksums",
        "count",
        "data",
        "estimate",
        "first",
        "id",
        "infos",
        "inputs",
        "kept",
        "made",
        "order",
        "outputs",
        "request",
        "session",
        "shares",
        "spec",
        "states",
        "stride",
        "unkept",
        "waiting",
    )

    def __init__(
        self,
        spec: TaskSpec,
        outputs: list[ObjectSpec],
        args: list[bytes],
        kept: tuple[int, ...],
        session: Session,
        request: ResourceRequest,
        estimate: DurationEstimate,
        inputs: tuple[Object, ...],
    ) -> None:
        self.id = spec.id
        self.first = spec.id[1]
        self.stride = len(outputs) + 1
        self.count = len(args)
        self.spec = spec
        self.outputs = outputs
        self.args = args
        self.kept = kept
        self.unkept = bytearray()
        self.session = session
        self.request = request
        self.estimate = estimate
        self.inputs = inputs
        self.order = 0
        self.states = bytearray((NEW,)) * len(args)
        self.waiting = len(args)
        self.made = 0
        self.shares: list[Share | None] = []
        self.data: list[list[bytes]] = [[] for _ in outputs]
        self.checksums = [bytearray() for _ in outputs]
        self.infos: list[ObjectInfo | None] = [None for _ in outputs]

    @property
    def runs_once(self) -> bool:
        """Whether the user forbade a second run of its members."""
        return runs_once(self.spec)

    @property
    def priority(self) -> int:
        """The priority that the user gave."""
        return 0 if self.spec.options is None else self.spec.options.priority

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.spec.name or self.spec.task_type} ({self.id} and {self.count - 1} more)"

    @property
    def last(self) -> int:
        """The greatest number of its tasks and objects."""
        return self.first + self.count * self.stride - 1

    def number(self, place: int) -> int:
        """The number of a member's task."""
        return self.first + place * self.stride

    def member_id(self, place: int) -> ID:
        """The id of a member's task."""
        return ID(self.id[0], self.first + place * self.stride)

    def begin(self, environment: int, order: int) -> None:
        """The submit was accepted: members are ready."""
        self.spec.environment = environment
        self.order += order
        self.states = self.states.replace(bytes((NEW,)), _FREE_BYTE)

    def run(self, start: int, stop: int) -> int:
        """The end of the run of members that begins at `start` and in which all have the same state; at most `stop`."""
        part = self.states[start:stop]
        return stop - len(part.lstrip(part[:1]))

    def runs(self, state: int) -> list[Members]:
        """The runs of consecutive members that are in a state."""
        found = []
        states, start = self.states, 0
        while (start := states.find(state, start)) >= 0:
            stop = self.run(start, self.count)
            found.append(Members(self, start, stop))
            start = stop
        return found

    # -- assignments ----------------------------------------------------------------------------

    def share_of(self, governor: Governor) -> int:
        """The number of a governor's share, which is made if there is none; -1 if there are too many shares."""
        slot = governor.shares.get(self, -1)
        if slot >= 0:
            return slot
        share = Share(governor)
        if None in self.shares:
            slot = self.shares.index(None)
            self.shares[slot] = share
        elif len(self.shares) < SHARES_MAX:
            slot = len(self.shares)
            self.shares.append(share)
        else:
            return -1
        governor.shares[self] = slot
        return slot

    def leave(self, governor: Governor, count: int) -> int:
        """Take `count` members out of a governor's share; returns what they added to its `work`."""
        slot = governor.shares[self]
        share = self.shares[slot]
        assert share is not None
        load = share.load * count // share.count
        share.count -= count
        share.load -= load
        governor.members -= count
        if not share.count:
            self.shares[slot] = None
            del governor.shares[self]
        return load

    def assigned(self, governor: Governor) -> list[int]:
        """The places of the members that are assigned to a governor."""
        slot = governor.shares.get(self, -1)
        if slot < 0:
            return []
        code, states = AT + slot, self.states
        return [place for place in range(states.find(code), states.rfind(code) + 1) if states[place] == code]

    # -- records of their own -------------------------------------------------------------------

    def take(self, place: int) -> Task:
        """Give a member that has not finished a record of its own, for good. Called by `rain.server.records.items`,
        which enters the record into the session."""
        state = self.states[place]
        session = self.session
        spec = member_spec(self.spec, place, self.args[place])
        task = Task(spec, session, self.request, self.estimate, self.inputs)
        task.order = self.order + place
        outputs = []
        for at, output in enumerate(member_outputs(self.outputs, place)):
            obj = Object(output, session)
            obj.producer = task
            obj.kept = at in self.kept and not self.is_unkept(place)
            outputs.append(obj)
        task.outputs = tuple(outputs)
        if outputs:
            spec.outputs = [obj.id for obj in outputs]
        if state != NEW:
            task.state = READY
        if state == FREE:
            task.placement = QUEUED
        elif state >= AT:
            share = self.shares[state - AT]
            assert share is not None
            governor = share.governor
            task.placement = QUEUED
            task.placement = DEMAND
            task.attempt = 1
            task.governor = governor
            task.load = self.leave(governor, 1)
            governor.assigned[task] = None
        if session.over:
            task.state = CANCELLED
        self.states[place] = OWN
        self.args[place] = b""
        self.waiting -= 1
        return task

    def held_outputs(self, place: int) -> list[tuple[ObjectSpec, ObjectInfo]]:
        """What the outputs of a finished member are whose bytes are here."""
        found = []
        specs = member_outputs(self.outputs, place)
        for at in self.kept if self.states[place] == DONE else ():
            info = self.infos[at]
            assert info is not None
            size = len(self.data[at][place])
            own = ObjectInfo(info.error, size, info.content_type, info.debug, info.user, info.encoded)
            found.append((specs[at], own))
        return found

    def member(self, place: int) -> TaskSpec:
        """The spec of a member, without arguments."""
        return member_spec(self.spec, place, b"")

    def take_made(self, place: int) -> list[Object]:
        """Give the outputs of a finished member that are kept records of their own, for good."""
        found = []
        for at, (spec, info) in zip(self.kept, self.held_outputs(place), strict=True):
            obj = Object(spec, self.session)
            obj.kept = True
            location = Inline(self.data[at][place], counts_of(bytes(self.checksums[at][8 * place : 8 * place + 8]))[0])
            obj.info = info
            obj.size = location.size
            obj.location = location
            obj.checksum = location.checksum
            obj.state = OBJ_FINISHED
            self.data[at][place] = b""
            found.append(obj)
        self.states[place] = OWN
        self.made -= 1
        return found

    def keep_data(self, at: int, start: int, data: list[bytes], checksums: bytes, info: ObjectInfo) -> None:
        """Enter the bytes that members from `start` on made as their output number `at`."""
        column, stop = self.data[at], start + len(data)
        if not column:
            column.extend([b""] * self.count)
            self.checksums[at].extend(bytes(8 * self.count))
        column[start:stop] = data
        self.checksums[at][8 * start : 8 * stop] = checksums
        self.infos[at] = info

    # -- kept no longer -------------------------------------------------------------------------

    def is_unkept(self, place: int) -> bool:
        """Whether the client let the outputs of a member go before it finished."""
        return bool(self.unkept) and bool(self.unkept[place])

    def unkept_run(self, start: int, stop: int) -> int:
        """The end of the run of members that begins at `start` and that are all unkept, or all not; at most `stop`."""
        part = self.unkept[start:stop]
        return stop - len(part.lstrip(part[:1]))

    def unkeep(self, start: int, stop: int) -> list[int]:
        """Let outputs of members go that have not finished; gives the places where they were kept."""
        if not self.kept:
            return []
        if not self.unkept:
            self.unkept = bytearray(self.count)
        found = [place for place in range(start, stop) if not self.unkept[place]]
        self.unkept[start:stop] = b"\1" * (stop - start)
        return found

    def drop(self, start: int, stop: int) -> None:
        """Drop what is held of members that have finished."""
        count = stop - start
        for at in self.kept:
            self.data[at][start:stop] = [b""] * count
        self.states[start:stop] = bytes((PAST,)) * count
        self.made -= count

    def __repr__(self) -> str:
        return f"<TaskFamily {self.id} of {self.count}>"


class Members:
    """Consecutive members of a family in a scheduling policy's queue, from place `start` to before `stop`."""

    __slots__ = ("family", "start", "stop")

    def __init__(self, family: TaskFamily, start: int, stop: int) -> None:
        self.family = family
        self.start = start
        self.stop = stop

    def head(self) -> Task | int | None:
        """The first member that is ready: its record if it has one of its own, else its place; None if there is none.
        Members before it are left out from now on."""
        family = self.family
        states, stop = family.states, self.stop
        free = states.find(FREE, self.start, stop)
        end = stop if free < 0 else free
        place = self.start
        tasks = family.session.tasks.own
        while (place := states.find(OWN, place, end)) >= 0:
            task = tasks.get(family.number(place))
            if task is not None and task.placement is QUEUED:
                self.start = place
                return task
            place += 1
        self.start = end
        return None if free < 0 else free

    def __lt__(self, other: object) -> bool:
        # In a heap beside another entry of the same urgency, which then is of the same task.
        return False

    __gt__ = __lt__

    def __repr__(self) -> str:
        return f"<Members {self.start} to {self.stop} of {self.family.id}>"
