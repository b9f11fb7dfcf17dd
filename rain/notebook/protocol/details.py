"""What the details panel shows of a task, an object or a group."""

from __future__ import annotations

from typing import Any

import msgspec

from rain.notebook.protocol.graph import Counts


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something in the session that one can go to.

    Attributes
    ----------
    key, title, state : str
    label : str
        Which input or output it is.
    """

    key: str
    title: str
    state: str
    label: str = ""


class Source(msgspec.Struct, frozen=True):
    """The text of a task's function.

    Attributes
    ----------
    text : str
    where : str
        The file or cell.
    first_line : int
        The number there of the text's first line.
    """

    text: str
    where: str
    first_line: int


class Code(msgspec.Struct, frozen=True):
    """Where a task comes from.

    Attributes
    ----------
    made : str
        The line that made it.
    stack : str
        The frames around that.
    source : Source or None
        The text of its function.
    """

    made: str
    stack: str
    source: Source | None


class Run(msgspec.Struct, frozen=True):
    """How a task ran.

    Attributes
    ----------
    start : float or None
        Seconds since the epoch.
    took : str
        Empty if it is not over.
    governor : str or None
    attempts : int
    debug : Any
    user : Any
    ended : list of str
        Of a task with several attempts a line for each.
    """

    start: float | None
    took: str
    governor: str | None
    attempts: int
    debug: Any
    user: Any
    ended: list[str] = []


class Progress(msgspec.Struct, frozen=True):
    """What a running task says of itself.

    Attributes
    ----------
    share : float or None
        How much is done, from 0 to 1.
    text : str
        The same in words, with its note.
    shows : bool
        Whether it shows something, which is asked for with `GetShown`.
    title : str
        Of what it shows.
    """

    share: float | None
    text: str
    shows: bool
    title: str


class TaskDetails(msgspec.Struct, frozen=True, tag_field="kind", tag="task"):
    """All that is known of a task.

    Attributes
    ----------
    key, id, title, state, type : str
    made : str or None
        Where in the user's code.
    stack : Any
    source : Source or None
    call : str
        How its function was called; empty if it has none.
    inputs, outputs : list of Link
    resources, options, user : Any
    info : Run or None
    cause : Link or None
        The task because of which it was not run, or was cancelled.
    error : str or None
        What happened to it; None if there is a cause.
    hints : list of str
        What to do next.
    can_cancel, can_retry : bool
    stale : bool
        Whether its function, or one before it, was edited since.
    renewed : Link or None
        The task that stands in its place since stale ones were run again.
    reused : bool
        Whether its result is that of an earlier run.
    reuse : str
        Why that was reused, or why it was computed; empty if that was not asked for.
    progress : Progress or None
        While it runs, if it says something of itself.
    """

    key: str
    id: str
    title: str
    state: str
    type: str
    made: str | None
    stack: Any
    source: Source | None
    call: str
    inputs: list[Link]
    outputs: list[Link]
    resources: Any
    options: Any
    user: Any
    info: Run | None
    cause: Link | None
    error: str | None
    hints: list[str]
    can_cancel: bool
    can_retry: bool
    stale: bool
    renewed: Link | None
    reused: bool
    reuse: str
    progress: Progress | None = None


class ObjectDetails(msgspec.Struct, frozen=True, tag_field="kind", tag="object"):
    """All that is known of an object without looking into it.

    Attributes
    ----------
    key, id, title, state : str
    kept : bool
    content_type, data_type : str or None
    size : str
        Empty if it is not known.
    digest : str or None
    holders : list of str
        Governors.
    spec_user, info_user : Any
    maker : Link or None
    users : list of Link
    can_inspect : bool
    why_not : str or None
    """

    key: str
    id: str
    title: str
    state: str
    kept: bool
    content_type: str | None
    data_type: str | None
    size: str
    digest: str | None
    holders: list[str]
    spec_user: Any
    info_user: Any
    maker: Link | None
    users: list[Link]
    can_inspect: bool
    why_not: str | None


class FailedTask(msgspec.Struct, frozen=True):
    """One of a group's failed tasks.

    Attributes
    ----------
    key, title, error : str
    """

    key: str
    title: str
    error: str


class GroupDetails(msgspec.Struct, frozen=True, tag_field="kind", tag="group"):
    """What a group adds up to.

    Attributes
    ----------
    key, title : str
    counts : dict of str to int
    objects : int
    took : str
        All its tasks together.
    failed : list of FailedTask
        The first of them.
    """

    key: str
    title: str
    counts: Counts
    objects: int
    took: str
    failed: list[FailedTask]


Details = TaskDetails | ObjectDetails | GroupDetails


class Output(msgspec.Struct, frozen=True):
    """The end of what a task wrote; of a running task what it wrote so far."""

    stdout: str
    stderr: str


class Explanation(msgspec.Struct, frozen=True):
    """Why a task has not started.

    Attributes
    ----------
    text : str
    sentence : str
        The same in short.
    """

    text: str
    sentence: str
