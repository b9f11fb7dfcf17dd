"""Data objects at the client: promises, and the constants among them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.core.records import ObjectRecord
from rain.client.functions.pickling import collect
from rain.client.handles import Handle, handle_of, inside
from rain.client.io_spec import check_label
from rain.client.operations.constant_values import Value, encoded, gathered
from rain.client.operations.twins import DONE, awaitable, blocking, operation_of
from rain.common.attributes import check_size_hint, check_user
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.jupyter import display_hooks
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.states import DataObjectState, DataType
from rain.common.suggestions.keywords import suggesting
from rain.objects.archive import pack
from rain.objects.content_types.registry import check_content_type
from rain.objects.content_types.text import text_encoding
from rain.objects.dirtree import tree_size

if TYPE_CHECKING:
    from rain.client.operations.operation import Operation
    from rain.client.session import Session
    from rain.objects.data_instance import DataInstance

__all__ = ["DataObject", "blob", "directory", "pickled"]


class FrozenObjectSpec(ObjectSpec, frozen=True):  # type: ignore[misc]
    """Spec of a submitted object."""


class FrozenObjectInfo(ObjectInfo, frozen=True):  # type: ignore[misc]
    """Info of an object, which is the governor's to set."""


def spec_of(record: ObjectRecord) -> ObjectSpec:
    """The spec as users see it: frozen once it was submitted."""
    spec = record.spec
    if record.state is None:
        return spec
    return FrozenObjectSpec(spec.id, spec.label, spec.content_type, spec.data_type, spec.size_hint, dict(spec.user))


def info_of(record: ObjectRecord) -> ObjectInfo | None:
    """The info as users see it: frozen."""
    info = record.info
    if info is not None:
        return FrozenObjectInfo(info.error, info.size, info.content_type, info.debug, dict(info.user), info.encoded)
    if record.failed and record.task is not None and record.task.error is not None:
        return FrozenObjectInfo(record.task.error.message)
    return None


def value_of(obj: DataObject) -> Value | None:
    """The value of a constant that was made here, as long as its handle lives, or of what a reused task made."""
    return obj._value if obj._value is not None else obj._record.value


