"""One attempt of a Python task: what it shares with those of equal calls, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rain.common.errors import RainException
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    ExecutorTask,
    MemberResult,
    Node,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.common.task_configs import PyConfig, read_config
from rain.executor.python.members import Member


class Misuse(RainException):
    """What is wrong is the task, not code of the user: the text is all there is to tell."""


class Call:
    """What attempts of equal calls have in common, all but their arguments.

    Attributes
    ----------
    config : PyConfig
    inputs : dict of ID to ExecutorInput
    lent : list of str
        Paths of the inputs: what the task makes may be, or hold, links to them.
    infos : list of ObjectInfo
        Of the outputs, without a size, if what `small_pickle` gives is one; else empty.
    """

    __slots__ = ("config", "function", "id", "infos", "inputs", "lent")

    def __init__(self, spec: TaskSpec, inputs: Sequence[ExecutorInput], outputs: Sequence[ObjectSpec]) -> None:
        config = _checked(spec, outputs)
        self.id = spec.id
        self.function = spec.function
        self.config = config
        self.inputs = {value.spec.id: value for value in inputs}
        self.lent = [value.path for value in inputs if value.path is not None]
        self.infos: list[ObjectInfo] = []
        if config.encode == ["pickle"] and outputs[0].data_type == "blob":
            content_type = None if outputs[0].content_type == "pickle" else "pickle"
            self.infos = [ObjectInfo(content_type=content_type, encoded=True)]


class Attempt:
    """One attempt, as its context shows it, and what is known of it so far.

    Parameters
    ----------
    task : ExecutorTask or Member
    governor_id : str

    Attributes
    ----------
    start_time, duration : float or None
    ended : float
        When its function had returned, by `time.perf_counter`.
    debug : str
    user : dict
    told : TaskInfo or None
        What the function saw as its info, if it has looked.
    """

    # Of most attempts these are never set.
    start_time: float | None = None
    duration: float | None = None
    ended = 0.0
    debug: str = ""
    user: dict[str, Any] | None = None
    told: TaskInfo | None = None

    def __init__(self, task: ExecutorTask | Member, governor_id: str) -> None:
        self.task = task
        self.governor_id = governor_id

    @property
    def spec(self) -> TaskSpec:
        return self.task.spec

    @property
    def nodes(self) -> Sequence[Node]:
        return self.task.nodes

    @property
    def info(self) -> TaskInfo:
        if self.told is None:
            self.told = TaskInfo(start_time=self.start_time, governor=self.governor_id, attempts=self.task.attempt)
        return self.told

    def final_info(self) -> TaskInfo:
        """What its result tells."""
        return TaskInfo(
            None,
            self.start_time,
            self.duration,
            self.governor_id,
            self.debug,
            {} if self.user is None else self.user,
            self.task.attempt,
        )

    def plain(self, data: list[bytes], checksums: list[int], infos: list[ObjectInfo]) -> MemberResult:
        """The result of a member that ended plainly."""
        assert self.start_time is not None
        assert self.duration is not None
        return MemberResult(self.task.number, self.start_time, self.duration, data, checksums, infos)


class MemberAttempt(Attempt):
    """One attempt of a member of a family. The member is made when something asks for it, as few do.

    Parameters
    ----------
    family : ExecutorFamily
    place : int
        The member's.
    governor_id : str
    start_time : float
    """

    def __init__(self, family: ExecutorFamily, place: int, governor_id: str, start_time: float) -> None:
        self.family = family
        self.place = place
        self.governor_id = governor_id
        self.start_time = start_time

    @cached_property
    def task(self) -> Member:  # type: ignore[override]
        return Member(self.family, self.place)


def _checked(spec: TaskSpec, outputs: Sequence[ObjectSpec]) -> PyConfig:
    try:
        config = read_config(spec.config, PyConfig)
    except RainException as error:
        raise Misuse(str(error)) from None
    if config.encode and len(config.encode) != len(outputs):
        raise Misuse(f"the task's config encodes {len(config.encode)} outputs, but it has {len(outputs)}")
    return config
