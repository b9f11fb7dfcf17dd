"""A cut: a submit that is being checked, and the records that will be made of it.

The client has checked the submit already, for good error messages; a server trusts no peer, so it checks all again.
Inputs precede their users, so that one pass sees every reference, and there can be no cycle.
"""

from __future__ import annotations

import math
from typing import Any

from rain.common.ids import ID
from rain.common.limits import SESSION_TASKS_MAX, TASK_NODES_MAX
from rain.common.location import Upload
from rain.common.protocol import messages as m
from rain.common.protocol.families import is_sound, member_outputs, member_spec
from rain.common.spec import ObjectSpec, TaskOptions, TaskSpec, TaskSpecInput
from rain.common.task_configs import EXECUTE, PYTHON, UserModule
from rain.server.records.data_object import Object
from rain.server.records.family import TaskFamily
from rain.server.records.items import Families
from rain.server.records.resources import AMOUNT_MAX, DurationEstimate, ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import CONSTANT, EPHEMERAL, FUNCTION, OBJ_FAILED, OBJ_FINISHED, OBJ_UNFINISHED

NUMBERS_MAX = 8 * SESSION_TASKS_MAX
"""Largest number of a task or object in its session."""
NAME_CHARS_MAX = 10_000
RESOURCES_MAX = 64
REQUESTS_MAX = 10_000
"""How many different resource requests, and how many different kinds of code, a session remembers."""
RETRIES_MAX = 1_000_000
PRIORITY_MAX = 1 << 30
BUILTIN = "builtin"
NO_INPUTS: list[TaskSpecInput] = []
NO_IDS: list[ID] = []
NO_USER: dict[str, Any] = {}
NO_PARTS: list[Any] = []
# Empty containers of specs are shared; a submitted spec is not changed.


class Refused(Exception):
    """A submit is not accepted; the text says why."""


class Cut:
    """A submit that is being checked: its new objects and tasks, not yet in the session.

    Attributes
    ----------
    env, modules
        See `Submit`.
    families : Families
        The new tasks and objects.
    with_families : bool
        Whether families may stay together; else each member gets a record of its own.
    floor, last : int
        The greatest number in the session before this submit, and with it.
    position : int
        How many tasks the submit has so far.
    used : dict of Object to ID
        Objects of earlier submits that are inputs, and a task of which each is.
    strings : dict of str to str
        Strings of the submit; equal ones are shared.
    refusal : str or None
        Why the submit is refused as a whole.
    """

    __slots__ = (
        "constants", "env", "families", "floor", "keep", "last", "made", "modules", "options", "position", "refusal",
        "session", "strings", "used", "with_families",
    )  # fmt: skip

    def __init__(self, session: Session, with_families: bool = False) -> None:
        self.session = session
        self.families = Families({}, {})
        self.with_families = with_families and not session.persistent
        self.floor = self.last = session.last_number
        self.position = 0
        self.constants: list[m.Constant] = []
        self.keep: list[ID] = []
        self.made: dict[int, tuple[str, str]] = {}
        self.env: m.SessionEnv | None = None
        self.modules: list[UserModule] = []
        self.used: dict[Object, ID] = {}
        self.strings: dict[str, str] = {}
        self.options: TaskOptions | None = None
        self.refusal: str | None = None

    @property
    def tasks(self) -> dict[int, Task]:
        """New tasks by number, but for members of families that have no record of their own."""
        return self.families.tasks.own

    @property
    def objects(self) -> dict[int, Object]:
        """New objects by number, but for those of such members."""
        return self.families.objects.own

    def has_not(self, first: ID, last: int) -> bool:
        """Whether the numbers from `first` to `last` may be used: all are new to the session, and in bounds."""
        number, families = first[1], self.families
        if first[0] != self.session.id or number <= self.floor or last > NUMBERS_MAX:
            return False
        if number > self.last:
            return True
        numbers = range(number, last + 1)
        return (
            self.tasks.keys().isdisjoint(numbers)
            and self.objects.keys().isdisjoint(numbers)
            and not any(family.first <= last and number <= family.last for family in families.records)
        )

    @property
    def count(self) -> int:
        """How many tasks it has."""
        return len(self.families.tasks)


