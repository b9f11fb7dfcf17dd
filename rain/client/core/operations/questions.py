"""What else a user asks of tasks: to be cancelled, what they wrote, why they are in their state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.core.operations.waits import not_submitted
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.requests import ask
from rain.client.core.reuse.task import at_server
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import Cancel, Explain, GetOutput, GetServerInfo, Had, Info, Output, TaskOutput

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


def cancel(core: ClientCore, mirror: SessionMirror, records: Sequence[Record] | None) -> Operation[None]:
    """Cancel tasks (of objects: those that make them; None: all of the session)."""
    ids: list[ID] | None = None
    if records is not None:
        ids = []
        for record in records:
            if record.state is None:
                raise not_submitted(mirror, record)
            task = record.task if isinstance(record, ObjectRecord) else record
            if task is None:
                raise RainException(f"{record!r} is a constant: there is no task to cancel")
            if at_server(task):
                ids.append(task.spec.id)
        if records and not ids:
            return
    yield ask(core, Cancel(0, mirror.session_id, ids))


def outputs_of(core: ClientCore, ids: list[ID], had: list[Had]) -> Operation[list[TaskOutput]]:
    """What tasks wrote, running ones until now; `had` says how much the client has already."""
    reply: Output = yield ask(core, GetOutput(0, ids, had))
    return reply.outputs


def output_of(core: ClientCore, mirror: SessionMirror, record: TaskRecord) -> Operation[tuple[str, str]]:
    """What a task wrote to stdout and stderr; of a running one, what it wrote so far."""
    if record.state is None:
        raise not_submitted(mirror, record)
    if record.reused:
        return "", ""
    (output,) = yield from outputs_of(core, [record.spec.id], [])
    return output.stdout.decode("utf-8", "replace"), output.stderr.decode("utf-8", "replace")


def server_info(core: ClientCore, brief: bool = False) -> Operation[Any]:
    """Everything about the server, or with `brief` figures only; a `ServerInfo` or `ServerBrief`."""
    return (yield ask(core, GetServerInfo(0, brief)))


def explain(core: ClientCore, record: TaskRecord) -> Operation[str]:
    """Why a task is in its state."""
    if record.state is None:
        return f"{record!r} was not submitted: call session.submit()"
    if record.reused and record.reuse is not None:
        return f"{record!r} did not run in this session. It was {record.reuse.text}"
    reply: Info = yield ask(core, Explain(0, record.spec.id))
    text: str = reply.values["text"]
    if record.reuse is not None and record.reuse.text:
        text += f"\nReuse: {record.reuse.text}"
    return text
