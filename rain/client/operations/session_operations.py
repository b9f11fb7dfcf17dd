"""What a session does over time, as operations (see `operation`): each checks its arguments, has the core do the work,
and makes of its results what the user gets."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from rain.client.building.task_list import families_of, members_of, values_of
from rain.client.core import sessions
from rain.client.core.core import ClientCore
from rain.client.core.operations import keeps, locating, questions, reruns, retries, submits, waits
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.reuse.task import at_server
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation as CoreOperation
from rain.client.core.waiting import Upload
from rain.client.functions.call_sites import warn
from rain.client.functions.renewal import present_functions
from rain.client.handles import Handle, as_object, handle_of, held, inside, record_of, session_of, short
from rain.client.operations.fetch import constant_instance, instance, value_here
from rain.client.operations.operation import Operation
from rain.client.operations.views import asker
from rain.client.report.echo import begin_unasked, flushed
from rain.client.report.failed_tasks import FailedTasks
from rain.client.reuse.deciding import decided, rekey
from rain.client.reuse.storing import closing
from rain.common.errors import RainException
from rain.common.state_styles import ends_text
from rain.common.states import TaskState

if TYPE_CHECKING:
    from rain.client.core.families.family import Family
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.common.ids import ID
    from rain.common.protocol.messages import ObjectData
    from rain.objects.data_instance import DataInstance

Item: TypeAlias = "Task | DataObject"
T = TypeVar("T")


# -- what was given --------------------------------------------------------------------------------


def checked(items: Any) -> list[Handle]:
    """Tasks and objects as a list; users may also give a single one.

    Raises
    ------
    RainException
        If something else is among them.
    """
    if isinstance(items, Handle):
        return [items]
    try:
        found = list(items)
    except TypeError:
        raise RainException(
            f"tasks and data objects are expected, not {type(items).__name__} ({short(items)})"
        ) from None
    for item in found:
        if not isinstance(item, Handle):
            raise RainException(f"tasks and data objects are expected, not {type(item).__name__} ({short(item)})")
    return found


def items_of(session: Session, items: Any) -> list[Handle]:
    """Items like `checked`, all of `session`.

    Raises
    ------
    RainException
        If something else is among them, or an item of another session.
    """
    found = checked(items)
    for item in found:
        other = session_of(item)
        if other is not session and inside(other).mirror is not inside(session).mirror:
            raise RainException(f"{item!r} belongs to session {other.name!r}, not to {session.name!r}")
    return found


def records_of(session: Session, items: Any) -> list[Record]:
    """The records of items like `items_of`.

    Raises
    ------
    RainException
        If something else is among them, or an item of another session.
    """
    return [record_of(item) for item in items_of(session, items)]


def objects_of(session: Session, items: Any) -> list[DataObject]:
    """Like `items_of`, with a task replaced by its only output."""
    return [as_object(item, "an item") for item in items_of(session, items)]


def _object_records(session: Session, items: Any) -> list[ObjectRecord]:
    return [record_of(obj) for obj in objects_of(session, items)]


def connected(session: Session) -> tuple[ClientCore, SessionMirror]:
    """The core of the session's client, and the session's records.

    Raises
    ------
    RainException
        If the session is detached.
    """
    if session.client is None:
        raise RainException(f"{session!r} is detached: graphs can be built in it, but nothing runs")
    return _parts(session)


def _parts(session: Session) -> tuple[ClientCore, SessionMirror]:
    own = inside(session)
    return own.connection.core, own.mirror


def _drive(session: Session, operation: CoreOperation[T], whole: bool = False) -> Operation[T]:
    own = inside(session)
    return own.connection.drive(operation, own.mirror, whole)


# -- submit ----------------------------------------------------------------------------------------


def submit(session: Session) -> Operation[None]:
    """Send what is new and wait until the server has taken it."""
    core, mirror = connected(session)
    begin_unasked(session)
    inside(session).connection.warn_of_libraries()
    if inside(session).results is not None:
        yield from decided(session, fetch)
    yield from _drive(session, submits.submit(core, mirror, inside(session).encoder), whole=True)


def run(session: Session, items: Sequence[Item | Iterable[Item]]) -> Operation[Any]:
    """Keep, submit, wait and load.

    Items that are not submitted yet are kept at once, before the operation begins: of several calls that are gathered,
    the first one submits the items of all, and results that are not kept may be gone before the other calls begin.
    """
    only: Any = items[0] if len(items) == 1 and isinstance(items[0], list) else items
    families = families_of(session, only)
    if families and all(family.is_new for family in families):
        for family in families:
            family.keep_all()
        return _run_families(session, items, only, families)
    given: list[list[Any]] = [[item] if isinstance(item, Handle) else items_of(session, item) for item in items]
    counts = [None if isinstance(item, Handle) else len(found) for item, found in zip(items, given, strict=True)]
    return _run(session, _kept_if_new(session, [item for found in given for item in found]), counts)


def _run_families(session: Session, items: Any, only: Sequence[Any], families: list[Family]) -> Operation[Any]:
    """`run` for all members of families, `only`: the only argument of the call, or all of them."""
    core, mirror = connected(session)
    begin_unasked(session)
    if inside(session).results is not None:
        yield from decided(
            session, fetch, [record for family in families for record in mirror.records.take_all(family)]
        )
    yield from _drive(session, submits.send(core, mirror, inside(session).encoder), whole=True)
    yield from _drive(session, waits.wait(mirror, families))
    values = values_of(only)
    if values is None:  # members have records meanwhile, or their data are not here
        found = items_of(session, only)
        return (yield from _run(session, found, [None] * len(found) if only is items else [len(found)]))
    return values[0] if len(values) == 1 and only is items else values


def ended(session: Session, items: Sequence[Item]) -> Operation[None]:
    """`run` without the values: returns when all items are finished, or one has failed."""
    return _ended(session, _kept_if_new(session, items))


def _kept_if_new(session: Session, items: Sequence[Item]) -> list[Handle]:
    listed = items_of(session, items)
    for item in listed:
        for record in map(record_of, held(item)):
            record.kept = record.kept or record.state is None
    return listed


def _ended(session: Session, items: list[Handle]) -> Operation[None]:
    core, mirror = connected(session)
    begin_unasked(session)
    if inside(session).results is not None:
        yield from decided(session, fetch, [record_of(item) for item in items])
    yield from _drive(session, submits.send(core, mirror, inside(session).encoder), whole=True)
    yield from _drive(session, waits.wait(mirror, [record_of(item) for item in items]))


def _run(session: Session, items: list[Handle], given: list[int | None]) -> Operation[Any]:
    """`given`: for each argument of the call how many of `items` it is, None for one that is no sequence."""
    core, mirror = connected(session)
    objects = [obj for item in items for obj in held(item)]
    yield from _drive(session, keeps.keep(core, mirror, [record_of(obj) for obj in objects]))
    yield from _ended(session, items)
    values = iter([_loaded(one) for one in (yield from _fetched(session, objects))])
    results = []
    for item in items:
        loaded = [next(values) for _ in held(item)]
        if isinstance(record_of(item), TaskRecord) and len(loaded) != 1:
            results.append(loaded or None)
        else:
            results.append(loaded[0])
    found = iter(results)
    parts = [next(found) if count is None else list(islice(found, count)) for count in given]
    return parts[0] if len(parts) == 1 else parts


def _loaded(found: DataInstance) -> Any:
    if found.reader.is_dir:
        return found
    return found.get_bytes() if found.content_type is None else found.load()


# -- waiting ---------------------------------------------------------------------------------------


def wait(session: Session, items: Any) -> Operation[None]:
    """Wait until all items are finished, or one has failed."""
    families = families_of(session, items)
    if families:
        yield from _drive(session, waits.wait(inside(session).mirror, families))
        return
    yield from _drive(session, waits.wait(inside(session).mirror, records_of(session, items)))


def wait_some(session: Session, items: Any) -> Operation[tuple[list[Task], list[DataObject]]]:
    """Wait until at least one item is finished."""
    records = records_of(session, items)
    done = yield from _drive(session, waits.wait_some(inside(session).mirror, records))
    tasks = [handle_of(session, record) for record in done if isinstance(record, TaskRecord)]
    return tasks, [handle_of(session, record) for record in done if isinstance(record, ObjectRecord)]


def wait_all(session: Session, raise_on_failure: bool) -> Operation[list[Task]]:
    """Wait until all submitted tasks are settled, or one has failed that no call has told of."""
    records = yield from _drive(session, waits.wait_all(inside(session).mirror, raise_on_failure))
    failed = FailedTasks(handle_of(session, record) for record in records)
    if failed and raise_on_failure:
        count, them = (f"{len(failed)} tasks", "them") if len(failed) > 1 else ("1 task", "it")
        ends = ends_text(record.shown for record in records)
        cancelled = sum(record.state is TaskState.CANCELLED for record in records)
        again = f"session.retry() runs {them} again, " if cancelled < len(failed) else ""
        if cancelled:
            again += "session.retry([task]) runs a cancelled one after all, "
        warn(
            f"{count} of session {session.name!r} did not finish ({ends}): {again}"
            f"session.forget() lets {them} go, session.wait_all(raise_on_failure=False) gives {them}"
        )
    return failed


# -- data ------------------------------------------------------------------------------------------


def fetch(session: Session, items: Any) -> Operation[Any]:
    """Wait, then find the data."""
    found = yield from _fetched(session, objects_of(session, items))
    return found[0] if isinstance(items, Handle) else found


def _fetched(session: Session, objects: list[DataObject]) -> Operation[list[DataInstance]]:
    core, mirror = connected(session)
    here = {record_of(obj): value_here(obj) for obj in objects}
    records = [record_of(obj) for obj in objects]
    yield from _drive(session, locating.fetch(core, mirror, records, lambda record: here[record] is not None))
    return [_instance(session, obj) for obj in objects]


def peek(session: Session, obj: DataObject) -> Operation[DataInstance]:
    """The value of a finished object, kept or not, of which only the bytes that are read are fetched.

    Raises
    ------
    RainException
        If the object is not finished, or its data are gone.
    """
    core, mirror = connected(session)
    if value_here(obj) is None:
        yield from _drive(session, locating.peek(core, mirror, record_of(obj)))
    return _instance(session, obj, lazy=True)


def _instance(session: Session, obj: DataObject, lazy: bool = False) -> DataInstance:
    value = value_here(obj)
    if value is None:
        return instance(session, obj, lazy)
    found = constant_instance(record_of(obj), value)
    if record_of(obj).state is not None:
        found._ask = asker(session, obj.id, None if at_server(record_of(obj)) else _bringer(session, obj))
    return found


def _bringer(session: Session, obj: DataObject) -> Callable[[], Operation[None]]:
    """Calls `brought`, as long as session and object are held elsewhere."""
    known, held_elsewhere = weakref.ref(session), weakref.ref(obj)

    def bring() -> Operation[None]:
        session, obj = known(), held_elsewhere()
        if session is not None and obj is not None:
            yield from brought(session, obj)

    return bring


def brought(session: Session, obj: DataObject) -> Operation[None]:
    """Make sure that the server has a finished object; what a reused task made it may not have."""
    core, mirror = connected(session)
    record = record_of(obj)
    if at_server(record) or record.value is None:
        return

    def sending() -> CoreOperation[Any]:
        if uploads := submits.to_upload([record]):
            yield Upload([one.value for one in uploads])
        record.task.reuse.sent.add(record.spec.id.id)
        yield reruns.send(core, mirror, [record], inside(session).encoder)

    yield from _drive(session, sending(), whole=True)


def locations(session: Session, ids: list[ID], refused: bool = False) -> Operation[list[ObjectData | None]]:
    """Where these objects are; None for each that is not finished, or whose data are gone."""
    core, mirror = connected(session)
    return (yield from _drive(session, locating.locations(core, mirror, ids, refused)))


def find_again(session: Session, record: ObjectRecord, refused: bool = False) -> Operation[ObjectData]:
    """Where an object that was finished is now; if it was lost, waits while it is made again."""
    core, mirror = connected(session)
    return (yield from _drive(session, locating.find_again(core, mirror, record, refused)))


def keep(session: Session, items: Any) -> Operation[None]:
    """Keep objects, submitted or not."""
    families = families_of(session, items)
    if families and all(family.is_new for family in families):
        for family in families:
            family.keep_all()
        return
    yield from _drive(session, keeps.keep(*_parts(session), _object_records(session, items)))


def keep_all(session: Session) -> Operation[None]:
    """Keep all objects whose data are not gone."""
    yield from _drive(session, keeps.keep_all(*_parts(session)))


def unkeep(session: Session, items: Any) -> Operation[None]:
    """Keep these objects no longer."""
    members = members_of(session, items)
    if members:
        yield from _drive(session, keeps.unkeep_members(*_parts(session), members))
        return
    yield from _drive(session, keeps.unkeep(*_parts(session), _object_records(session, items)))


def update(session: Session, items: Any) -> Operation[None]:
    """Ask for the present state of items."""
    records = records_of(session, items)
    yield from _drive(session, keeps.update(*_parts(session), records))


# -- intervening -----------------------------------------------------------------------------------


def cancel(session: Session, items: Any) -> Operation[None]:
    """Cancel tasks."""
    records = None if items is None else records_of(session, items)
    yield from _drive(session, questions.cancel(*connected(session), records))


def retry(session: Session, items: Any) -> Operation[None]:
    """Run failed tasks again, with their functions as they are now."""
    core, mirror = connected(session)
    named = None
    if items is not None:
        named = yield from _drive(session, retries.named_failed(core, mirror, records_of(session, items), "retried"))
    failed = list(mirror.failed.values())
    if failed:
        renewed = present_functions(session, failed, named)
        rekey(session, failed, {one.record: one.payload for one in renewed})
        functions = [(one.record, one.id) for one in renewed]
        operation = retries.retry(core, mirror, named, failed, functions, inside(session).encoder)
        yield from _drive(session, operation, whole=True)


def forget(session: Session, items: Any) -> Operation[None]:
    """Let go what is held for a retry of failed tasks."""
    records = None if items is None else records_of(session, items)
    yield from _drive(session, retries.forget(*connected(session), records))


def output_of(session: Session, task: Task) -> Operation[tuple[str, str]]:
    """What a task wrote to stdout and stderr; of a running one, what it wrote so far."""
    return (yield from _drive(session, questions.output_of(*connected(session), record_of(task))))


def explain(session: Session, task: Task) -> Operation[str]:
    """Why a task is in its state."""
    return (yield from _drive(session, questions.explain(_parts(session)[0], record_of(task))))


def close(session: Session) -> Operation[None]:
    """End the session."""
    end = inside(session).mirror.ended
    if end is None or end.word != "closed":
        yield from flushed(session, running=True)
        yield from closing(session)
        yield from _drive(session, sessions.close(*_parts(session)))
