"""Specs (what a user declares) and infos (what governor and executor report) of tasks and data objects.

These Structs are schema, validation and documentation at once: they are what travels in messages, and what
``task.spec``, ``task.info``, ``obj.spec`` and ``obj.info`` return.

They are trees, so the cycle collector need not look at them (``gc=False``): there may be a million.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.ids import ID


class TaskOptions(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Options of a task that are rarely set; a task without any has None in its spec.

    Attributes
    ----------
    timeout : float or None
        Seconds of the task's own run time after which it is killed and fails.
    retries : int
        How many raised exceptions (or wrong exit codes) are followed by another attempt.
    retry_on : tuple of str
        Qualified names of the exception classes that `retries` is meant for; empty means any.
    rerun : str
        ``"never"``: the task is not run a second time after its governor was lost while it ran (it fails); ``""``
        otherwise.
    priority : int
        Among ready tasks the higher one starts first.
    env : dict of str to str
        Environment variables of the task.
    fresh : bool
        Whether the task asks for an executor that has run nothing yet.
    nodes : int
        On how many governors it runs at once; each has the task's resources.
    """

    timeout: float | None = None
    retries: int = 0
    retry_on: tuple[str, ...] = ()
    rerun: str = ""
    priority: int = 0
    env: dict[str, str] = {}
    fresh: bool = False
    nodes: int = 1


DEFAULT_OPTIONS = TaskOptions()


class TaskSpecInput(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One input of a task.

    Attributes
    ----------
    id : ID
        Of the object.
    label : str or None
        Under which the task sees it.
    """

    id: ID
    label: str | None = None


class TaskSpec(msgspec.Struct, array_like=True, gc=False):
    """What a task is, as its user declared it.

    Attributes
    ----------
    id : ID
    task_type : str
        ``"executor/method"``: which type of executor runs it, and which of its methods.
    config : Any
        What the method needs to know beyond its inputs; see `rain.common.task_configs`.
    inputs : list of TaskSpecInput
    outputs : list of ID
    resources : dict of str to float
        For instance ``{"cpus": 1}``.
    name : str or None
    user : dict
        The user's own JSON-serialisable values.
    function : ID or None
        For Python tasks the (hidden) constant object that holds the pickled function. It is an input like any other for
        scheduling and lifetime, but is not listed in `inputs`.
    options : TaskOptions or None
    environment : int
        Which of its session's environments (`sys.path` and current folder of the client) a Python task has: that of
        its submit. Numbered by the server, from 0.
    """

    id: ID
    task_type: str
    config: Any = None
    inputs: list[TaskSpecInput] = []
    outputs: list[ID] = []
    resources: dict[str, float] = {}
    name: str | None = None
    user: dict[str, Any] = {}
    function: ID | None = None
    options: TaskOptions | None = None
    environment: int = 0


class ObjectSpec(msgspec.Struct, array_like=True, gc=False):
    """What a data object is, as its user declared it.

    Attributes
    ----------
    id : ID
    label : str or None
    content_type : str or None
    data_type : str
        ``"blob"`` or ``"dir"`` (the values of `DataType`).
    size_hint : int or None
        Bytes expected, for the scheduler.
    user : dict
        The user's own JSON-serialisable values.
    """

    id: ID
    label: str | None = None
    content_type: str | None = None
    data_type: str = "blob"
    size_hint: int | None = None
    user: dict[str, Any] = {}


class TaskError(msgspec.Struct, array_like=True, gc=False):
    """Why an attempt failed, as a governor or the server saw it.

    Attributes
    ----------
    kind : str
        ``"exception"`` (raised by user code), ``"exit"`` (a program's wrong exit status), ``"crash"`` (the executor's
        process died), ``"timeout"``, ``"memory"``, ``"cancelled"``, ``"rain"`` (bad config, missing file and the like),
        ``"lost"`` (governor lost and the task may not run again), ``"input"`` (an input cannot be had),
        ``"resources"`` (no governor can ever hold it), ``"dependency"`` (a task that it needs failed), ``"refused"``
        (what a function returned could not be taken as the declared outputs; it is kept with the result, pickled).
    message : str
        The whole plain text for users: for Python the remote traceback, for programs the exit status or signal by
        name with the tail of stderr.
    exception : bytes or None
        The pickled exception, opaque to server and governor; the client tries to rebuild it as ``__cause__``.
    classes : list of str
        Qualified names of the exception's class and its bases, matched by `TaskOptions.retry_on`.
    cause : ID or None
        For ``"dependency"``: the task that failed first.
    signal : int
        The signal that ended the program, or the command that a function ran, if that is why; 0 if not.
    """

    kind: str
    message: str
    exception: bytes | None = None
    classes: list[str] = []
    cause: ID | None = None
    signal: int = 0


class Transfer(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """How an input came to the governor of a task.

    Attributes
    ----------
    id : ID
        The object.
    source : str
        ``host:port`` of the governor or server that it came from.
    size : int
        Bytes.
    start_time : float
        Seconds since the epoch (wall clock of the task's governor).
    duration : float
        Seconds.
    """

    id: ID
    source: str
    size: int
    start_time: float
    duration: float


class TaskInfo(msgspec.Struct, array_like=True, gc=False):
    """What is known of a task's last attempt.

    Attributes
    ----------
    error : str or None
        The failure's text.
    start_time : float or None
        Seconds since the epoch (wall clock of the governor).
    duration : float or None
        Seconds that the task's own code took.
    governor : str or None
        ``host:port`` of the governor that ran it.
    debug : str
        Lines written by ``ctx.debug``.
    user : dict
    attempts : int
    transfers : list of Transfer or None
        Those for which it waited at its governor, the longest `TRANSFERS_TOLD_MAX`; None if all inputs were there.
    """

    error: str | None = None
    start_time: float | None = None
    duration: float | None = None
    governor: str | None = None
    debug: str = ""
    user: dict[str, Any] = {}
    attempts: int = 0
    transfers: list[Transfer] | None = None

    @property
    def transfer(self) -> float | None:
        """Seconds that its longest transfer of an input took; None if all inputs were at its governor."""
        return None if self.transfers is None else max([one.duration for one in self.transfers], default=None)


class ObjectInfo(msgspec.Struct, array_like=True, gc=False):
    """What is known of a finished data object.

    Attributes
    ----------
    error : str or None
    size : int or None
        Bytes; of a directory the sum of its files.
    content_type : str or None
        The dynamic content type, where the task set one.
    debug : str
    user : dict
    encoded : bool
        Whether a task or client of its session made its bytes by encoding a value, which then may be loaded for a look.
        Other bytes are loaded only if the user asks for it: a pickle may run any program.
    """

    error: str | None = None
    size: int | None = None
    content_type: str | None = None
    debug: str = ""
    user: dict[str, Any] = {}
    encoded: bool = False
