"""What tasks and data objects have in common, and the only way into the classes that users hold.

Users see `Session`, `Task` and `DataObject`; what these have inside is the client's own. Modules of the client get at
it by `inside`, `record_of`, `session_of` and `handle_of`, so that nothing of it is a public attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rain.client.core.operations.reruns import newest, newest_object
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.core.core import ClientCore
    from rain.client.core.session_mirror import SessionMirror
    from rain.client.data import DataObject
    from rain.client.functions.modules import Surroundings
    from rain.client.operations.connection import Connection
    from rain.client.operations.encoding import SessionEncoder
    from rain.client.report.echo import Echo
    from rain.client.reuse.results import ResultCache
    from rain.client.session import Session


class Inside:
    """What a session has inside.

    Attributes
    ----------
    connection : Connection
        Its client's; of a detached session one without a server.
    mirror : SessionMirror
    surroundings : Surroundings
    encoder : SessionEncoder
    echo : Echo or None
    echo_wanted : bool or None
        Whether what tasks print is to be shown; None as long as nothing was said and nothing submitted.
    closing_blocks : int
        Open ``with session:`` blocks.
    at_end : list of callable
        Called once the session has ended, in the thread that ends it.
    of_interface : bool
        Whether an interface made it, as joblib's backend does, whose users have no variable of it.
    plain : dict of int to (callable, PlainFunction)
        What `Session.call` called, by the callable's `id`.
    results : ResultCache or None
        Where results of earlier runs are, if some task of the session may reuse them.
    renewals : dict of int to tuple of Handle
        Tasks that were made in the place of stale ones, by number, and their outputs: what holds these.
    """

    __slots__ = (
        "at_end",
        "closing_blocks",
        "connection",
        "echo",
        "echo_wanted",
        "encoder",
        "mirror",
        "of_interface",
        "plain",
        "renewals",
        "results",
        "surroundings",
    )

    def __init__(
        self, connection: Connection, mirror: SessionMirror, surroundings: Surroundings, encoder: SessionEncoder
    ) -> None:
        self.connection = connection
        self.mirror = mirror
        self.surroundings = surroundings
        self.encoder = encoder
        self.echo: Echo | None = None
        self.echo_wanted: bool | None = None
        self.closing_blocks = 0
        self.of_interface = False
        self.at_end: list[Callable[[], None]] = []
        self.plain: dict[int, tuple[Any, Any]] = {}
        self.renewals: dict[int, tuple[Handle, ...]] = {}
        self.results: ResultCache | None = None


class Handle:
    """Points to the record of a task or data object; may be dropped and made anew."""

    __slots__ = ("_session",)
    _record: Any
    _session: Session
    _kinds: ClassVar[dict[type, type[Handle]]] = {}

    def __init_subclass__(cls, of: type[Record] | None = None, **options: Any) -> None:
        """`of`: the records that this class is the handle of."""
        super().__init_subclass__(**options)
        if of is not None:
            Handle._kinds[of] = cls

    @property
    def stale(self) -> bool:
        """Whether the function that makes it, or one before it, was edited since, as far as was looked; see
        `Session.stale`."""
        task = self._record if isinstance(self._record, TaskRecord) else self._record.task
        return task is not None and bool(task.stale)

    @property
    def renewed(self) -> Self:
        """What stands in its place since `Session.rerun_stale` ran its task again; itself if that was not done."""
        record = self._record
        mirror = inside(self._session).mirror
        new = newest(record) if isinstance(record, TaskRecord) else newest_object(mirror, record.spec.id)
        found: Self = self if new is None or new is record else handle_of(self._session, new)
        return found

    def _attach(self, session: Session, record: Any) -> None:
        """Be the handle of `record`."""
        raise NotImplementedError

    def _held(self) -> tuple[Any, ...]:
        """The handles of its objects, which live at least as long as this handle."""
        raise NotImplementedError


class Holder:
    """What `Session` is to the rest of the client."""

    __slots__ = ()
    _inside: Inside


def inside(session: Session) -> Inside:
    """What a session has inside."""
    return session._inside


def core_of(client: Client) -> ClientCore:
    """What a client knows of its server."""
    return client._connection.core


def is_over(client: Client) -> bool:
    """Whether a client is closed, or its server is lost."""
    return bool(core_of(client).over_because)


def record_of(item: Handle) -> Any:
    """The record of a task or data object."""
    return item._record


def session_of(item: Handle) -> Session:
    """The session of a task or data object."""
    return item._session


def handle_of(session: Session, record: Record) -> Any:
    """The task or data object that users hold for `record`; made anew if there is none."""
    if record.handle is not None:
        living: Handle | None = record.handle()
        if living is not None:
            return living
    kind = Handle._kinds[type(record)]
    handle = kind.__new__(kind)
    handle._attach(session, record)
    return handle


def held(item: Handle) -> tuple[DataObject, ...]:
    """A data object itself, or a task's outputs; these live at least as long as `item`, so that they stay kept."""
    return item._held()


def several(outputs: tuple[ObjectRecord, ...]) -> str:
    """How many outputs, and which, where one was expected."""
    if not outputs:
        return "no outputs"
    labels = ", ".join(repr(output.spec.label) for output in outputs[:8])
    return f"{len(outputs)} outputs ({labels}{', …' if len(outputs) > 8 else ''})"


def as_object(item: Any, of: str) -> DataObject:
    """`item` as a data object: one itself, or the output of a task that has only one.

    Raises
    ------
    RainException
        If it is neither, or the task has none or several outputs.
    """
    if isinstance(item, Handle):
        record = item._record
        if isinstance(record, TaskRecord) and len(record.outputs) != 1:
            raise RainException(
                f"{of}: {record!r} has {several(record.outputs)}, so it cannot stand for one object; "
                "use task.outputs[label or number]"
            )
        return held(item)[0]
    if isinstance(item, str | bytes | bytearray | memoryview):
        raise RainException(
            f"{of} is {type(item).__name__} ({short(item)}); wrap it as blob(...) to make it a data object"
        )
    raise RainException(
        f"{of} is a data object or a task with one output, not {type(item).__name__} ({short(item)}); "
        "values become objects by blob(...) or pickled(...)"
    )


def short(item: Any) -> str:
    """The beginning of an item's repr, for texts."""
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."
