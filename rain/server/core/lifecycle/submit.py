"""A submit: checked as a whole, then taken as a whole.

The client has checked already, to give good messages; a peer may be anything, so all of it is checked again here.
Inputs precede their users, so one pass sees every reference, and a cycle cannot be written down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rain.common.ids import ID
from rain.common.limits import SESSION_TASKS_MAX, TASK_NODES_MAX
from rain.common.location import Upload
from rain.common.protocol.families import is_sound, member_outputs, member_spec
from rain.common.protocol.messages import Constant, Done, SessionEnv, Submit
from rain.common.spec import ObjectInfo, ObjectSpec, TaskOptions, TaskSpec, TaskSpecInput
from rain.common.task_configs import EXECUTE, PYTHON, UserModule
from rain.server.core.effects import DiscardUpload
from rain.server.core.lifecycle.settle import dependency_error, settle_as
from rain.server.core.modules import renew
from rain.server.core.objects import make_ready, release_ephemeral
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.resources import AMOUNT_MAX, DurationEstimate, ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import CONSTANT, EPHEMERAL, FUNCTION, OBJ_FAILED, OBJ_FINISHED, OBJ_UNFINISHED, WAITING

NUMBERS_MAX = 8 * SESSION_TASKS_MAX
"""Largest number of a task or object in its session."""
NAME_CHARS_MAX = 10_000
CALL_SITE_CHARS_MAX = 10_000
"""Longest description of the place in a client's code where a task was made; a longer one is left out."""
CALL_SITES_MAX = 10_000
"""Different such places that a session remembers for good; more live as long as their tasks are known."""
RESOURCES_MAX = 64
REQUESTS_MAX = 10_000
"""Different requests for resources, and different kinds of code, that a session remembers."""
RETRIES_MAX = 1_000_000
PRIORITY_MAX = 1 << 30
BUILTIN = "builtin"
NO_INPUTS: list[TaskSpecInput] = []
NO_IDS: list[ID] = []
NO_USER: dict[str, Any] = {}
NO_PARTS: list[Any] = []
# Empty containers of specs are shared; a submitted spec is not changed.


class Refused(Exception):
    """Something in a submit may not be; the text says what."""


class Cut:
    """A submit that is being checked: its new objects and tasks, not yet in the session.

    Attributes
    ----------
    env, modules
        See `Submit`.
    used : dict of Object to ID
        Objects of earlier submits that are inputs, and of which task.
    strings : dict of str to str
        Equal strings become one.
    refusal : str or None
        Why nothing of it will be taken.
    """

    __slots__ = (
        "constants", "env", "keep", "made", "modules", "objects", "options", "refusal", "session", "strings", "tasks",
        "used",
    )  # fmt: skip

    def __init__(self, session: Session) -> None:
        self.session = session
        self.objects: dict[int, Object] = {}
        self.tasks: dict[int, Task] = {}
        self.constants: list[Constant] = []
        self.keep: list[ID] = []
        self.made: dict[int, tuple[str, str]] = {}
        self.env: SessionEnv | None = None
        self.modules: list[UserModule] = []
        self.used: dict[Object, ID] = {}
        self.strings: dict[str, str] = {}
        self.options: TaskOptions | None = None
        self.refusal: str | None = None


def submit(state: State, client: Client, session: Session, message: Submit, trouble: str = "") -> None:
    """Answer `Submit`. Pieces are checked as they come, so that a large one never stands in memory twice.

    With `trouble`, what is wrong with uploads of this piece, all of the submit is refused: once, with its last piece.
    """
    cut: Cut = client.gathering.pop(session.id, None) or Cut(session)
    cut.refusal = cut.refusal or trouble or None
    cut.constants += message.constants
    cut.env = message.env or cut.env
    cut.modules += message.modules
    keep: list[Object] = []
    if cut.refusal is None:
        try:
            check_objects(cut, message.objects, message.constants)
            tasks = message.tasks
            if message.families:
                tasks = _with_members(cut, message)
            for spec in tasks:
                _check_task(cut, spec)
            cut.keep += message.keep
            if session.persistent:
                _note_call_sites(cut, message)
            if not message.more:
                keep = [_kept(cut, id) for id in cut.keep]
                _check_whole(cut)
        except Refused as refusal:
            cut.refusal = str(refusal)
            cut.objects, cut.tasks = {}, {}
    if message.more:
        client.gathering[session.id] = cut
    elif cut.refusal is not None:
        discard_uploads(state, cut.constants)
        state.refuse(client.id, message.request, cut.refusal)
    else:
        state.happened("ClientSubmit", session.id, values={"tasks": len(cut.tasks), "objects": len(cut.objects)})
        state.to_client(client.id, Done(message.request))
        _take(state, cut, keep)


