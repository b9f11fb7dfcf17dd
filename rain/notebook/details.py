"""What the details panel shows of a task, an object or a group."""

from __future__ import annotations

import inspect
import linecache
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.operations.reruns import newest
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.functions import call_sites
from rain.client.handles import inside, record_of, session_of
from rain.client.report import failures
from rain.client.report.call_text import call_text
from rain.common.errors import RainException
from rain.common.formatting import duration_text, exact_size_text, one_line, progress_text, size_text
from rain.common.location import replicas_of
from rain.common.protocol.previews import decode_preview
from rain.common.state_styles import ENDS, NOT_MADE
from rain.notebook.graph_model import View
from rain.notebook.graph_model.records import ObjectLike, reuse_of, title
from rain.notebook.graph_model.statuses import first_line, share_of
from rain.notebook.graph_model.tree import Counted, TaskLeaf
from rain.notebook.graph_model.view import label_of
from rain.notebook.inspectors import Inspection
from rain.notebook.inspectors.pickled.preview import page_of
from rain.notebook.inspectors.sanitize import cut
from rain.notebook.inspectors.subject import PageWithBuffers
from rain.notebook.protocol.data import Overview
from rain.notebook.protocol.details import (
    Code,
    Details,
    FailedTask,
    GroupDetails,
    Link,
    ObjectDetails,
    Progress,
    Run,
    Source,
    TaskDetails,
)

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

LINKS_MAX = 200
"""Inputs, outputs and users that are listed."""
SOURCE_CHARS_MAX = 100_000
FAILED_MAX = 20


def details(session: Session, view: View, key: str) -> Details:
    """All there is to say about what has that key.

    Raises
    ------
    RainException
        If there is nothing.
    """
    leaf = view.task(key)
    if leaf is not None:
        return task_details(session, view, leaf)
    record = view.object(key)
    if record is not None:
        return object_details(session, view, record)
    group = view.tree.find(key)
    if group is not None:
        return group_details(session, view, group)
    owner = view.task(key.removesuffix(".more"))
    if owner is not None:
        return _rest_of_outputs(owner, key)
    raise RainException(f"nothing in this session has the key {key!r}")


# -- tasks -----------------------------------------------------------------------------------------


def code_of(record: TaskRecord) -> Code:
    """Where a task comes from, as the files are now."""
    return Code(call_sites.describe(record.made), call_sites.stack(record.made), source_of(record))


def task_details(session: Session, view: View, leaf: TaskLeaf, code: Code | None = None) -> TaskDetails:
    """All there is to say about a task; its `code` is looked for unless it is given."""
    record: Any = leaf.record
    assert isinstance(record, TaskRecord)
    spec = record.spec
    options = spec.options
    root = inside(session).mirror.root_of(record)
    code = code_of(record) if code is None else code
    return TaskDetails(
        key=leaf.key,
        id=str(spec.id),
        title=title(record),
        state=leaf.state,
        type=spec.task_type,
        made=code.made,
        stack=code.stack,
        source=code.source,
        call=call_text(record, inside(session).mirror.records),
        inputs=[
            _object_link(view, item.id[1], item.label)
            for item in spec.inputs[:LINKS_MAX]
            if view.objects.get(item.id[1]) is not None
        ],
        outputs=[_object_link(view, out.spec.id[1], out.spec.label) for out in record.outputs[:LINKS_MAX]],
        resources=dict(spec.resources),
        options={} if options is None else _set_options(options),
        user=dict(spec.user),
        info=_run(record),
        cause=task_link(root) if record.failed and root is not record else None,
        error=failures.story_of(session, record) if record.failed and root is record else None,
        hints=failures.hints(session, record) if record.failed else [],
        can_cancel=leaf.state in ("waiting", "ready", "running") and session.active,
        can_retry=leaf.state in ENDS and session.active,
        stale=record.stale,
        renewed=task_link(newest(record)) if record.renewed is not None else None,
        reused=record.reused,
        reuse=reuse_of(record),
        progress=_progress(record),
    )


def _progress(record: TaskRecord) -> Progress | None:
    told = record.progress
    if told is None:
        return None
    return Progress(
        share_of(told), progress_text(told.done, told.total, told.note), bool(told.shown), one_line(told.title)
    )


def shown_by(record: TaskRecord) -> PageWithBuffers:
    """What a running task shows.

    Raises
    ------
    RainException
        If it shows nothing (any more).
    """
    told = record.progress
    if told is None or not told.shown:
        raise RainException("the task shows nothing any more")
    try:
        return page_of(decode_preview(told.shown))
    except msgspec.MsgspecError as error:
        raise RainException(f"what the task shows cannot be read: {error}") from None


def _run(record: TaskRecord) -> Run | None:
    info = record.info
    if info is None:
        return None
    took = duration_text(info.duration) if info.duration is not None else ""
    ended = [attempt.line() for attempt in failures.attempts_of(record)] if info.earlier else []
    return Run(info.start_time, took, info.governor, info.attempts, info.debug, dict(info.user), ended)


