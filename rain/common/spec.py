"""Specs (what a user declares) and infos (what governor and executor report) of tasks and data objects.

These Structs are schema, validation and documentation at once: they are what travels in messages, and what
``task.spec``, ``task.info``, ``obj.spec`` and ``obj.info`` return.

They are trees, so the cycle collector need not look at them (``gc=False``): there may be a million.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.formatting import duration_text, size_text
from rain.common.ids import ID

ATTEMPTS_TOLD_MAX = 8
"""Of one task: the last ones that ended badly before its present one."""
REASON_CHARS_MAX = 2_000
"""Of what is kept of an error's text of an earlier attempt: its beginning and its end."""


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


def runs_once(spec: TaskSpec) -> bool:
    """Whether the task's user forbade a second run."""
    return spec.options is not None and spec.options.rerun == "never"


def timeout_of(spec: TaskSpec) -> float | None:
    """Seconds that the task may run."""
    return None if spec.options is None else spec.options.timeout


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


class ProcessEnd(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How the process ended that ran an attempt.

    Attributes
    ----------
    executor : str
        Type of the executor: ``"py"``, ``"execute"`` for a program, or a name of the governor's configuration.
    process : int
        Its pid on its host; 0 if it never had one.
    status : int or None
        Its exit status; None: a signal ended it.
    signal : str
        Name of the one that ended it; empty: none did.
    sender : str
        Of the signal, as far as it is known: ``"Rain"``, ``"the kernel, for lack of memory"``, ``"another process"``;
        empty: not known.
    peak_bytes : int
        Most memory that it had at a time; 0: not known.
    oom_kills : int or None
        How many processes of its control group (or of the machine) the kernel killed for lack of memory meanwhile;
        None: not known.
    disk_left_bytes, memory_left_bytes : int or None
        What was left in the file system of its folder, and in that of objects in memory, after it had ended; None: not
        known.
    """

    executor: str
    process: int = 0
    status: int | None = None
    signal: str = ""
    sender: str = ""
    peak_bytes: int = 0
    oom_kills: int | None = None
    disk_left_bytes: int | None = None
    memory_left_bytes: int | None = None


class Attempt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One attempt of a task, as `Task.attempts` lists them.

    Attributes
    ----------
    number : int
        From 1.
    governor : str
        ``host:port`` of the governor that it was given to.
    host : str
        What that governor's host calls itself; empty: not known.
    kind : str
        Why it ended: as `TaskError.kind`, ``"left"`` if its governor left on purpose and the task was
        given to another one, ``""`` if it finished or has not ended.
    reason : str
        The error's text, with the last lines that it wrote to stderr if its process died.
    start_time : float or None
        Seconds since the epoch, by the governor's clock.
    duration : float or None
        Seconds that it ran.
    end : ProcessEnd or None
        How its process ended; None if that did not end, or is not known.

    Examples
    --------
    >>> end = ProcessEnd("py", 812, signal="SIGSEGV", peak_bytes=64 << 20)
    >>> Attempt(1, "10.0.0.1:7211", "node1", "crash", duration=0.25, end=end).line()
    'attempt 1 on node1 (10.0.0.1:7211): crash after 250 ms; process 812 (py) was killed by SIGSEGV; peak 64.0 MiB'
    """

    number: int
    governor: str
    host: str = ""
    kind: str = ""
    reason: str = ""
    start_time: float | None = None
    duration: float | None = None
    end: ProcessEnd | None = None

    def line(self) -> str:
        """The attempt in one line.

        Returns
        -------
        str
        """
        where = f"{self.host} ({self.governor})" if self.host else self.governor
        took = "" if self.duration is None else f" after {duration_text(self.duration)}"
        parts = [f"{self.kind or 'ended well'}{took}", *([] if self.end is None else _parts(self.end))]
        return f"attempt {self.number} on {where}: {'; '.join(parts)}"


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
    end : ProcessEnd or None
        How the process ended that ran the attempt, or the program; None if that did not end.
    """

    kind: str
    message: str
    exception: bytes | None = None
    classes: list[str] = []
    cause: ID | None = None
    signal: int = 0
    end: ProcessEnd | None = None


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
    host : str
        What the governor's host calls itself; only of failed tasks.
    earlier : list of Attempt
        Attempts before the last one, which ended badly, at most `ATTEMPTS_TOLD_MAX`.
    """

    error: str | None = None
    start_time: float | None = None
    duration: float | None = None
    governor: str | None = None
    debug: str = ""
    user: dict[str, Any] = {}
    attempts: int = 0
    transfers: list[Transfer] | None = None
    host: str = ""
    earlier: list[Attempt] = []

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


def _parts(end: ProcessEnd) -> list[str]:
    """What is known of a process's end."""
    process = f"process {end.process} ({end.executor})" if end.process else end.executor
    if end.signal:
        ended = f"{process} was killed by {end.signal}{f', which {end.sender} sent' if end.sender else ''}"
    else:
        ended = process if end.status is None else f"{process} exited with status {end.status}"
    parts = [ended]
    if end.peak_bytes:
        parts.append(f"peak {size_text(end.peak_bytes)}")
    if end.oom_kills:
        parts.append(f"{end.oom_kills} killed by the kernel for lack of memory")
    left = [
        f"{size_text(size)} {where}"
        for size, where in ((end.disk_left_bytes, "on disk"), (end.memory_left_bytes, "in shared memory"))
        if size is not None
    ]
    if left:
        parts.append(f"left then: {', '.join(left)}")
    return parts
