"""The preview of a value: the first of several makers that knows its kind, made to fit."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from rain.common.errors import RainException
from rain.common.limits import PREVIEW_BYTES_MAX
from rain.common.protocol.encoding import encode
from rain.common.protocol.previews import Head, Preview
from rain.executor.views.arrays import array_preview
from rain.executor.views.fields import fields_preview, text_preview
from rain.executor.views.frames import frame_preview
from rain.executor.views.pictures import picture_preview
from rain.executor.views.texts import OF_VALUES, cut, error_text, type_text
from rain.objects.data_instance import DataInstance

_MAKERS = (picture_preview, frame_preview, array_preview, fields_preview)


def preview(instance: DataInstance, asked: bytes) -> bytes:
    """The encoded `Preview` of a blob; a `View`.

    Raises
    ------
    RainException
        If the value cannot be loaded.
    """
    if instance.reader.is_dir:
        raise RainException("a directory has no preview: look into it")
    return fitted(preview_of(instance.load(writable=False)))


def preview_of(value: Any) -> Preview:
    """What a value looks like. Whatever its own code raises becomes a note."""
    note = ""
    for make in _MAKERS:
        try:
            found = make(value)
        except OF_VALUES as error:
            note = note or f"It is not shown as it could be: {error_text(error)}"
            continue
        if found is not None:
            return replace(found, note=note) if note else found
    try:
        return replace(text_preview(value), note=note)
    except OF_VALUES as error:
        return Preview(type=type_text(type(value)), note=note or error_text(error))


def fitted(found: Preview) -> bytes:
    """A preview encoded in at most `PREVIEW_BYTES_MAX` bytes: its longest parts are cut until it fits.

    Examples
    --------
    >>> len(fitted(Preview(type="str", text="x" * 100_000))) <= PREVIEW_BYTES_MAX
    True
    """
    while len(data := encode(found)) > PREVIEW_BYTES_MAX:
        found = _shorter(found)
    return data


def _shorter(found: Preview) -> Preview:
    sizes = {name: len(encode(getattr(found, name))) for name in ("text", "head", "fields", "summary", "picture")}
    longest = max(sizes, key=lambda name: sizes[name])
    if longest == "text":
        return replace(found, text=cut(found.text, len(found.text) // 2))
    if longest == "head" and found.head is not None:
        return replace(found, head=_smaller(found.head))
    if longest == "fields":
        return replace(found, fields=found.fields[: len(found.fields) // 2])
    if longest == "summary":
        return replace(found, summary=found.summary[: len(found.summary) // 2])
    return replace(found, picture=None, histogram=None, note=cut(found.note, 200), type=cut(found.type, 200))


def _smaller(head: Head) -> Head | None:
    rows, width = len(head.rows), len(head.columns)
    if rows <= 2 and width <= 2:
        return None
    rows, width = (max(rows // 2, 2), width) if rows >= width else (rows, max(width // 2, 2))
    return Head(head.columns[:width], head.index[:rows], [row[:width] for row in head.rows[:rows]])