def check_piece(cut: Cut, message: m.Submit) -> list[Object]:
    """Add a piece of a submit to its cut; the last piece says which objects are to be kept.

    Raises
    ------
    Refused
        If anything in the piece is not acceptable.
    """
    check_objects(cut, message.objects, message.constants)
    done = 0
    for family in sorted(message.families, key=lambda family: family.after) if message.families else ():
        for spec in message.tasks[done : family.after]:
            _check_task(cut, spec)
        done = max(done, family.after)
        _check_family(cut, family)
    for spec in message.tasks[done:] if done else message.tasks:
        _check_task(cut, spec)
    cut.keep += message.keep
    if message.more:
        return []
    keep = [_kept(cut, id) for id in cut.keep]
    _check_whole(cut)
    return keep


def _check_number(cut: Cut, id: ID, what: str) -> int:
    session = cut.session
    number = id[1]
    if id[0] != session.id:
        raise Refused(f"{what} {id} is not of session {session.id}")
    if session.last_number < number > cut.last and number <= NUMBERS_MAX:
        cut.last = number
        return number
    if not 0 <= number <= NUMBERS_MAX:
        raise Refused(f"{what} {id}: numbers go from 0 to NUMBERS_MAX ({NUMBERS_MAX})")
    families = cut.families
    known = number in families.objects.own or number in families.tasks.own
    if not known and families.firsts:
        known = number in families.objects or number in families.tasks
    if known or (number <= session.last_number and _was_submitted(session, number)):
        raise Refused(f"{what} {id} was submitted before")
    return number


def _was_submitted(session: Session, number: int) -> bool:
    return number in session.objects or number in session.tasks or session.released_as(number) != 0


def _check_text(text: str, what: str, id: ID) -> None:
    if len(text) > NAME_CHARS_MAX:
        raise Refused(f"the {what} of {id} has {len(text)} characters; NAME_CHARS_MAX is {NAME_CHARS_MAX}")


def check_objects(cut: Cut, specs: list[ObjectSpec], constants: list[m.Constant]) -> None:
    """Add new objects to a cut.

    Raises
    ------
    Refused
        If a spec or constant is not acceptable.
    """
    session, objects = cut.session, cut.objects
    for spec in specs:
        number = _check_number(cut, spec.id, "object")
        _check_object(cut, spec)
        objects[number] = Object(spec, session)
    for constant in constants:
        id = constant.id
        obj = objects.get(id[1]) if id[0] == session.id else None
        if obj is None or obj.constant:
            raise Refused(f"constant {id} is given twice, or is not among the new objects")
        upload = constant.location
        if isinstance(upload, Upload) and upload.file is None:
            raise Refused(f"the upload {upload.name!r} of constant {id} did not arrive")
        obj.role = EPHEMERAL if constant.ephemeral else CONSTANT


def _check_object(cut: Cut, spec: ObjectSpec) -> None:
    strings = cut.strings
    if spec.data_type not in ("blob", "dir"):
        raise Refused(f'object {spec.id} has data type {spec.data_type!r}; it has to be "blob" or "dir"')
    if spec.size_hint is not None and spec.size_hint < 0:
        raise Refused(f"object {spec.id} has a negative size_hint")
    if spec.label is not None:
        _check_text(spec.label, "label", spec.id)
        spec.label = strings.setdefault(spec.label, spec.label)
    if spec.content_type is not None:
        _check_text(spec.content_type, "content type", spec.id)
        spec.content_type = strings.setdefault(spec.content_type, spec.content_type)
    spec.data_type = strings.setdefault(spec.data_type, spec.data_type)
    if not spec.user:
        spec.user = NO_USER


def _input(cut: Cut, id: ID, user: ID) -> Object:
    session = cut.session
    number = id[1]
    obj = cut.families.objects.get(number)
    if id[0] != session.id:
        raise Refused(f"task {user} has object {id} as an input, which is of another session")
    if obj is not None:
        if obj.producer is None and not obj.constant:
            raise Refused(f"task {user} has object {id} as an input, whose task does not precede it")
        return obj
    obj = session.objects.get(number)
    if obj is None:
        if session.released_as(number):
            raise Refused(
                f"task {user} has object {id} as an input, which is gone, because it was not kept (call keep() on it "
                "before submitting the task that makes it)"
            )
        raise Refused(f"task {user} has object {id} as an input, which does not exist")
    _check_usable(obj, user)
    cut.used[obj] = user
    return obj


def _check_usable(obj: Object, user: ID) -> None:
    if not obj.constant and not obj.kept:
        raise Refused(
            f"task {user} has object {obj.title} of an earlier submit as an input, which is not kept (call keep() on "
            "it before submitting the task that makes it)"
        )


