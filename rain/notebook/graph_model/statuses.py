"""What a node shows of the task or object that it is drawn for."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterable

import msgspec

from rain.common.formatting import duration_text, progress_text, size_text
from rain.common.protocol.messages import TaskProgress
from rain.common.protocol.previews import decode_preview
from rain.common.state_styles import ENDS, NEW, SETTLED
from rain.notebook.graph_model.records import ObjectLike, reuse_of
from rain.notebook.graph_model.tree import TaskLeaf
from rain.notebook.protocol.graph import Status

ERROR_CHARS_MAX = 300


def task_status(leaf: TaskLeaf) -> Status:
    """What a node of a task shows."""
    record, state = leaf.record, leaf.state
    info, error = record.info, record.error
    over = state in SETTLED
    start = leaf.began if state == "running" else None
    if info is None:
        took = governor = attempts = None
    else:
        took = duration_text(info.duration) if info.duration is not None and over else None
        governor, attempts = info.governor or None, info.attempts if info.attempts > 1 else None
        start = info.start_time if over else start
    said = first_line(error.message) if error is not None and state in ENDS else None
    told = record.progress
    share, doing = (
        (None, None) if told is None else (share_of(told), progress_text(told.done, told.total, told.note) or None)
    )
    thumb = None if told is None else _thumb(told.shown)
    return Status(
        state,
        took,
        start,
        governor,
        attempts,
        said,
        stale=int(record.stale),
        reuse=reuse_of(record) or None,
        share=share,
        doing=doing,
        thumb=thumb,
    )


def share_of(told: TaskProgress) -> float | None:
    """How much is done, from 0 to 1; None if that is not known.

    Examples
    --------
    >>> share_of(TaskProgress((1, 2), 1, done=3, total=4)), share_of(TaskProgress((1, 2), 1, done=3))
    (0.75, None)
    """
    if told.done is None or not told.total:
        return None
    return min(1.0, told.done / told.total)


@functools.lru_cache(maxsize=256)
def _thumb(shown: bytes) -> str | None:
    """The picture in what a task shows, if there is one."""
    try:
        picture = decode_preview(shown).picture if shown else None
    except msgspec.MsgspecError:
        return None
    return None if picture is None else base64.b64encode(picture.data).decode("ascii")


def object_status(record: ObjectLike) -> Status:
    """What a node of an object shows."""
    info = record.info
    return Status(
        record.shown,
        size=size_text(info.size) if info is not None and info.size is not None else None,
        kept=record.kept,
        content_type=(info.content_type if info is not None else None) or record.spec.content_type,
        stale=int(record.task is not None and record.task.stale),
    )


def objects_status(records: Iterable[ObjectLike]) -> Status:
    """What a node that stands for several objects shows."""
    counts: dict[str, int] = {}
    for record in records:
        word = record.shown
        counts[word] = counts.get(word, 0) + 1
    return Status(max(counts, key=lambda word: counts[word], default=NEW), counts=counts)


def first_line(text: str) -> str:
    """What an error says in one line: of a traceback its last line, which names the exception."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    traceback = lines[0].startswith("Traceback")
    ends = [line for line in lines if not line[0].isspace() and not line.startswith("Traceback")]
    line = (ends[-1] if ends else lines[-1]) if traceback else lines[0]
    return line if len(line) <= ERROR_CHARS_MAX else line[: ERROR_CHARS_MAX - 1] + "…"