class DataObject(Handle, of=ObjectRecord):
    """A data object of a session: a promise of data, or a constant.

    Usually made by tasks, `blob`, `pickled` or `directory`. One that is made by itself must be given to a task as an
    output.

    Parameters
    ----------
    label : str, optional
    session : Session, optional
        The active one if not given.
    content_type : str, optional
    data_type : DataType
    size_hint : float, optional
        Bytes expected.
    user_spec : dict, optional
        JSON-serialisable values of your own.

    Raises
    ------
    RainException
        If a parameter is not what it should be, or no session is active.

    Examples
    --------
    >>> with client.new_session("objects") as session:
    ...     merged = DataObject("merged", content_type="text")
    ...     task = Task([blob("a")], [merged], task_type="mine/merge")
    ...     task.output is merged
    True
    """

    __slots__ = ("__weakref__", "_record", "_value")
    _record: ObjectRecord
    _value: Value | None

    def __init__(
        self,
        label: str | None = None,
        session: Session | None = None,
        *,
        content_type: str | None = None,
        data_type: DataType = DataType.BLOB,
        size_hint: float | None = None,
        user_spec: dict[str, Any] | None = None,
    ) -> None:
        session = get_active_session() if session is None else session
        session._check_open()
        spec = ObjectSpec(
            ID(session.session_id, inside(session).mirror.next_number()),
            check_label(label, "a data object"),
            check_content_type(content_type),
            DataType(data_type).value,
            check_size_hint(size_hint, "a data object"),
            check_user(user_spec),
        )
        record = ObjectRecord(spec)
        inside(session).mirror.records[spec.id.id] = record
        self._attach(session, record)

    def _attach(self, session: Session, record: ObjectRecord) -> None:
        self._session = session
        self._record = record
        self._value = record.value
        record.handle = weakref.ref(self)

    def _held(self) -> tuple[DataObject, ...]:
        return (self,)

    def __del__(self) -> None:
        # May run anywhere, in any thread: only notes that the handle is gone.
        try:
            record = self._record
        except AttributeError:
            return
        if record.kept:
            inside(self._session).mirror.dropped.append(record)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def id(self) -> ID:
        """The object's id."""
        return self._record.spec.id

    @property
    def label(self) -> str | None:
        """The object's label."""
        return self._record.spec.label

    @property
    def state(self) -> DataObjectState | None:
        """The object's state as far as this client knows; None before submit."""
        return self._record.state

    @property
    def spec(self) -> ObjectSpec:
        """What was declared; frozen by submit."""
        return spec_of(self._record)

    @property
    def info(self) -> ObjectInfo | None:
        """What is known of the finished object; None until something is."""
        return info_of(self._record)

    @property
    def content_type(self) -> str | None:
        """The content type that the task set, else the declared one."""
        info = self._record.info
        return (info.content_type if info is not None else None) or self._record.spec.content_type

    @property
    def data_type(self) -> DataType:
        """Whether the object is a blob or a directory."""
        return DataType(self._record.spec.data_type)

    @property
    def _data(self) -> bytes | None:
        """A constant's bytes (a directory's as a tar archive)."""
        return None if self._value is None else self._value.get_bytes()

    def expect_dir(self) -> None:
        """Make sure that the object is a directory.

        Raises
        ------
        RainException
            If the object is a blob.
        """
        if self.data_type is not DataType.DIRECTORY:
            raise RainException(f"{self!r} is a blob, where a directory is needed")

    # -- keeping and getting --------------------------------------------------------------------

    @blocking
    def keep(self, timeout: float | None = None) -> Operation[None]:
        """Keep the data until `unkeep`, the end of the session, or the drop of the last handle.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for the server's answer, which is needed once the object was submitted.

        Raises
        ------
        RainException
            If the object was submitted and its data are already gone.
        TimeoutError
        """
        if self._record.state is None:
            self._session._check_open()
            self._record.kept = True
            inside(self._session).mirror.note([self._record])
            return DONE
        return operation_of(self._session.keep)([self])

    keep_async = awaitable(keep)

    @blocking
    def unkeep(self, timeout: float | None = None) -> Operation[None]:
        """Let the data go when no task needs them.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return operation_of(self._session.unkeep)([self])

    unkeep_async = awaitable(unkeep)

    def is_kept(self) -> bool:
        """Whether the object is kept.

        Returns
        -------
        bool
        """
        return self._record.kept

    @blocking
    def wait(self, timeout: float | None = None) -> Operation[None]:
        """Wait until the object is finished.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the object was not submitted.
        TaskException
            If the object cannot come because a task failed.
        TimeoutError
        """
        return operation_of(self._session.wait)([self])

    wait_async = awaitable(wait)

    def __await__(self) -> Generator[Any, Any, DataObject]:
        yield from self.wait_async().__await__()
        return self

    @blocking
    def fetch(self, timeout: float | None = None) -> Operation[DataInstance]:
        """Wait until the object is finished, and give access to its data.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        DataInstance

        Raises
        ------
        RainException
            If the object is not kept, or was not submitted.
        TaskException
            If the object cannot come because a task failed.
        TimeoutError
        """
        return operation_of(self._session.fetch)(self)

    fetch_async = awaitable(fetch)

    @blocking
    def update(self, timeout: float | None = None) -> Operation[None]:
        """Bring `state` and `info` up to date; see `Session.update`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the object was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return operation_of(self._session.update)([self])

    update_async = awaitable(update)

    # -- being a value --------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataObject):
            return NotImplemented
        return self.id == other.id

    def __hash__(self) -> int:
        return hash(self._record.spec.id)

    def __copy__(self) -> DataObject:
        return self

    def __deepcopy__(self, memo: Any) -> DataObject:
        return self

    def __reduce__(self) -> Any:
        return collect(self)

    def _ipython_display_(self) -> None:
        display_hooks.show("object", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("object", self)

    def __repr__(self) -> str:
        return repr(self._record)


def make_constant(
    session: Session | None,
    label: str | None,
    content_type: str | None,
    value: Value,
    *,
    data_type: str = "blob",
    user: dict[str, Any] | None = None,
) -> DataObject:
    """A constant object of `session` (None: the active one) with that value."""
    session = get_active_session() if session is None else session
    session._check_open()
    mirror = inside(session).mirror
    spec = ObjectSpec(ID(mirror.session_id, mirror.next_number()), label, content_type, data_type, None, user or {})
    record = ObjectRecord(spec, None, value)
    obj: DataObject = handle_of(session, record)
    mirror.add(record)
    return obj


@suggesting
def blob(
    value: Any,
    label: str | None = "const",
    content_type: str | None = None,
    encode: str | None = None,
    *,
    session: Session | None = None,
) -> DataObject:
    """A constant object.

    Parameters
    ----------
    value : bytes, str or any
        Bytes are taken as they are, a str becomes text; anything else needs `encode`.
    label : str, optional
    content_type : str, optional
        What the bytes or the text are.
    encode : str, optional
        Content type to encode `value` with, for instance ``"json"``.
    session : Session, optional
        The active one if not given.

    Returns
    -------
    DataObject

    Raises
    ------
    RainException
        If `value` is neither bytes nor str and there is no `encode`, if it cannot be encoded, or if both `encode` and
        `content_type` are given.

    Examples
    --------
    >>> with client.new_session("blobs") as session:
    ...     a, b, c = blob(b"raw"), blob("text"), blob([1, 2], encode="json")
    """
    check_label(label, "a blob")
    if encode is not None and content_type is not None:
        raise RainException("blob(): give encode= or content_type=, not both")
    owner = get_active_session() if session is None else session
    if encode is not None:
        kind = check_content_type(encode)
        if kind is None:
            raise RainException("blob(): encode= needs the name of a content type")
        return make_constant(owner, label, kind, encoded(value, kind, inside(owner).connection.room))
    kind = check_content_type(content_type)
    if kind == "dir":
        raise RainException("blob(): a directory is made by directory(path)")
    if isinstance(value, str):
        try:
            data = value.encode(text_encoding(kind))
        except UnicodeEncodeError as error:
            raise RainException(f"blob(): the text cannot be encoded as {kind or 'text'!r}: {error}") from None
        kind = kind or "text"
    elif isinstance(value, bytes):
        data = value
    else:
        raise RainException(
            f'blob() takes bytes or str, not {type(value).__name__}: use blob(value, encode="json") or another '
            "content type, or pickled(value)"
        )
    return make_constant(owner, label, kind, Value(data, len(data)))


@suggesting
def pickled(value: Any, label: str | None = "pickle", *, session: Session | None = None) -> DataObject:
    """A constant object that holds a pickled value: ``blob(value, encode="pickle")``.

    Parameters
    ----------
    value : any
        What `pickle` or cloudpickle can take. Large arrays in it are stored so that readers can map them.
    label : str, optional
    session : Session, optional
        The active one if not given.

    Returns
    -------
    DataObject

    Raises
    ------
    RainException
        If `value` cannot be pickled, or no session is active.

    Examples
    --------
    >>> with client.new_session("pickled") as session:
    ...     session.run(remote(auto_load=True, auto_encode="json")(lambda ctx, n: sorted(n))(pickled({2, 1})))
    [1, 2]
    """
    return blob(value, label, encode="pickle", session=session)


@suggesting
def directory(
    path: str | os.PathLike[str], label: str | None = "const_dir", *, session: Session | None = None
) -> DataObject:
    """A constant object that is a copy of a local directory, with all that is in it.

    Parameters
    ----------
    path : str or os.PathLike
        Of a directory on this host.
    label : str, optional
    session : Session, optional
        The active one if not given.

    Returns
    -------
    DataObject

    Raises
    ------
    RainException
        If `path` is not a directory, or holds a file of a kind that cannot be sent.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with client.new_session("folders") as session, tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.txt").write_text("alpha")
    ...     session.run(tasks.SliceDirectory(directory(folder), "a.txt"))
    b'alpha'
    """
    check_label(label, "a directory")
    text = os.fspath(path)
    owner = get_active_session() if session is None else session
    if not os.path.isdir(text):
        what = "is not a directory" if os.path.exists(text) else "does not exist"
        raise RainException(f"directory(): {text!r} {what}")
    value = gathered(pack(text), inside(owner).connection.room)
    value.content_size = tree_size(text)
    return make_constant(owner, label, "dir", value, data_type="dir")
