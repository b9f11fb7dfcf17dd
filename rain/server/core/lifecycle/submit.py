"""A submit: checked as a whole, then taken as a whole.

Pieces are checked as they come (`rain.server.core.lifecycle.cut`), so that a large one never stands in memory twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from rain.common.location import Inline, Upload
from rain.common.protocol.messages import Constant, Done, Submit
from rain.common.spec import ObjectInfo
from rain.server.core.effects import DiscardUpload
from rain.server.core.lifecycle.cut import Cut, Refused, check_piece
from rain.server.core.lifecycle.settle import dependency_error, settle_as
from rain.server.core.modules import renew
from rain.server.core.objects import make_ready, release_ephemeral
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.family import FREE, NEW, Members, TaskFamily
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import EPHEMERAL, OBJ_FAILED, OBJ_FINISHED, OBJ_UNFINISHED, READY, WAITING

CALL_SITE_CHARS_MAX = 10_000
"""Longest description of the place in a client's code where a task was made; a longer one is left out."""
CALL_SITES_MAX = 10_000
"""Different such places that a session remembers for good; more live as long as their tasks are known."""


def submit(state: State, client: Client, session: Session, message: Submit, trouble: str = "") -> None:
    """Answer `Submit`. Pieces are checked as they come, so that a large one never stands in memory twice.

    With `trouble`, what is wrong with uploads of this piece, all of the submit is refused: once, with its last piece.
    """
    cut: Cut = client.gathering.pop(session.id, None) or Cut(session, state.takes_members)
    cut.refusal = cut.refusal or trouble or None
    cut.constants += message.constants
    cut.env = message.env or cut.env
    cut.modules += message.modules
    keep: list[Object] = []
    if cut.refusal is None:
        try:
            keep = check_piece(cut, message)
            if session.persistent:
                _note_call_sites(cut, message)
        except Refused as refusal:
            cut.refusal = str(refusal)
            cut.families.clear()
    if message.more:
        client.gathering[session.id] = cut
    elif cut.refusal is not None:
        discard_uploads(state, cut.constants)
        state.refuse(client.id, message.request, cut.refusal)
    else:
        made = sum(family.waiting * len(family.outputs) for family in cut.families.records)
        values = {"tasks": cut.count, "objects": len(cut.objects) + made}
        state.happened("ClientSubmit", session.id, values=values)
        state.to_client(client.id, Done(message.request))
        _take(state, cut, keep)


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
    families = _stay_together(cut)
    for obj in keep:
        if not obj.kept:
            obj.kept = True
            if obj.state is not OBJ_UNFINISHED:
                state.notify_object(obj)
    _take_tasks(state, cut, environment, families)
    for obj in cut.objects.values():
        if obj.role is EPHEMERAL and not obj.needed:  # of tasks that failed at once, or of none
            release_ephemeral(state, obj)


def discard_uploads(state: State, constants: Sequence[Constant]) -> None:
    """What was uploaded for a request that is refused is not needed."""
    names = [constant.location.name for constant in constants if isinstance(constant.location, Upload)]
    if names:
        state.out.append(DiscardUpload(names))


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


def _stay_together(cut: Cut) -> list[TaskFamily]:
    """The families of a cut that stay one record: whose inputs are few bytes that the client gave."""
    families, session = cut.families, cut.session
    for family in list(families.records):
        if not all(obj.constant and type(obj.location) is Inline for obj in family.inputs):
            for place in range(family.count):
                if family.states[place] == NEW:
                    families.take(family, place)
            session.objects.update(cut.objects)
            session.last_number = max(session.last_number, family.last)
    return families.records


def _take_tasks(state: State, cut: Cut, environment: int, families: list[TaskFamily]) -> None:
    session, graph = cut.session, state.graph
    session.tasks.update(cut.tasks)
    session.made.update(cut.made)
    session.counts[id(WAITING)] += len(cut.tasks)
    before = graph.orders
    ready: list[Task] = []
    broken: list[tuple[Task, Object]] = []
    # All users are counted before the first task settles: that may release what others need.
    for index, task in enumerate(cut.tasks.values(), 1):
        task.order = before + (task.order or index)  # not numbered yet by a server of the version before this one
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
    graph.orders = before + max(cut.position, len(cut.tasks))
    for family in families:
        _take_family(state, session, family, environment, before)
    if cut.tasks:
        session.last_number = max(session.last_number, max(cut.tasks))
    for task, obj in broken:
        if task.state is WAITING:
            assert obj.producer is not None
            settle_as(state, task, *dependency_error(task, obj.producer))
    for task in ready:
        if task.state is WAITING:
            make_ready(state, task)


def _take_family(state: State, session: Session, family: TaskFamily, environment: int, order: int) -> None:
    """Its members are ready."""
    family.begin(environment if family.spec.function is not None else 0, order)
    session.families.add(family)
    session.last_number = max(session.last_number, family.last)
    session.counts[id(READY)] += family.waiting
    for obj in family.inputs:
        obj.needs += family.waiting
    for members in family.runs(FREE):
        state.offer_members(members)
        state.family_updates.append((session, Members(family, members.start, members.stop)))