def _check_family(cut: Cut, family: m.Family) -> None:
    """Add a family to a cut: as one record if that is possible, else each member as a task."""
    spec, outputs, args = family.spec, family.outputs, family.args
    if not is_sound(family):
        raise Refused(f"the family of task {spec.id} is not one: its numbers, outputs or config are wrong")
    _check_count(cut, cut.count + len(args))
    last = spec.id[1] + len(args) * (len(outputs) + 1) - 1
    nodes = 1 if spec.options is None else spec.options.nodes
    if not cut.with_families or nodes > 1 or not cut.has_not(spec.id, last):
        for place, its in enumerate(args):
            member = member_spec(spec, place, its)
            check_objects(cut, member_outputs(outputs, place), [])
            cut.keep += [member.outputs[kept] for kept in family.kept]
            _check_task(cut, member)
        return
    for output in outputs:
        _check_object(cut, output)
    inputs, request = _check_spec(cut, spec)
    kept = tuple(dict.fromkeys(family.kept))
    made = TaskFamily(spec, outputs, args, kept, cut.session, request, _estimate(request, spec), inputs)
    cut.position += 1
    made.order = cut.position
    cut.position += len(args) - 1
    cut.last = max(cut.last, last)
    cut.families.add(made)


def _check_task(cut: Cut, spec: TaskSpec) -> None:
    number = _check_number(cut, spec.id, "task")
    inputs, request = _check_spec(cut, spec)
    task = Task(spec, cut.session, request, _estimate(request, spec), inputs)
    cut.position += 1
    task.order = cut.position
    _check_outputs(cut, task)
    cut.families.tasks.own[number] = task


def _check_spec(cut: Cut, spec: TaskSpec) -> tuple[tuple[Object, ...], ResourceRequest]:
    """The inputs and the resource request of a task, whose spec is checked."""
    session, strings = cut.session, cut.strings
    id = spec.id
    executor, slash, _ = spec.task_type.partition("/")
    if not slash or not executor or len(spec.task_type) > NAME_CHARS_MAX:
        raise Refused(f'task {id} has type {spec.task_type[:100]!r}; it has to be of the form "executor/method"')
    found: list[Object] = []
    if spec.inputs:
        shared = []
        for wanted in spec.inputs:
            obj = _input(cut, wanted.id, id)
            found.append(obj)
            label = wanted.label
            shared.append(TaskSpecInput(obj.id, label if label is None else strings.setdefault(label, label)))
        spec.inputs = shared
    else:
        spec.inputs = NO_INPUTS
    if spec.function is not None:
        obj = _input(cut, spec.function, id)
        if not obj.constant:
            raise Refused(f"the function of task {id} is object {spec.function}, which is not a constant")
        spec.function = obj.id
        if obj.role is CONSTANT:
            obj.role = FUNCTION
        found.append(obj)
    inputs = tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))
    spec.task_type = strings.setdefault(spec.task_type, spec.task_type)
    if spec.name is not None:
        _check_text(spec.name, "name", id)
        spec.name = strings.setdefault(spec.name, spec.name)
    if not spec.user:
        spec.user = NO_USER
    if spec.options is not None:
        _check_options(id, spec.options)
        if spec.options.nodes > 1 and spec.task_type != EXECUTE and not spec.task_type.startswith(PYTHON):
            raise Refused(
                f"task {id} of type {spec.task_type} has nodes={spec.options.nodes}; only remote functions and "
                "programs run on several governors at once"
            )
        if spec.options == cut.options:
            spec.options = cut.options
        else:
            cut.options = spec.options
    if type(spec.config) is list:
        spec.config = [NO_PARTS if part == [] else part for part in spec.config]
    foreign = None if executor in ("py", BUILTIN) else executor
    return inputs, _request(session, spec, foreign)


def _check_outputs(cut: Cut, task: Task) -> None:
    spec, id, session = task.spec, task.id, cut.session
    if spec.outputs:
        outputs, objects = [], cut.families.objects.own
        for output in spec.outputs:
            made = objects.get(output[1]) if output[0] == session.id else None
            if made is None or made.constant:
                raise Refused(f"task {id} has output {output}, which is not among the new objects, or is a constant")
            if made.producer is not None:
                raise Refused(f"object {output} is an output of both task {made.producer.id} and task {id}")
            made.producer = task
            outputs.append(made)
        task.outputs = tuple(outputs)
        spec.outputs = [obj.id for obj in outputs]
    else:
        spec.outputs = NO_IDS


