"""Results of attempts: those that this governor gave up, those in messages."""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.formatting import shorten
from rain.common.ids import ID
from rain.common.protocol.families import results
from rain.common.protocol.messages import Finished, TaskResult
from rain.common.spec import TaskError, TaskInfo


def failed(id: ID, attempt: int, message: str, governor_id: str | None = None) -> TaskResult:
    """A failed attempt, of Rain's own making."""
    return failure(TaskResult(id, attempt, TaskInfo(governor=governor_id)), message)


def failure(result: TaskResult, message: str) -> TaskResult:
    """`result` as a failed one, of Rain's own making."""
    text = shorten(message)
    info = msgspec.structs.replace(result.info, error=text)
    return msgspec.structs.replace(result, info=info, outputs=[], error=TaskError("rain", text))


def results_in(messages: list[Any]) -> list[TaskResult]:
    """All results in messages to a server, in their order."""
    ended = [message for message in messages if isinstance(message, Finished)]
    return [
        result
        for message in ended
        for result in (*message.results, *(one for family in message.families for one in results(family)))
    ]


def only_good(message: Finished) -> TaskResult | None:
    """The only result in a message, if it is one that may become a failure."""
    found = results_in([message])
    return found[0] if found and found[0].error is None else None