def _set_options(options: Any) -> dict[str, Any]:
    """Options that are not the default ones."""
    default = type(options)()
    names = options.__struct_fields__
    return {name: value for name in names if (value := getattr(options, name)) != getattr(default, name)}


def source_of(record: TaskRecord) -> Source | None:
    """The text of a task's function, and where it stands."""
    if record.source is None:
        return None
    function = inspect.unwrap(record.source.function)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    linecache.checkcache(code.co_filename)
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError):
        return None
    return Source(cut("".join(lines), SOURCE_CHARS_MAX), call_sites.name_of_file(code.co_filename), max(1, first))


def _object_link(view: View, number: int, label: str | None) -> Link:
    record = view.objects[number]
    return Link(f"o{number}", record.spec.label or str(record.spec.id), record.shown, label or "")


def task_link(record: Any) -> Link:
    """A task that one can go to."""
    return Link(f"t{record.spec.id[1]}", title(record), record.shown)


# -- objects ---------------------------------------------------------------------------------------


def object_details(session: Session, view: View, record: ObjectLike, users: list[Link] | None = None) -> ObjectDetails:
    """All there is to say about an object; its `users` are looked for unless they are given."""
    assert isinstance(record, ObjectRecord)
    facts = object_facts(record)
    why_not = why_not_open(session, record)
    return ObjectDetails(
        key=f"o{record.spec.id[1]}",
        id=facts.id or "",
        title=facts.title,
        state=record.shown,
        kept=record.kept,
        content_type=facts.content_type,
        data_type=facts.data_type,
        size=size_text(record.info.size) if record.info is not None and record.info.size is not None else "",
        digest=facts.digest,
        holders=facts.holders,
        spec_user=facts.spec_user,
        info_user=facts.info_user,
        maker=facts.maker,
        users=_users(view, record) if users is None else users,
        can_inspect=why_not is None,
        why_not=why_not,
    )


def object_facts(record: ObjectRecord) -> Overview:
    """What is known of an object without looking into it: the overview of its inspector."""
    spec, info, maker, location = record.spec, record.info, record.task, record.location
    size = info.size if info is not None else None
    return Overview(
        title=spec.label or str(spec.id),
        id=str(spec.id),
        content_type=(info.content_type if info is not None else None) or spec.content_type,
        data_type=spec.data_type,
        size="" if size is None else exact_size_text(size),
        digest=f"xxh3-64 {location.checksum:016x}" if location and location.checksum is not None else None,
        holders=[replica.address for replica in replicas_of(location)] if location else [],
        maker=task_link(maker) if maker is not None else None,
        spec_user=dict(spec.user),
        info_user=dict(info.user) if info is not None else {},
        path=[],
        steps=[],
    )


def why_not_open(session: Session, record: ObjectRecord) -> str | None:
    """Why one cannot look into an object; None if one can."""
    if record.state is None:
        return "It was not submitted yet: session.submit()."
    if not session.active:
        return "The session is over, and its data with it."
    word = record.shown
    if word == "unfinished":
        return "It is not finished yet."
    if word == NOT_MADE:
        return "It was not made, and will not be: the task that makes it did not finish."
    if word == "removed":
        return "Its data were removed when nothing needed them any more; keep() before submit makes them stay."
    return None


def inspection_of(obj: DataObject, seconds: float) -> Inspection:
    """An inspection of a finished data object, kept or not, as long as its data exist.

    Parameters
    ----------
    obj : DataObject
    seconds : float
        How long the server may take to say where they are.
    """
    record = record_of(obj)
    return Inspection(lambda: session_of(obj)._peek(obj, seconds), lambda: object_facts(record))


def _users(view: View, record: ObjectRecord) -> list[Link]:
    wanted = record.spec.id
    users = []
    for leaf in list(view.tree.tasks.values()):
        if any(item.id == wanted for item in leaf.record.spec.inputs):
            users.append(task_link(leaf.record))
            if len(users) == LINKS_MAX:
                break
    return users


# -- groups ----------------------------------------------------------------------------------------


def group_details(session: Session, view: View, group: Counted) -> GroupDetails:
    """What a group of tasks adds up to."""
    seconds = 0.0
    failed: list[FailedTask] = []
    for leaf in view.tasks_in(group.key):
        info, error = leaf.record.info, leaf.record.error
        if info is not None and info.duration is not None:
            seconds += info.duration
        if leaf.state == "failed" and error is not None and len(failed) < FAILED_MAX:
            record: Any = leaf.record
            call = call_text(record, inside(session).mirror.records)
            name = call if call.startswith(f"{title(record)}(") else title(record)
            failed.append(FailedTask(leaf.key, name, first_line(error.message)))
    counts = {state: count for state, count in group.counts.items() if count}
    return GroupDetails(group.key, label_of(group), counts, group.objects, duration_text(seconds), failed)


def _rest_of_outputs(leaf: TaskLeaf, key: str) -> GroupDetails:
    counts: dict[str, int] = {}
    for output in leaf.record.outputs:
        word = output.shown
        counts[word] = counts.get(word, 0) + 1
    return GroupDetails(key, f"all outputs of {title(leaf.record)}", counts, len(leaf.record.outputs), "", [])
