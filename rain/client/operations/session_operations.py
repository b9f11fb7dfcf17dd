"""What a session does over time, as operations (see `operation`): submit, wait, fetch, keep, close."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rain.client.core.session_mirror import AnyGate, Gate, ObjectRecord, Record, TaskRecord, target
from rain.client.data import DataObject
from rain.client.functions.call_sites import warn
from rain.client.operations import submit as submitting
from rain.client.operations.fetch import constant_instance, instance
from rain.client.operations.operation import Operation, reject, uninterrupted
from rain.client.report import stall
from rain.client.report.echo import flushed
from rain.client.report.failures import failure, root_of
from rain.client.task import Task, as_object
from rain.common.errors import RainException, SessionException
from rain.common.protocol.messages import (
    Cancel,
    CloseSession,
    Explain,
    GetOutput,
    Keep,
    Locate,
    ObjectData,
    Unkeep,
    Update,
)
from rain.common.states import DataObjectState

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.session import Session
    from rain.objects.data_instance import DataInstance

Item: TypeAlias = "Task | DataObject"


@dataclass(frozen=True, slots=True)
class End:
    """Why a session cannot be used any more: `task` failed and stopped it, or `text` says why."""

    word: str
    text: str
    task: TaskRecord | None = None


# -- what was given --------------------------------------------------------------------------------


def checked(items: Any) -> list[Item]:
    """Tasks and objects as they may be given.

    Raises
    ------
    RainException
        If something else is among them.
    """
    if isinstance(items, Task | DataObject):
        return [items]
    try:
        found = list(items)
    except TypeError:
        raise RainException(f"tasks and data objects are expected, not {type(items).__name__} ({items!r})") from None
    for item in found:
        if not isinstance(item, Task | DataObject):
            raise RainException(f"tasks and data objects are expected, not {type(item).__name__} ({item!r})")
    return found


def items_of(session: Session, items: Any) -> list[Item]:
    """Items like `checked`, all of `session`.

    Raises
    ------
    RainException
        If something else is among them, or an item of another session.
    """
    found = checked(items)
    for item in found:
        if item._session is not session and item._session._mirror is not session._mirror:
            raise RainException(f"{item!r} belongs to session {item._session.name!r}, not to {session.name!r}")
    return found


def objects_of(session: Session, items: Any) -> list[DataObject]:
    """Like `items_of`, with tasks standing for their only output."""
    return [as_object(item, "an item") for item in items_of(session, items)]


def not_submitted(session: Session, item: Item) -> RainException:
    """The error for an item that the server does not know."""
    reason = session._refused.get(item.id.id)
    if reason is not None:
        return RainException(f"{item!r} was not taken by the server: {reason}")
    return RainException(f"{item!r} was not submitted: call session.submit() first")


def client_of(session: Session) -> Client:
    """The session's client.

    Raises
    ------
    RainException
        If it is detached.
    """
    if session._client is None:
        raise RainException(f"{session!r} is detached: graphs can be built in it, but nothing runs")
    return session._client


# -- submit ----------------------------------------------------------------------------------------


def submit(session: Session) -> Operation[None]:
    """Send what is new and wait until the server took it."""
    sent = yield from send(session)
    if sent is not None:
        yield sent


def send(session: Session) -> Operation[Future[Any] | None]:
    """Send what is new; the future of the server's answer, None if nothing was new."""
    client = client_of(session)
    pending = session._mirror.pending
    while True:
        with session._lock:
            session._check_open()
            uploads = submitting.to_upload(pending)
            if not uploads:
                return _send_cut(session, client)
        yield from submitting.upload(client, [record.value for record in uploads if record.value is not None])


def _send_cut(session: Session, client: Client) -> Future[Any] | None:
    """Take all that is pending and send it; under the session's lock."""
    mirror = session._mirror
    cut: Sequence[Record] = list(mirror.pending)
    if not cut:
        return None
    try:
        cut = submitting.check(session, cut)
    except RainException as error:
        mirror.pending.clear()
        _give_up(session, cut, str(error))
        raise
    constants = [record for record in cut if isinstance(record, ObjectRecord)]

    def answered(error: RainException | None) -> None:
        if error is None:
            with session._lock:
                opened = mirror.accepted(constants)
            session._wake(opened)
        else:
            session._surroundings.refused()
            refused(session, cut, error)

    pieces: list[Any] = []
    env, modules = submitting.surroundings(session)

    def encode(request: int) -> Any:
        pieces.extend(submitting.encode(request, session.session_id, cut, session.persistent, env, modules))
        return pieces

    future = client._request(encode, answered)
    with uninterrupted():  # what is marked as sent must be sent
        mirror.pending.clear()
        mirror.submitting(cut)
        for record in cut:
            if isinstance(record, TaskRecord):
                record.pins = None
            elif record.value is not None:
                record.value.hand_over()
        client._link.send(pieces)
    return future


