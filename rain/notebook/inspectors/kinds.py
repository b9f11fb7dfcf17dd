"""Which views there are of a blob, the best one first: by its content type, its name, and its first bytes."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable

from rain.common.errors import RainException
from rain.notebook.inspectors import queried
from rain.notebook.inspectors.documents import gzips, zips
from rain.notebook.inspectors.documents.drawings import SvgViewer
from rain.notebook.inspectors.documents.notebooks import NotebookViewer
from rain.notebook.inspectors.documents.zips import ZipViewer
from rain.notebook.inspectors.pickled.pickles import PickleViewer
from rain.notebook.inspectors.pickled.preview import PreviewViewer
from rain.notebook.inspectors.pickled.values import ValueViewer
from rain.notebook.inspectors.subject import Subject, Viewer
from rain.notebook.inspectors.tree import TreeViewer
from rain.notebook.inspectors.viewers import arrow_messages, npy_table
from rain.notebook.inspectors.viewers.cbor_tree import CborDocument
from rain.notebook.inspectors.viewers.csv_table import looks_like_table
from rain.notebook.inspectors.viewers.hex_viewer import HexViewer
from rain.notebook.inspectors.viewers.images import ImageViewer, image_type
from rain.notebook.inspectors.viewers.json_tree import JsonDocument
from rain.notebook.inspectors.viewers.npy_table import NpyViewer
from rain.notebook.inspectors.viewers.text import TextViewer, guess_encoding
from rain.objects.content_types.registry import PLUGIN, all_types, content_type_of, types_by_extension

_PARQUET_MAGIC = b"PAR1"
Maker = Callable[[Subject], Viewer]
Views = dict[str, Maker]


def _json(subject: Subject) -> Viewer:
    return TreeViewer(JsonDocument(subject.ranges))


def _lines(subject: Subject) -> Viewer:
    return TreeViewer(JsonDocument(subject.ranges, lines=True))


def _cbor(subject: Subject) -> Viewer:
    return TreeViewer(CborDocument(subject.ranges))


VIEWERS: dict[str, Views] = {
    "text": {"text": TextViewer},
    "json": {"tree": _json, "text": TextViewer},
    "lines": {"tree": _lines, "text": TextViewer},
    "csv": {"table": queried.csv, "text": TextViewer},
    "text that may be csv": {"text": TextViewer, "table": queried.csv},
    "cbor": {"tree": _cbor},
    "arrow": {"table": queried.arrow},
    "parquet": {"table": queried.parquet},
    "npy": {"table": NpyViewer},
    "image": {"image": ImageViewer},
    "svg": {"image": SvgViewer, "text": TextViewer},
    "notebook": {"preview": NotebookViewer, "tree": _json, "text": TextViewer},
    "zip": {"table": ZipViewer},
    "pickle": {"preview": PreviewViewer, "pickle": PickleViewer, "value": ValueViewer},
    "bytes": {},
}
"""By kind; `hex`, and `text` where the bytes look like it, are there for all, and `preview` for plug-ins' types."""

