"""Before a submit: which of the new tasks have results from earlier runs, and what of the rest is to be sent.

Theory of operation
-------------------
For each new task that may reuse results its key is made and looked for. One whose result is there is finished at once:
it is not sent, and the server never hears of it. What it made stays in this process, as the values of constants do
before they are submitted; where another task needs it that has to run, it is sent as a constant, under its own id.

A call that names the tasks that it wants (`Session.run`, `Task.result`) leaves out tasks that only feed results which
are there: they stay as new as they were, until a submit of all or a call that wants them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from rain.client.core.families.family import Family
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.reuse import keys
from rain.client.core.reuse.entries import Entry
from rain.client.core.reuse.keys import Call, Code, Part
from rain.client.core.reuse.reasons import History, changes, why
from rain.client.core.reuse.task import Reuse, at_server
from rain.client.handles import handle_of, inside
from rain.client.operations.operation import Operation
from rain.client.reuse.folder import Folder
from rain.client.reuse.hits import ready, take
from rain.client.reuse.storing import Storer
from rain.client.reuse.values import Unclear
from rain.client.reuse.versions import interpreter, versions_of
from rain.common.states import DataObjectState
from rain.common.task_configs import CONCAT, MAKE_DIRECTORY, PYTHON, SLICE_DIRECTORY, PyConfig, read_config

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror
    from rain.client.functions.function import Payload
    from rain.client.reuse.results import Fetch, ResultCache
    from rain.client.session import Session

_PURE = frozenset({CONCAT, MAKE_DIRECTORY, SLICE_DIRECTORY})
"""Builtin tasks whose results follow from their inputs: what uses these can be told without them."""
_RETRIED = "; retried with an edited function"


def decided(session: Session, fetch: Fetch, asked: Iterable[Record] | None = None) -> Operation[None]:
    """Find the results of new tasks, and make the session's pending records what is to be sent.

    Parameters
    ----------
    fetch : callable
        The operation that gives the data of objects.
    asked : iterable of Record, optional
        The tasks and objects that the caller wants; if not given all that is new is wanted.
    """
    results = inside(session).results
    folder = None if results is None else results.folder()
    if results is None or folder is None:
        return
    tasks = _new_tasks(session, results)
    if not tasks:
        return
    results.fetch = fetch
    yield from _digests(session, results, tasks)
    decision = _Decision(session, results, folder, tasks)
    decision.look()
    wanted = None if asked is None else {getattr(record, "task", None) or record for record in asked}
    decision.carry_out(wanted)


def rekey(session: Session, failed: list[TaskRecord], functions: dict[TaskRecord, Payload]) -> None:
    """Some of the failed tasks of a session are about to be retried with edited functions: from now on, before they
    run, they and those that wait for them have the keys of what they make then.

    Parameters
    ----------
    failed : list of TaskRecord
        All tasks that failed, those too that could not run because of another one.
    functions : dict of TaskRecord to Payload
        The functions that were edited.
    """
    results = inside(session).results
    folder = None if results is None else results.folder()
    if results is None or folder is None or all(record.reuse is None for record in functions):
        return
    ordered = sorted(failed, key=lambda record: record.spec.id.id)  # inputs are older than what uses them
    _Decision(session, results, folder, ordered).rekey(functions)


def _new_tasks(session: Session, results: ResultCache) -> list[TaskRecord]:
    """The new tasks of a session; families that may reuse results become tasks, what was left out comes back."""
    own = inside(session)
    mirror = own.mirror
    with own.connection.lock:
        pending, left = mirror.pending, list(results.left)
        results.left.clear()
        for _ in range(len(pending)):
            record = pending.popleft()
            if isinstance(record, Family) and record.template.reuse is not None:
                pending.extend(mirror.records.take_all(record))
            else:
                pending.append(record)
        pending.extendleft(reversed(left))
        tasks = [record for record in pending if isinstance(record, TaskRecord)]
    results.returned = set(left)
    return tasks


def _digests(session: Session, results: ResultCache, tasks: list[TaskRecord]) -> Operation[None]:
    """Learn what the inputs are that were made in this session by tasks which do not reuse results, and are there."""
    mirror = inside(session).mirror
    wanted: dict[int, ObjectRecord] = {}
    for record in tasks:
        for item in record.spec.inputs if record.reuse is not None and not record.reuse.key else ():
            obj: Any = mirror.records.get(item.id.id)
            if obj is not None and item.id.id not in results.known and _only_by_bytes(obj):
                wanted[item.id.id] = obj
    if not wanted:
        return
    records = list(wanted.values())
    assert results.fetch is not None
    found = yield from results.fetch(session, [handle_of(session, record) for record in records])
    for made, instance in zip(records, found, strict=True):
        hasher = xxhash.xxh3_128()
        for piece in instance.reader.pieces():
            hasher.update(piece)
        kind = instance.content_type
        results.known[made.spec.id.id] = keys.of_bytes(hasher.hexdigest(), kind, made.spec.data_type)


def _only_by_bytes(record: ObjectRecord) -> bool:
    """Whether an object is there, and only its bytes tell what it is."""
    if record.state is not DataObjectState.FINISHED or not record.kept:
        return False
    task = record.task
    if task is None:
        return record.value is None
    return task.settled and (task.reuse is None or not task.reuse.key) and task.spec.task_type not in _PURE


class _Decision:
    """One look at the new tasks of a session."""

    def __init__(self, session: Session, results: ResultCache, folder: Folder, tasks: list[TaskRecord]) -> None:
        self._session = session
        self._mirror: SessionMirror = inside(session).mirror
        self._results = results
        self._folder = folder
        self._tasks = tasks
        self._pure: dict[int, str] = {}
        self._histories: dict[str, History | None] = {}
        self._digester = results.digester()
        self._of_members: dict[Family, dict[str, str]] = {}
        self._hits: dict[TaskRecord, tuple[Entry, list[Any]]] = {}

    # -- what is there --------------------------------------------------------------------------

    def look(self) -> None:
        """Look for the result of each task."""
        for record in self._tasks:
            reuse = record.reuse
            if reuse is None or record in self._hits:
                continue
            if not reuse.key and not reuse.text:
                self._identify(record, reuse)
            if reuse.key:
                self._find(record, reuse)
        self._results.forget_digests()

    def _identify(self, record: TaskRecord, reuse: Reuse) -> None:
        """Make the key of a task."""
        reuse.call = None
        try:
            if reuse.unclear:
                raise Unclear(reuse.unclear)
            reuse.call = self._call(record, reuse)
        except Unclear as why_not:
            reuse.text = f"computed, and not stored: {why_not}"
            return
        reuse.key = reuse.call.key(reuse.code.path)

    def rekey(self, functions: dict[TaskRecord, Payload]) -> None:
        """Make the keys of tasks that are retried; of some the function was edited."""
        stored: list[TaskRecord] = []
        not_stored: list[TaskRecord] = []
        for record in self._tasks:
            reuse = record.reuse
            if reuse is None:
                continue
            text = reuse.text
            if record in functions:
                before, now = reuse.code, self._results.code(functions[record])
                if reuse.unclear == before.unclear:  # and not one of its arguments
                    reuse.unclear = now.unclear
                reuse.code, reuse.code_digest = now, now.digest
                clause = next(changes(before, now), "")
                text = text.partition(_RETRIED)[0] + _RETRIED + (f": {clause}" if clause else "")
            if reuse.call is not None:
                reuse.arguments = reuse.call.arguments
            reuse.key = reuse.text = ""
            self._identify(record, reuse)
            reuse.text = reuse.text or text
            (stored if reuse.key else not_stored).append(record)
        self._expect(stored)
        if self._results.storer is not None:
            self._results.storer.expect_no_more(not_stored)
        self._results.forget_digests()

    def _expect(self, records: list[TaskRecord]) -> None:
        """Have results stored, when they are there."""
        results = self._results
        if records:
            if results.storer is None:
                results.storer = Storer(self._session, results, self._folder)
            results.storer.expect(records)

    def _call(self, record: TaskRecord, reuse: Reuse) -> Call:
        code, options, arguments = reuse.code, self._options(record, reuse), reuse.arguments
        if arguments is None:
            arguments = self._plain_arguments(record, reuse)
        if code.draws:
            seed = read_config(record.spec.config, PyConfig).seed
            if seed is None:
                raise Unclear("it draws random numbers by rain.rng(), and the session has no seed")
            options = {**options, "seed": f"{seed}, as task {record.spec.id.id}"}
        libraries = {**code.libraries, **versions_of(reuse.modules)} if reuse.modules else code.libraries
        return Call(reuse.code_digest, interpreter(), libraries, arguments, self._inputs(record), options)

    def _options(self, record: TaskRecord, reuse: Reuse) -> dict[str, str]:
        """What counts beside code, arguments and inputs; the same for all members of a family."""
        known = None if record.family is None else self._of_members.get(record.family)
        if known is None:
            outputs = (f"{out.spec.label} {out.spec.content_type} {out.spec.data_type}" for out in record.outputs)
            known = {**reuse.options, "outputs": keys.digest(outputs)}
            if record.spec.task_type == PYTHON:
                known["loading"] = self._loading(record)
            if record.family is not None:
                self._of_members[record.family] = known
        return known

    def _plain_arguments(self, record: TaskRecord, reuse: Reuse) -> dict[str, str]:
        args, kwargs = pickle.loads(read_config(record.spec.config, PyConfig).args)
        parameters, digest = reuse.parameters, self._digester.digest
        named = enumerate(parameters.with_names(args, kwargs))
        return {parameters.label(name, number): digest(value) for number, (name, value) in named}

    def _loading(self, record: TaskRecord) -> str:
        """How arguments arrive and results leave, told without the numbers of objects."""
        config = read_config(record.spec.config, PyConfig)
        places = {tuple(item.id): place for place, item in enumerate(record.spec.inputs)}
        load = config.load if isinstance(config.load, bool) else sorted(places.get(tuple(id), -1) for id in config.load)
        types = sorted((places.get((session, number), -1), kind) for session, number, kind in config.types)
        return keys.digest([str(load), str(types), str(config.encode), str(config.plain)])

    def _inputs(self, record: TaskRecord) -> dict[str, str]:
        """What the inputs of a task are; arguments that are objects because they are large count as arguments."""
        found: dict[str, str] = {}
        for place, item in enumerate(record.spec.inputs):
            obj: Any = self._mirror.records.get(item.id.id)
            if obj is None:
                raise Unclear(f"its input {item.id} is not known here")
            if obj.ephemeral and obj.hidden:
                continue
            label = item.label or f"{place}"
            found[label] = self._identity(obj, label)
        return found

    def _identity(self, record: ObjectRecord, label: str) -> str:
        """What an input is."""
        number, task = record.spec.id.id, record.task
        known = self._results.known.get(number)
        if known is not None:
            return known
        if task is not None:
            return keys.of_output(self._key_of(task, label), task.outputs.index(record))
        if record.value is None:
            raise Unclear(f"its input {label} is not here any more")
        content = xxhash.xxh3_128_hexdigest(record.value.view())
        found = keys.of_bytes(content, record.spec.content_type, record.spec.data_type)
        self._results.known[number] = found
        return found

    def _key_of(self, task: TaskRecord, label: str) -> str:
        """The key of the task that makes an input."""
        reuse, number = task.reuse, task.spec.id.id
        name = task.spec.name or task.spec.task_type
        if reuse is not None:
            if not reuse.key and not reuse.text:
                self._identify(task, reuse)
            if reuse.key:
                return reuse.key
            raise Unclear(f"its input {label} comes from {name}, which is not stored either")
        if task.spec.task_type not in _PURE:
            raise Unclear(f"its input {label} comes from {name}, which has no cache=True and has not finished")
        if number not in self._pure:
            told = xxhash.xxh3_128_hexdigest(msgspec.msgpack.encode(task.spec.config))
            labels = [f"{item.label}" for item in task.spec.inputs]
            code = Code(task.spec.task_type, name, [Part(task.spec.task_type, told)])
            call = Call(code.digest, "", {}, {}, self._inputs(task), {"labels": keys.digest(labels)})
            self._pure[number] = call.key(code.path)
        return self._pure[number]

    def _find(self, record: TaskRecord, reuse: Reuse) -> None:
        found = self._folder.read(reuse.key)
        values: list[Any] | str = ""
        if isinstance(found, Entry):
            values = ready(self._folder, record, found)
            if not isinstance(values, str):
                self._hits[record] = (found, values)
                return
        reuse.text = self._why(record, reuse, values or found)

    def _why(self, record: TaskRecord, reuse: Reuse, trouble: Any) -> str:
        """Why a result was not there."""
        if isinstance(trouble, str):
            return f"recomputed because {trouble}"
        path = reuse.code.path
        if path not in self._histories:
            self._histories[path] = self._folder.history(path)
        assert reuse.call is not None
        return why(self._histories[path], reuse.code, reuse.key, reuse.call, self._folder.path, self._origins(record))

    def _origins(self, record: TaskRecord) -> dict[str, str]:
        """Of inputs that are made anew: by which task, and why."""
        found = {}
        for place, item in enumerate(record.spec.inputs):
            obj: Any = self._mirror.records.get(item.id.id)
            task = obj.task if obj is not None else None
            if task is not None and task.reuse is not None and not task.reuse.hit and task not in self._hits:
                found[item.label or f"{place}"] = f"{task.reuse.code.name} was {task.reuse.text}"
        return found

    # -- what follows ---------------------------------------------------------------------------

    def carry_out(self, asked: set[Any] | None) -> None:
        """Finish the tasks whose results are there, and leave pending what is to be sent."""
        own, mirror, results = inside(self._session), self._mirror, self._results
        rest = [record for record in self._tasks if record not in self._hits]
        left = set() if asked is None else self._unneeded(rest, asked)
        sent = [record for record in rest if record not in left]
        self._expect([record for record in sent if record.reuse is not None and record.reuse.key])
        dropped = self._arguments_of_hits()
        with own.connection.lock:
            for record, (entry, values) in self._hits.items():
                take(mirror, record, entry, values)
            needed = unsent_inputs(mirror, sent)
            gone = {*self._hits, *left, *dropped}
            mirror.pending.extend(_without(mirror.pending, gone))
            mirror.pending.extendleft(reversed(needed))
            results.left.update(dict.fromkeys(record for record in rest if record in left))
            mirror.note(list(self._hits))

    def _unneeded(self, rest: list[TaskRecord], asked: set[Any]) -> set[TaskRecord]:
        """The tasks that only feed results which are there."""
        users: dict[TaskRecord, list[TaskRecord]] = {}
        for record in self._tasks:
            for item in record.spec.inputs:
                obj: Any = self._mirror.records.get(item.id.id)
                if obj is not None and obj.task is not None:
                    users.setdefault(obj.task, []).append(record)
        left: set[TaskRecord] = set()
        for record in reversed(rest):
            told = (record.reuse is not None and bool(record.reuse.key)) or record.spec.task_type in _PURE
            fed = users.get(record, ())
            if record in asked or not told or not (fed or record in self._results.returned):
                continue
            if all(user in self._hits or user in left for user in fed):
                left.add(record)
        return left

    def _arguments_of_hits(self) -> set[Record]:
        """Large arguments of calls that are not sent."""
        found: set[Record] = set()
        for record in self._hits:
            for item in record.spec.inputs:
                obj: Any = self._mirror.records.get(item.id.id)
                if obj is not None and obj.ephemeral and obj.hidden and obj.state is None:
                    found.add(obj)
        return found


def _without(pending: Any, gone: set[Any]) -> list[Any]:
    """What is left of pending records, which are taken off."""
    return [record for record in [pending.popleft() for _ in range(len(pending))] if record not in gone]


def unsent_inputs(mirror: SessionMirror, tasks: Iterable[TaskRecord]) -> list[ObjectRecord]:
    """What reused tasks made that these tasks need and the server does not have: to be sent before them."""
    found: dict[ObjectRecord, None] = {}
    for record in tasks:
        for item in record.spec.inputs:
            obj: Any = mirror.records.get(item.id.id)
            if obj is not None and obj.task is not None and not at_server(obj) and obj.value is not None:
                obj.task.reuse.sent.add(item.id.id)
                found[obj] = None
    return list(found)
