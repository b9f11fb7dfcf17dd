"""`Inspection`: answers what a browser asks of one data instance."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from rain.common.errors import RainException
from rain.common.formatting import exact_size_text, size_text
from rain.notebook.inspectors.kinds import Views, guess_content_type, views_of
from rain.notebook.inspectors.limits import DOWNLOAD_PIECE_BYTES, OPENED_MAX
from rain.notebook.inspectors.pickled.preview import PreviewViewer
from rain.notebook.inspectors.sanitize import clean, cut, escape_name, jsonable, unescape_name, visible
from rain.notebook.inspectors.subject import Ask, PageWithBuffers, Subject, Viewer
from rain.notebook.inspectors.viewers.directories import DirectoryViewer
from rain.notebook.protocol.data import InspectionAnswer, Overview, Piece
from rain.notebook.protocol.requests import Download, Inspect
from rain.objects.content_types.registry import content_type_of

if TYPE_CHECKING:
    from rain.objects.data_instance import DataInstance

_VALUE, _PREVIEW = "value", "preview"
"""What is loaded for these; the value in this process, so by a click only."""
NOTE_CHARS_MAX = 1000
_NAME_CHARS_MAX = 100
_MIME_EXTENSIONS = {"text/csv": "csv", "text/plain": "txt", "image/jpeg": "jpg", "image/svg+xml": "svg"}


class _Opened:
    """A blob or a folder that is being looked at, with the viewers that were made for it."""

    def __init__(self, instance: DataInstance, path: tuple[str, ...]) -> None:
        self.lock = threading.Lock()
        self.subject: Subject | None = None
        self.views: Views = {}
        self._folder: DirectoryViewer | None = None
        self._viewers: dict[str, Viewer] = {}
        if instance.reader.is_dir:
            from rain.objects.readers import NotInside

            inside = "/".join(path)
            try:
                if not path:
                    raise NotInside("the top is a folder")
                self.subject = Subject(instance.reader.file(inside), None, path[-1], _asker(instance, inside))
            except NotInside as error:
                self._folder = DirectoryViewer(instance.reader, inside)
                if path:
                    _must_be_folder(instance, inside, error)
        elif path:
            raise RainException("this is a blob, not a directory: there is nothing inside")
        else:
            label = (instance.spec.label if instance.spec is not None else None) or ""
            encoded = instance.info.encoded
            self.subject = Subject(instance.reader, instance.content_type, label, _asker(instance), encoded)
        if self.subject is not None:
            self.views = views_of(self.subject)

    @property
    def names(self) -> list[str]:
        return list(self.views) if self.subject is not None else ["directory"]

    @property
    def unasked(self) -> list[str]:
        """The views that may be shown before the user asks for one: for them no code of the data runs, or it is
        the session's own."""
        encoded = self.subject is not None and self.subject.encoded
        loading = {_VALUE} if encoded or self.views.get(_PREVIEW) is not PreviewViewer else {_VALUE, _PREVIEW}
        return [name for name in self.names if name not in loading]

    def page(self, view: str, asked: Inspect) -> PageWithBuffers:
        if self._folder is not None:
            return self._folder.page(asked)
        if view not in self._viewers:
            assert self.subject is not None
            self._viewers[view] = self.views[view](self.subject)
        return self._viewers[view].page(asked)


def _must_be_folder(instance: DataInstance, inside: str, why: RainException) -> None:
    """Raise what was wrong with opening a file, unless it is a folder."""
    from rain.objects.readers import NotInside

    try:
        instance.reader.entries(inside, 0, 1)
    except NotInside:
        raise why from None


def _asker(instance: DataInstance, path: str | None = None) -> Ask | None:
    """Asks an executor that looks into the data, or into the file `path` inside them."""
    ask = instance._ask
    return None if ask is None else lambda what, asked: ask(what, asked, path, None)