def _give_up(session: Session, cut: Iterable[Record], reason: str) -> None:
    """These will never be submitted."""
    for record in cut:
        session._refused[record.spec.id.id] = reason
        if isinstance(record, TaskRecord):
            for output in record.outputs:
                session._refused[output.spec.id.id] = reason
            record.pins = None
        elif record.hidden:
            for digest, function in list(session._functions.items()):
                if function is record:
                    del session._functions[digest]


def refused(session: Session, cut: Sequence[Record], error: RainException) -> None:
    """The server did not take these: whoever waits for them learns why."""
    gates: set[Gate] = set()
    with session._lock:
        session._mirror.refused(cut)
        for record in cut:
            gates.update(record.gates or ())
        if session._mirror.unfinished == 0:
            gates.update(gate for gate, _ in session._mirror.idle_gates)
        _give_up(session, cut, str(error))
    for gate in gates:
        reject(gate.future, type(error)(str(error)))


def run(session: Session, items: Sequence[Item]) -> Operation[Any]:
    """Keep, submit, wait and load.

    What is not submitted yet is kept at once, before the operation is begun: of several that are gathered the first one
    submits what belongs to all, and results that nobody keeps may be gone before the others begin.
    """
    listed = items_of(session, items)
    wanted = [list(item.outputs) if isinstance(item, Task) else [item] for item in listed]
    objects = [obj for group in wanted for obj in group]
    with session._lock:
        for obj in objects:
            obj._record.kept = obj._record.kept or obj._record.state is None
    return _run(session, listed, wanted, objects)


def _run(
    session: Session, listed: list[Item], wanted: list[list[DataObject]], objects: list[DataObject]
) -> Operation[Any]:
    yield from keep(session, objects)
    yield from send(session)
    yield from wait(session, listed)
    found = yield from fetch(session, objects)
    values = iter([_loaded(one) for one in found])
    results = []
    for item, group in zip(listed, wanted, strict=True):
        loaded = [next(values) for _ in group]
        if isinstance(item, Task) and len(loaded) != 1:
            results.append(loaded or None)
        else:
            results.append(loaded[0])
    return results[0] if len(results) == 1 else results


def _loaded(found: DataInstance) -> Any:
    if found.source.is_dir:
        return found
    return found.get_bytes() if found.content_type is None else found.load()


# -- waiting ---------------------------------------------------------------------------------------


def _raise_failed(session: Session, record: Record) -> None:
    """Raise if that item failed."""
    if isinstance(record, ObjectRecord):
        if not record.failed:
            return
        if record.task is None:
            raise RainException(f"{session._object(record.spec.id.id)!r} is lost")
        record = record.task
    if record.failed:
        root = root_of(session, record)
        for heard in (record, root):
            session._mirror.unheard.pop(heard.spec.id.id, None)
        raise failure(session, record)


def wait(session: Session, items: Any) -> Operation[None]:
    """Until all are finished, or one failed."""
    listed = items_of(session, items)
    while True:
        stall.say(session)
        with session._lock:
            session._check_open()
            missing: dict[Record, None] = {}
            for item in listed:
                record = item._record
                if record.state is None:
                    raise not_submitted(session, item)
                if not record.settled:
                    missing[target(record)] = None
                else:
                    _raise_failed(session, record)
            if not missing:
                return
            gate = Gate(list(missing))
            session._mirror.arm(gate)
        try:
            yield gate.future
        except TimeoutError as error:
            left = sum(not record.settled for record in gate.records)
            raise TimeoutError(f"{left} of {len(listed)} items are not finished: {error}") from None
        finally:
            with session._lock:
                session._mirror.disarm(gate)


def wait_some(session: Session, items: Any) -> Operation[tuple[list[Task], list[DataObject]]]:
    """Until at least one is finished."""
    listed = items_of(session, items)
    while True:
        stall.say(session)
        with session._lock:
            session._check_open()
            done = []
            for item in listed:
                if item._record.state is None:
                    raise not_submitted(session, item)
                if item._record.settled:
                    _raise_failed(session, item._record)
                    done.append(item)
            if done or not listed:
                return [t for t in done if isinstance(t, Task)], [o for o in done if isinstance(o, DataObject)]
            gate = AnyGate(list(dict.fromkeys(target(item._record) for item in listed)))
            session._mirror.arm(gate)
        try:
            yield gate.future
        except TimeoutError as error:
            raise TimeoutError(f"none of {len(listed)} items is finished: {error}") from None
        finally:
            with session._lock:
                session._mirror.disarm(gate)


