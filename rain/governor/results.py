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


def results_in(messages: list[Any]) -> Finished:
    """All results in messages to a server, in their order; those of members stay in columns, as the store does not hold
    what these made."""
    found = Finished([])
    for message in messages:
        if isinstance(message, Finished):
            found.results += message.results
            found.families = [*found.families, *message.families]
    return found


def only_good(message: Finished) -> TaskResult | None:
    """The only result in a message, if it is one that may become a failure."""
    found = [*message.results, *(one for family in message.families for one in results(family))]
    return found[0] if found and found[0].error is None else None