def _with_members(cut: Cut, message: Submit) -> list[TaskSpec]:
    """The tasks of a submit, with those that are members of families; their outputs are taken into the cut."""
    tasks: list[TaskSpec] = []
    done = 0
    for family in sorted(message.families, key=lambda family: family.after):
        if not is_sound(family):
            raise Refused(f"the family of task {family.spec.id} is not one: its numbers, outputs or config are wrong")
        _check_count(cut, len(cut.tasks) + len(tasks) + len(family.args))
        tasks += message.tasks[done : family.after]
        done = max(done, family.after)
        for place, args in enumerate(family.args):
            spec = member_spec(family.spec, place, args)
            check_objects(cut, member_outputs(family.outputs, place), [])
            cut.keep += [spec.outputs[kept] for kept in family.kept]
            tasks.append(spec)
    return tasks + message.tasks[done:]


def _note_call_sites(cut: Cut, message: Submit) -> None:
    """Remember where tasks were made."""
    for spec, number in zip(message.tasks, message.made, strict=False):
        _note_call_site(cut, spec.id[1], message.sites, number)
    for family in message.families:
        made = family.made
        task, stride = family.spec.id[1], len(family.outputs) + 1
        for place in range(len(family.args) if made else 0):
            number = made[place if len(made) == len(family.args) else 0]
            _note_call_site(cut, task + place * stride, message.sites, number)


def _note_call_site(cut: Cut, task: int, sites: list[tuple[str, str]], number: int) -> None:
    known = cut.session.call_sites
    if 0 <= number < len(sites):
        site = sites[number]
        if len(site[0]) + len(site[1]) <= CALL_SITE_CHARS_MAX:
            if len(known) < CALL_SITES_MAX:
                known.setdefault(site, site)
            cut.made[task] = known.get(site, site)


def _take(state: State, cut: Cut, keep: list[Object]) -> None:
    _rank(cut)
    environment = renew(cut.session, cut.env, cut.modules)
    take_objects(state, cut, cut.constants)
    for obj in keep:
        if not obj.kept:
            obj.kept = True
            if obj.state is not OBJ_UNFINISHED:
                state.notify_object(obj)
    _take_tasks(state, cut, environment)
    for obj in cut.objects.values():
        if obj.role is EPHEMERAL and not obj.needed:  # of tasks that failed at once, or of none
            release_ephemeral(state, obj)


def discard_uploads(state: State, constants: Sequence[Constant]) -> None:
    """What was uploaded for a request that is refused is not needed."""
    names = [constant.location.name for constant in constants if isinstance(constant.location, Upload)]
    if names:
        state.out.append(DiscardUpload(names))


# -- checks ---------------------------------------------------------------------------------------


def _check_number(cut: Cut, id: ID, what: str) -> int:
    session = cut.session
    number = id[1]
    if id[0] != session.id:
        raise Refused(f"{what} {id} is not of session {session.id}")
    if not 0 <= number <= NUMBERS_MAX:
        raise Refused(f"{what} {id}: numbers go from 0 to NUMBERS_MAX ({NUMBERS_MAX})")
    if (
        number in cut.objects
        or number in cut.tasks
        or number in session.objects
        or number in session.tasks
        or session.released_as(number)
    ):
        raise Refused(f"{what} {id} was submitted before")
    return number


def _check_text(text: str | None, what: str, id: ID) -> None:
    if text is not None and len(text) > NAME_CHARS_MAX:
        raise Refused(f"the {what} of {id} has {len(text)} characters; NAME_CHARS_MAX is {NAME_CHARS_MAX}")


def check_objects(cut: Cut, specs: list[ObjectSpec], constants: list[Constant]) -> None:
    """Take new objects into a cut.

    Raises
    ------
    Refused
        If a spec or constant is not sound.
    """
    session, strings, objects = cut.session, cut.strings, cut.objects
    for spec in specs:
        number = _check_number(cut, spec.id, "object")
        if spec.data_type not in ("blob", "dir"):
            raise Refused(f'object {spec.id} has data type {spec.data_type!r}; it has to be "blob" or "dir"')
        _check_text(spec.label, "label", spec.id)
        _check_text(spec.content_type, "content type", spec.id)
        if spec.size_hint is not None and spec.size_hint < 0:
            raise Refused(f"object {spec.id} has a negative size_hint")
        if spec.label is not None:
            spec.label = strings.setdefault(spec.label, spec.label)
        if spec.content_type is not None:
            spec.content_type = strings.setdefault(spec.content_type, spec.content_type)
        spec.data_type = strings.setdefault(spec.data_type, spec.data_type)
        if not spec.user:
            spec.user = NO_USER
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


def _input(cut: Cut, id: ID, user: ID) -> Object:
    session = cut.session
    number = id[1]
    obj = cut.objects.get(number)
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