def _check_options(id: ID, options: TaskOptions) -> None:
    if options.timeout is not None and not 0 < options.timeout < math.inf:
        raise Refused(f"task {id} has timeout {options.timeout}; it has to be a positive number of seconds")
    if not 0 <= options.retries <= RETRIES_MAX:
        raise Refused(f"task {id} has retries {options.retries}; RETRIES_MAX is {RETRIES_MAX}")
    if options.rerun not in ("", "never"):
        raise Refused(f'task {id} has rerun {options.rerun!r}; it has to be "never" or not be given')
    if abs(options.priority) > PRIORITY_MAX:
        raise Refused(f"task {id} has priority {options.priority}; PRIORITY_MAX is {PRIORITY_MAX}")
    if not 1 <= options.nodes <= TASK_NODES_MAX:
        raise Refused(f"task {id} has nodes {options.nodes}; it has to be from 1 to TASK_NODES_MAX ({TASK_NODES_MAX})")
    for name, value in options.env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise Refused(f"task {id} has an environment variable that cannot be set: {name!r}")


def _request(session: Session, spec: TaskSpec, executor: str | None) -> ResourceRequest:
    """The record that all tasks with the same resource request share."""
    resources = spec.resources
    key = (executor, *resources.items())
    request = session.requests.get(key)
    if request is None:
        if len(resources) > RESOURCES_MAX:
            raise Refused(f"task {spec.id} asks for {len(resources)} resources; RESOURCES_MAX is {RESOURCES_MAX}")
        for name, amount in resources.items():
            if not name or len(name) > 200:
                raise Refused(f"task {spec.id} asks for a resource named {name[:200]!r}")
            if not 0 <= amount <= AMOUNT_MAX:
                raise Refused(
                    f"task {spec.id} asks for {amount} {name}; it has to be a number from 0 to {AMOUNT_MAX:g}"
                )
        if len(session.requests) >= REQUESTS_MAX:
            session.requests.clear()  # tasks keep the record that they have
        request = session.requests[key] = ResourceRequest(resources, executor, session)
    spec.resources = request.resources
    return request


def _estimate(request: ResourceRequest, spec: TaskSpec) -> DurationEstimate:
    """The estimate for the code of a task (a function, a program, a builtin task) with its resource request."""
    key: Any
    if spec.function is not None:
        key = spec.function[1]
    elif spec.task_type == EXECUTE:
        config = spec.config
        args = config[0] if isinstance(config, list) and config else None
        key = str(args[0])[:200] if isinstance(args, list) and args else EXECUTE
    else:
        key = spec.task_type
    nodes = 1 if spec.options is None else spec.options.nodes
    if nodes > 1:
        key = (key, nodes)
    estimate = request.estimates.get(key)
    if estimate is None:
        if len(request.estimates) >= REQUESTS_MAX:
            request.estimates.clear()  # waiting tasks of these kinds no longer count as demand
        session = request.session
        if len(session.estimates) >= REQUESTS_MAX:
            session.estimates.clear()
        known = session.estimates.get(key)
        estimate = session.estimates[key] = request.estimates[key] = DurationEstimate(known)
        estimate.nodes = nodes
    return estimate


def _kept(cut: Cut, id: ID) -> Object:
    obj = None
    if id[0] == cut.session.id:
        new = cut.families.objects
        obj = new.own.get(id[1]) or new.get(id[1]) or cut.session.objects.get(id[1])
    if obj is None or not can_be_kept(obj):
        raise Refused(f"object {id} cannot be kept: it does not exist, or its data are gone")
    return obj


def can_be_kept(obj: Object) -> bool:
    """Whether its data exist or are still to be made. An object that failed can be kept, too: then the client is told
    of the failure."""
    return obj.state in (OBJ_UNFINISHED, OBJ_FINISHED, OBJ_FAILED)


def _check_whole(cut: Cut) -> None:
    for obj, user in cut.used.items():
        # Objects may have been dropped since the first piece of the submit was checked.
        if cut.session.objects.get(obj.id[1]) is not obj:
            raise Refused(f"task {user} has object {obj.title} as an input, which is gone")
        _check_usable(obj, user)
    for obj in cut.objects.values():
        if obj.producer is None and not obj.constant:
            raise Refused(f"object {obj.title} is neither a constant nor the output of a task")
    _check_count(cut, cut.count)


def _check_count(cut: Cut, tasks: int) -> None:
    if len(cut.session.tasks) + tasks > SESSION_TASKS_MAX:
        raise Refused(f"the session would have more than SESSION_TASKS_MAX ({SESSION_TASKS_MAX}) tasks")