class Inspection:
    """Looks into one data instance, in ranges: the kernel's side of an inspector.

    Any thread may call; what is asked of the same file is answered one after the other.

    Parameters
    ----------
    open : callable
        ``open() -> DataInstance``; called when something is first asked for, and again when the data could not be had.
    describe : callable, optional
        ``describe() -> Overview``: what the client knows of the object (title, id, holders, maker, digest …).

    Examples
    --------
    >>> from rain.common import DataInstance
    >>> from rain.objects.readers import BytesReader
    >>> inspection = Inspection(lambda: DataInstance(BytesReader(b"hello"), None))
    >>> answer, buffers = inspection.page(Inspect(view="text"))
    >>> answer.page.text, answer.views
    ('hello', ['text', 'hex'])
    """

    def __init__(self, open: Callable[[], DataInstance], describe: Callable[[], Overview] | None = None) -> None:
        self._open = open
        self._describe = describe
        self._lock = threading.Lock()
        self._instance: DataInstance | None = None
        self._opened: OrderedDict[tuple[str, ...], _Opened] = OrderedDict()

    def page(self, asked: Inspect) -> tuple[InspectionAnswer, list[bytes]]:
        """A page of the data, and what comes beside it.

        Parameters
        ----------
        asked : Inspect

        Raises
        ------
        RainException
            If what is asked for cannot be shown.
        """
        path = path_of(asked)
        try:
            instance = self._data()
            opened = self._at(path)
            with opened.lock:
                (page, buffers), note = self._shown(opened, asked)
            page.note = cut(" ".join(filter(None, (note, page.note))), NOTE_CHARS_MAX)
            return InspectionAnswer(self._overview(instance, opened, path), opened.names, page), buffers
        except (OSError, MemoryError) as error:
            self._forget()
            raise RainException(f"the data cannot be read: {clean(str(error)) or type(error).__name__}") from error

    @staticmethod
    def _shown(opened: _Opened, asked: Inspect) -> tuple[PageWithBuffers, str]:
        """The view that is asked for, or the best one that works; then the text says why it is not a better one."""
        if asked.view is not None:
            if asked.view not in opened.names:
                raise RainException(f"there is no view {asked.view!r} of this, but {', '.join(opened.names)}")
            return opened.page(asked.view, asked), ""
        note = ""
        names = opened.unasked
        for name in names[:-1]:
            try:
                return opened.page(name, asked), note
            except RainException as error:
                note = note or f"It is not shown as {name}: {error}"
        return opened.page(names[-1], asked), note

    def piece(self, asked: Download) -> tuple[Piece, list[bytes]]:
        """The answer to a ``download`` message: name, size and end, and a buffer of at most 1 MiB.

        Parameters
        ----------
        parameters : dict
            As the browser sent them; anything is checked.

        Raises
        ------
        RainException
            If the parameters are wrong, it is a directory, or the data cannot be had.
        """
        path = path_of(asked)
        try:
            instance = self._data()
            subject = self._at(path).subject
            if subject is None:
                raise RainException(
                    "a directory cannot be downloaded as a whole: open one of its files, or use write(path) in Python"
                )
            size = subject.ranges.size
            offset = min(asked.offset, size)
            data = subject.reader.read(offset, min(DOWNLOAD_PIECE_BYTES, size - offset)) if offset < size else b""
            if not data and offset < size:
                raise RainException(f"the data end after {offset} bytes, though {size} were announced")
            end = offset + len(data)
            return Piece(_file_name(instance, path), size, end, size_text(size), size_text(end)), [data]
        except OSError as error:
            self._forget()
            raise RainException(f"the data cannot be read: {clean(str(error))}") from error

    # -- what is open ------------------------------------------------------------------------------

    def _data(self) -> DataInstance:
        with self._lock:
            if self._instance is None:
                self._instance = self._open()
            return self._instance

    def _forget(self) -> None:
        """Open everything anew next time: the data may have gone elsewhere."""
        with self._lock:
            self._instance = None
            self._opened.clear()

    def _at(self, path: tuple[str, ...]) -> _Opened:
        instance = self._data()
        with self._lock:
            found = self._opened.get(path)
        if found is None:
            try:
                found = _Opened(instance, path)
            except RainException:
                self._forget()
                raise
        with self._lock:
            found = self._opened.setdefault(path, found)
            self._opened.move_to_end(path)
            while len(self._opened) > OPENED_MAX:
                self._opened.popitem(last=False)
        return found

    def _overview(self, instance: DataInstance, opened: _Opened, path: tuple[str, ...]) -> Overview:
        known = self._describe() if self._describe is not None else _described(instance)
        names = list(map(escape_name, path))
        found = replace(known, path=names, steps=list(map(visible, names)), **_plain_facts(known))
        if not path:
            return found
        subject = opened.subject
        if subject is None:
            return replace(found, content_type=None, data_type="dir", size="")
        kind, size = guess_content_type(subject), subject.ranges.size
        return replace(found, content_type=kind, data_type="blob", size=exact_size_text(size))


def path_of(asked: Inspect | Download) -> tuple[str, ...]:
    """The names inside a directory that are asked for, as the file system has them."""
    if any(name in (".", "..") for name in asked.path):
        raise RainException('"." and ".." are no names of something inside a directory')
    return tuple(map(unescape_name, asked.path))


def _described(instance: DataInstance) -> Overview:
    """What a data instance itself knows."""
    spec, info = instance.spec, instance.info
    return Overview(
        title=(spec.label or str(spec.id)) if spec is not None else "data",
        id=str(spec.id) if spec is not None else None,
        content_type=instance.content_type,
        data_type=instance.data_type.value,
        size=exact_size_text(instance.size),
        digest=None,
        holders=[],
        maker=None,
        spec_user=spec.user if spec is not None else {},
        info_user=info.user,
        path=[],
        steps=[],
    )


def _plain_facts(known: Overview) -> dict[str, Any]:
    """What users wrote in an overview, as what JSON can say, of bounded size."""
    names = ("title", "content_type", "spec_user", "info_user", "holders")
    maker = known.maker and replace(known.maker, title=jsonable(known.maker.title))
    return {"maker": maker, **{name: jsonable(getattr(known, name)) for name in names}}


def _file_name(instance: DataInstance, path: tuple[str, ...]) -> str:
    """The name that a download gets: of the file, or the object's label with an extension."""
    if path:
        return _plain_name(path[-1])
    spec, content_type = instance.spec, instance.content_type or ""
    name = _plain_name((spec.label or "").rpartition("/")[2] if spec is not None else "") or "data"
    if content_type.startswith("mime/"):
        mime = content_type[5:]
        extension = _MIME_EXTENSIONS.get(mime, mime.rpartition("/")[2])
        extension = extension if extension.isalnum() and len(extension) < 8 else ""
    else:
        extension = _extension_of(content_type)
    return name if "." in name or not extension else f"{name}.{extension}"


def _extension_of(content_type: str) -> str:
    try:
        return next(iter(content_type_of(content_type).extensions), "")
    except (RainException, ValueError):  # no such plug-in here, or no content type
        return ""


def _plain_name(name: str) -> str:
    """A name without what file systems, or people, are led astray by."""
    kept = "".join(char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in clean(name))
    return kept.strip(". ")[-_NAME_CHARS_MAX:]