def _check_task(cut: Cut, spec: TaskSpec) -> None:
    session, strings = cut.session, cut.strings
    id = spec.id
    number = _check_number(cut, id, "task")
    executor, slash, _ = spec.task_type.partition("/")
    if not slash or not executor or len(spec.task_type) > NAME_CHARS_MAX:
        raise Refused(f'task {id} has type {spec.task_type[:100]!r}; it has to be of the form "executor/method"')
    _check_text(spec.name, "name", id)
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
    request = _request(session, spec, foreign)
    task = Task(spec, session, request, _estimate(request, spec), inputs)
    if spec.outputs:
        outputs = []
        for output in spec.outputs:
            made = cut.objects.get(output[1]) if output[0] == session.id else None
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
    cut.tasks[number] = task


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
    """The record that all tasks share which ask for the same."""
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
            session.requests.clear()  # tasks that ask for what is forgotten here have their record still
        request = session.requests[key] = ResourceRequest(resources, executor, session)
    spec.resources = request.resources
    return request


def _estimate(request: ResourceRequest, spec: TaskSpec) -> DurationEstimate:
    """The record of what the same code took with the same resources: of a function, a program, a builtin task."""
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
            request.estimates.clear()  # what waits of these kinds counts no more as demand; thousands of others do
        session = request.session
        if len(session.estimates) >= REQUESTS_MAX:
            session.estimates.clear()
        known = session.estimates.get(key)
        estimate = session.estimates[key] = request.estimates[key] = DurationEstimate(known)
        estimate.nodes = nodes
    return estimate


def _kept(cut: Cut, id: ID) -> Object:
    obj = (cut.objects.get(id[1]) or cut.session.objects.get(id[1])) if id[0] == cut.session.id else None
    if obj is None or not can_be_kept(obj):
        raise Refused(f"object {id} cannot be kept: it does not exist, or its data are gone")
    return obj


def can_be_kept(obj: Object) -> bool:
    """Whether its data exist or are still to be made (what failed can be kept too: the client
    is notified of the failure then)."""
    return obj.state in (OBJ_UNFINISHED, OBJ_FINISHED, OBJ_FAILED)


def _check_whole(cut: Cut) -> None:
    for obj, user in cut.used.items():
        # Between the pieces of a submit other things happen.
        if cut.session.objects.get(obj.id[1]) is not obj:
            raise Refused(f"task {user} has object {obj.title} as an input, which is gone")
        _check_usable(obj, user)
    for obj in cut.objects.values():
        if obj.producer is None and not obj.constant:
            raise Refused(f"object {obj.title} is neither a constant nor the output of a task")
    _check_count(cut, len(cut.tasks))


def _check_count(cut: Cut, tasks: int) -> None:
    if len(cut.session.tasks) + tasks > SESSION_TASKS_MAX:
        raise Refused(f"the session would have more than SESSION_TASKS_MAX ({SESSION_TASKS_MAX}) tasks")


# -- taking ---------------------------------------------------------------------------------------


def _rank(cut: Cut) -> None:
    """Per task the longest chain of tasks that starts with it: from the last task to the first, in linear time."""
    tasks = cut.tasks
    for task in reversed(tasks.values()):
        rank = task.rank + 1
        for obj in task.inputs:
            producer = obj.producer
            if producer is not None and producer.rank < rank and producer.id[1] in tasks:
                producer.rank = rank


def take_objects(state: State, cut: Cut, constants: list[Constant]) -> None:
    """Put a cut's objects into the session."""
    session = cut.session
    session.objects.update(cut.objects)
    for constant in constants:
        obj = cut.objects[constant.id[1]]
        location = constant.location
        if isinstance(location, Upload):
            session.uploads[constant.id[1]] = location.name
            obj.location = location.file
        else:
            obj.location = location
        obj.size = location.size
        obj.checksum = location.checksum
        size = location.size if constant.content_size is None else constant.content_size
        obj.info = ObjectInfo(size=size, encoded=constant.encoded)
        state.set_object(obj, OBJ_FINISHED)
    if cut.objects:
        session.last_number = max(session.last_number, max(cut.objects))


def _take_tasks(state: State, cut: Cut, environment: int) -> None:
    session, graph = cut.session, state.graph
    session.tasks.update(cut.tasks)
    session.made.update(cut.made)
    session.counts[id(WAITING)] += len(cut.tasks)
    order = graph.orders
    ready: list[Task] = []
    broken: list[tuple[Task, Object]] = []
    # All users are counted before the first task settles: that may release what others need.
    for task in cut.tasks.values():
        order += 1
        task.order = order
        spec = task.spec
        spec.environment = environment if spec.function is not None else 0
        pending = 0
        for obj in task.inputs:
            obj.needs += 1
            if obj.constant:
                continue
            obj.add_consumer(task)
            if obj.state is OBJ_UNFINISHED:
                pending += 1
            elif obj.state is OBJ_FAILED:
                broken.append((task, obj))
        task.pending = pending
        if pending == 0:
            ready.append(task)
    graph.orders = order
    if cut.tasks:
        session.last_number = max(session.last_number, max(cut.tasks))
    for task, obj in broken:
        if task.state is WAITING:
            assert obj.producer is not None
            settle_as(state, task, *dependency_error(task, obj.producer))
    for task in ready:
        if task.state is WAITING:
            make_ready(state, task)