def wait_all(session: Session, raise_on_failure: bool) -> Operation[list[Task]]:
    """Until all that was submitted is settled, or one failed of which nobody was told."""
    mirror = session._mirror
    while True:
        stall.say(session)
        with session._lock:
            session._check_open()
            news = _unheard(session) if raise_on_failure else []
            if news:
                mirror.unheard.clear()
                root = root_of(session, news[0])
                raise failure(session, root, others=sum(root_of(session, record) is not root for record in news))
            if mirror.unfinished == 0:
                mirror.unheard.clear()
                failed = [session._task(record) for record in mirror.failed.values()]
                break
            gate = Gate([])
            mirror.arm_idle(gate, raise_on_failure)
        try:
            yield gate.future
        except TimeoutError as error:
            raise TimeoutError(f"{mirror.unfinished} of {mirror.submitted} tasks are not finished: {error}") from None
        finally:
            with session._lock:
                mirror.disarm(gate)
    if failed and raise_on_failure:
        count, was, them = (f"{len(failed)} tasks", "were", "them") if len(failed) > 1 else ("1 task", "was", "it")
        warn(
            f"{count} of session {session.name!r} failed or {was} cancelled before: session.retry() runs {them} again, "
            f"session.forget() lets {them} go, session.wait_all(raise_on_failure=False) gives {them}"
        )
    return failed


def _unheard(session: Session) -> list[TaskRecord]:
    """Tasks that failed without anybody being told of them, or of the task because of which they did."""
    unheard = session._mirror.unheard
    for record in list(unheard.values()):
        root = root_of(session, record)
        if root is not record and root.failed and root.spec.id.id not in unheard:
            del unheard[record.spec.id.id]
    return list(unheard.values())


# -- data ------------------------------------------------------------------------------------------


def fetch(session: Session, items: Any) -> Operation[Any]:
    """Wait, then find the data."""
    single = isinstance(items, Task | DataObject)
    objects = objects_of(session, items)
    client = client_of(session)
    for obj in objects:
        if obj._record.state is None:
            raise not_submitted(session, obj)
        if not obj._record.kept:
            raise RainException(
                f"{obj!r} cannot be fetched because it is not kept: call its keep() (best before submit) "
                "so that its data stay until you have them"
            )
    yield from wait(session, objects)
    unknown = [obj for obj in objects if obj._record.data is None and not obj._record.places and _local(obj) is None]
    if unknown:
        yield from locate(session, client, unknown)
    found = []
    for obj in objects:
        value = _local(obj)
        if value is not None:
            found.append(constant_instance(obj._record, value))
        else:
            found.append(instance(client, obj))
    return found[0] if single else found


def peek(session: Session, obj: DataObject) -> Operation[DataInstance]:
    """A finished object as it is now, kept or not, of which only what is read moves.

    Raises
    ------
    RainException
        If it is not finished, or gone.
    """
    client = client_of(session)
    value = _local(obj)
    if value is not None:
        return constant_instance(obj._record, value)
    if obj._record.state is not DataObjectState.FINISHED:
        state = "not submitted" if obj._record.state is None else obj._record.state.value
        raise RainException(f"the data of {obj!r} cannot be looked at: it is {state}")
    if obj._record.data is None and not obj._record.places:
        yield from locate(session, client, [obj])
    return instance(client, obj, lazy=True)


def _local(obj: DataObject) -> Any:
    """The value of a small constant that was made here."""
    value = obj._value
    return value if value is not None and value.data is not None else None


def locate(session: Session, client: Client, objects: list[DataObject]) -> Operation[None]:
    """Ask the server where these finished objects are; lost ones are waited for.

    Raises
    ------
    RainException
        If one is gone.
    TaskException
        If one cannot be made again.
    """
    ids = [obj.id for obj in objects]
    located = yield client._ask(lambda request: Locate(request, session.session_id, ids))
    for obj, found in zip(objects, located.objects, strict=True):
        data = found if found is not None else (yield from find_again(session, obj))
        record = obj._record
        record.info = data.info
        record.data, record.places, record.checksum = data.data, data.places, data.checksum


def find_again(session: Session, obj: DataObject, refused: bool = False) -> Operation[ObjectData]:
    """Where an object that was finished is now; one that was lost is waited for while it is made again.

    With `refused`, where that is which its task returned and which was refused; it is not made again.

    Raises
    ------
    RainException
        If it is gone.
    TaskException
        If it cannot be made again.
    """
    client = client_of(session)
    while True:
        located = yield client._ask(lambda request: Locate(request, session.session_id, [obj.id], refused))
        if located.objects[0] is not None:
            found: ObjectData = located.objects[0]
            return found
        if refused:
            raise RainException(f"what was returned for {obj!r} is gone with its governor, or its task was run again")
        state = None
        if session.active:
            yield from update(session, [obj])
            state = obj._record.state
        if state is DataObjectState.REMOVED or state is None:
            raise RainException(f"the data of {obj!r} are gone: it is not kept any more")
        if state is not DataObjectState.FINISHED:
            yield from wait(session, [obj])