MIME_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "lines",
    "application/jsonl": "lines",
    "application/x-ipynb+json": "notebook",
    "application/zip": "zip",
    "image/svg+xml": "svg",
}
"""Kinds of MIME types that are no content type's."""
EXTENSIONS = {
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "jsonl": "lines",
    "ndjson": "lines",
    "npy": "npy",
    "npz": "zip",
    "svg": "svg",
    "ipynb": "notebook",
    "md": "text",
    "markdown": "text",
    "parquet": "parquet",
}
"""Kinds of extensions that are no content type's."""
_MIMES_OF_EXTENSIONS = {
    "png": "mime/image/png",
    "jpg": "mime/image/jpeg",
    "jpeg": "mime/image/jpeg",
    "gif": "mime/image/gif",
    "webp": "mime/image/webp",
    "bmp": "mime/image/bmp",
    "svg": "mime/image/svg+xml",
    "html": "mime/text/html",
    "pdf": "mime/application/pdf",
    "gz": "mime/application/gzip",
    "zip": "mime/application/zip",
    "npz": "mime/application/zip",
    "ipynb": "mime/application/x-ipynb+json",
    "md": "mime/text/markdown",
}
_TYPES_OF_KINDS = {
    "parquet": "mime/application/vnd.apache.parquet",
    "csv": "mime/text/csv",
    "json": "json",
    "lines": "mime/application/x-ndjson",
    "cbor": "cbor",
    "arrow": "arrow",
    "pickle": "pickle",
    "text": "text",
    "text that may be csv": "text",
}
_LINES_PARSED_MAX = 3
_JSON_BEGINS = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*["\[\]{}tfn\d-])')


def guess_content_type(subject: Subject) -> str | None:
    """The content type that a file inside a directory is likely to have."""
    named = _MIMES_OF_EXTENSIONS.get(subject.extension)
    found = image_type(subject.head)
    if named or found:
        return named or f"mime/{found}"
    by_extension, _ = types_by_extension().get(subject.extension, ("", None))
    return by_extension if by_extension.startswith(PLUGIN) else _TYPES_OF_KINDS.get(kind_of(subject))


@functools.cache
def _kinds_by_mime_type() -> dict[str, str]:
    return {mime: kind.kind for _, kind in all_types() for mime in kind.mime_types} | MIME_TYPES


def _kind_by_extension(extension: str) -> str | None:
    if extension not in EXTENSIONS and extension in types_by_extension():
        return types_by_extension()[extension][1].kind
    return EXTENSIONS.get(extension)


def _kind_of_type(name: str) -> str:
    """The kind that the content type `name` asks for; ``"bytes"`` where nothing is known of it here."""
    try:
        kind = content_type_of(name).kind
    except (RainException, ValueError):  # no such plug-in here, or the declared type is none
        return "bytes"
    return kind if kind in VIEWERS else "bytes"


def kind_of(subject: Subject) -> str:
    """The key in `VIEWERS`."""
    declared = subject.content_type or ""
    kind = _kind_of_type(declared) if declared else "bytes"
    if declared.startswith("text-"):
        return "csv" if EXTENSIONS.get(subject.extension) == "csv" else "text"
    if kind != "bytes":
        return kind
    mime = declared.removeprefix("mime/").partition(";")[0].strip().lower() if declared.startswith("mime/") else ""
    if mime in _kinds_by_mime_type():
        return _kinds_by_mime_type()[mime]
    if mime.endswith("+json"):
        return "json"
    if mime.startswith("text/"):
        return "text"
    return _kind_of_bytes(subject, named=not declared)


def _kind_of_bytes(subject: Subject, named: bool) -> str:
    """By the first bytes, and by the extension where there is no content type that says something else."""
    head, size = subject.head, subject.ranges.size
    if image_type(head):
        return "image"
    if head.startswith(arrow_messages.MAGIC):
        return "arrow"
    if head.startswith(npy_table.MAGIC):
        return "npy"
    if head.startswith(zips.MAGIC) and not (named and _kind_by_extension(subject.extension) not in (None, "zip")):
        return "zip"
    if head.startswith(_PARQUET_MAGIC):
        return "parquet"
    by_name = _kind_by_extension(subject.extension) if named else None
    if by_name not in (None, "text", "bytes") and size:
        return by_name
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and (head[1] < 4 or size > 2):
        return "pickle"
    encoding = guess_encoding(head, len(head) == size)
    if encoding is None:
        return "bytes"
    if _JSON_BEGINS.match(head) and encoding == "utf-8" and (kind := _kind_of_json(head, size)):
        return kind
    # Of 16 and 32 bits per character there are no tables here.
    if encoding in ("utf-8", "iso8859-1", "cp1252") and looks_like_table(head.decode(encoding, "replace")):
        return "text that may be csv"
    return "text"


def _kind_of_json(head: bytes, size: int) -> str | None:
    """Small documents are parsed to know; of large ones the beginning has to do."""
    whole = len(head) == size
    lines = [line for line in head.splitlines() if line.strip()]
    if whole and _parses(head):
        return "json"
    some = lines if whole else lines[:-1][:_LINES_PARSED_MAX]  # the last one may be cut off
    if len(lines) > 1 and some and all(map(_parses, some)):
        return "lines"
    return None if whole else "json"


def _parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _views_of_gzip(subject: Subject) -> Views:
    """The views of what is inside, and the bytes of the file itself."""
    try:
        inner, note = gzips.inflated(subject)
    except RainException:
        return {"hex": HexViewer}

    def view(make: Maker) -> Maker:
        return lambda _: gzips.InflatedViewer(make(inner), note)

    nested = {"hex": HexViewer} if inner.head.startswith(gzips.MAGIC) else views_of(inner)
    return {name: view(make) for name, make in nested.items() if name != "hex"} | {"hex": HexViewer}


def views_of(subject: Subject) -> Views:
    """The views of a blob by name, the best one first."""
    if subject.head.startswith(gzips.MAGIC):
        return _views_of_gzip(subject)
    kind = kind_of(subject)
    views = dict(VIEWERS[kind])
    if "text" not in views and subject.ranges.size:
        if guess_encoding(subject.head, len(subject.head) == subject.ranges.size) is not None:
            views["text"] = TextViewer
    elif not subject.ranges.size and kind in ("bytes", "text"):
        views["text"] = TextViewer
    views["hex"] = HexViewer
    if kind == "bytes" and (subject.content_type or "").startswith(PLUGIN):
        views = {"preview": PreviewViewer, **views}
    if views.get("preview") is not PreviewViewer:
        return views
    if subject.ask is None:
        del views["preview"]
    elif not subject.encoded:
        # Bytes of anywhere are not loaded unasked, which may run any code: the view is there, but comes last.
        views["preview"] = views.pop("preview")
    return views
