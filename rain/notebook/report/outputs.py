"""What tasks wrote, as the server and governors hold it, for the file of a report: bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rain.client.core.operations import questions
from rain.client.core.records import TaskRecord
from rain.client.handles import inside
from rain.client.operations.operation import block
from rain.common.errors import RainException
from rain.common.limits import OUTPUT_TASKS_MAX, TASK_OUTPUT_BYTES_MAX
from rain.common.protocol.messages import TaskOutput
from rain.notebook.inspectors.sanitize import CUT
from rain.notebook.protocol.details import Output

if TYPE_CHECKING:
    from rain.client.session import Session

TASK_CHARS_MAX = 8_000
"""Of each stream of a task, from its end."""
CHARS_MAX = 300_000
"""Of all tasks together; those that failed come first."""


def outputs_of(
    session: Session, records: list[TaskRecord], deadline: float, hide: Callable[[str], str]
) -> tuple[dict[str, Output], str]:
    """What these tasks wrote, by key.

    Parameters
    ----------
    session : Session
    records : list of TaskRecord
    deadline : float
        By `time.monotonic`; what server and governors have not told until then is left out.
    hide : callable
        Takes secrets out of a text, before it is cut.

    Returns
    -------
    tuple of (dict of str to Output, str)
        And a sentence about what is left out; empty if nothing is.
    """
    asked = [record for record in records if record.state is not None and not record.reused]
    asked.sort(key=lambda record: not record.failed)
    told: dict[str, Output] = {}
    room, left_out = CHARS_MAX, 0
    for start in range(0, len(asked), OUTPUT_TASKS_MAX):
        part = asked[start : start + OUTPUT_TASKS_MAX]
        try:
            found = _ask(session, part, deadline)
        except (RainException, TimeoutError) as error:
            return told, f"What {len(asked) - start} tasks wrote is left out: {error or 'the server did not answer'}."
        for output in found:
            if not output.stdout and not output.stderr:
                continue
            if room <= 0:
                left_out += 1
                continue
            one = Output(_tail(hide(_text(output.stdout)), room), _tail(hide(_text(output.stderr)), room))
            room -= len(one.stdout) + len(one.stderr)
            told[f"t{output.id[1]}"] = one
    return told, f"What {left_out} more tasks wrote is left out." if left_out else ""


def _ask(session: Session, records: list[TaskRecord], deadline: float) -> list[TaskOutput]:
    connection = inside(session).connection
    operation = questions.outputs_of(connection.core, [record.spec.id for record in records], [])
    return block(connection.drive(operation), max(0.0, deadline - time.monotonic()))


def _text(data: bytes) -> str:
    """What a task wrote; governors hold the end of it, which may begin anywhere."""
    text = data.decode("utf-8", "replace")
    return text if len(data) < TASK_OUTPUT_BYTES_MAX else CUT + text


def _tail(text: str, room: int) -> str:
    most = max(0, min(TASK_CHARS_MAX, room))
    if len(text) <= most:
        return text
    return f"{CUT} {len(text) - most} characters left out\n{text[len(text) - most :]}"