def keep(session: Session, items: Any) -> Operation[None]:
    """Keep objects, submitted or not."""
    objects = objects_of(session, items)
    fresh = []
    with session._lock:
        for obj in objects:
            record = obj._record
            if record.kept:
                continue
            if record.state is not None:
                if record.state is DataObjectState.REMOVED:
                    raise RainException(
                        f"{obj!r} cannot be kept any more: its data were removed when nothing needed them; "
                        "keep() before submit"
                    )
                fresh.append(record)
            record.kept = True
        session._mirror.note([obj._record for obj in objects])
    yield from _keep_submitted(session, fresh)


def keep_all(session: Session) -> Operation[None]:
    """Keep all objects that are not gone."""
    with session._lock:
        records = [
            record
            for record in session._mirror.records.values()
            if isinstance(record, ObjectRecord) and not (record.hidden or record.kept)
        ]
    doubtful = [record for record in records if record.state is DataObjectState.FINISHED and record.task is not None]
    yield from update(session, [session._object(record.spec.id.id) for record in doubtful])
    fresh = []
    with session._lock:
        for record in records:
            if record.state not in (DataObjectState.REMOVED, DataObjectState.FAILED):
                record.kept = True
                if record.state is not None:
                    fresh.append(record)
        session._mirror.note(records)
    yield from _keep_submitted(session, fresh)


def _keep_submitted(session: Session, records: list[ObjectRecord]) -> Operation[None]:
    if not records:
        return
    client = client_of(session)
    ids = [record.spec.id for record in records]
    try:
        yield client._ask(lambda request: Keep(request, session.session_id, ids))
    except RainException:
        for record in records:
            record.kept = False
        raise


def unkeep(session: Session, items: Any) -> Operation[None]:
    """Let objects go."""
    ids = []
    with session._lock:
        for obj in objects_of(session, items):
            record = obj._record
            if record.kept:
                record.kept = False
                record.data = record.places = None
                if record.state is not None:
                    ids.append(record.spec.id)
                session._mirror.note([record])
    if ids:
        yield client_of(session)._ask(lambda request: Unkeep(request, session.session_id, ids))


def update(session: Session, items: Any) -> Operation[None]:
    """Ask for the present state of items."""
    listed = items_of(session, items)
    for item in listed:
        if item._record.state is None:
            raise not_submitted(session, item)
    if not listed:
        return
    client = client_of(session)
    ids = [item.id for item in listed]
    # The answer is folded in by the client, in order with the news.
    yield client._ask(lambda request: Update(request, session.session_id, ids))
    session._check_open()


# -- intervening -----------------------------------------------------------------------------------


def cancel(session: Session, items: Any) -> Operation[None]:
    """Cancel tasks."""
    ids = None
    if items is not None:
        ids = []
        for item in items_of(session, items):
            record = item._record
            if record.state is None:
                raise not_submitted(session, item)
            task = record.task if isinstance(record, ObjectRecord) else record
            if task is None:
                raise RainException(f"{item!r} is a constant: there is no task to cancel")
            ids.append(task.spec.id)
    yield client_of(session)._ask(lambda request: Cancel(request, session.session_id, ids))


def output_of(session: Session, task: Task) -> Operation[tuple[str, str]]:
    """What a task wrote, a running one so far."""
    if task.state is None:
        raise not_submitted(session, task)
    answer = yield client_of(session)._ask(lambda request: GetOutput(request, [task.id]))
    (output,) = answer.outputs
    return output.stdout.decode("utf-8", "replace"), output.stderr.decode("utf-8", "replace")


def explain(session: Session, task: Task) -> Operation[str]:
    """Why a task is where it is."""
    if task.state is None:
        return f"{task!r} was not submitted: call session.submit()"
    info = yield client_of(session)._ask(lambda request: Explain(request, task.id))
    text: str = info.values["text"]
    return text


def close(session: Session) -> Operation[None]:
    """End the session."""
    before = session._ended
    if before is not None and before.word == "closed":
        return
    yield from flushed(session, running=True)
    session._end(
        End(
            "closed",
            f"session {session.session_id} {session.name!r} is closed (a `with session:` block closes it at its end; "
            "`with session.bind_only():` leaves it open)",
        )
    )
    session._mirror.pending.clear()
    client = session._client
    if client is None or not client._connected or (before is not None and before.word == "lost"):
        return
    try:
        yield client._ask(lambda request: CloseSession(request, session.session_id))
    except SessionException:
        pass  # it had ended by itself
    client._forget(session)
