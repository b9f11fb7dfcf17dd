"""What tasks write to stdout and stderr: kept with results; of running tasks their governors are asked.

A `GetOutput` about running tasks is a `Reading` until all governors that run them have answered or are gone, one about
tasks that are being cancelled until these have ended. Then each task is answered with the newest that is known: what
its governor read, or what came with a result (or the end of a cancelled attempt) meanwhile.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import OUTPUT_TASKS_MAX, TASK_OUTPUT_BYTES_MAX
from rain.common.protocol.messages import (
    GetOutput,
    Had,
    Output,
    OutputRead,
    ReadOutput,
    Stopped,
    TaskOutput,
    TaskResult,
)
from rain.server.core.state import State
from rain.server.records.client import Client, Reading
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_TASK, Session
from rain.server.states import CANCELLED, RUNNING

OUTPUTS_BYTES_MAX = 64 << 20
"""What a session keeps of what its tasks wrote to stdout and stderr; the oldest go first."""


def keep_output(session: Session, number: int, result: TaskResult) -> None:
    """Keep what came with a result, in the place of what an earlier attempt wrote."""
    out, err = result.written
    stdout, stderr = result.stdout, result.stderr
    before = (max(0, out - len(stdout)), max(0, err - len(stderr)))
    _keep(session, number, TaskOutput(result.id, result.attempt, stdout, stderr, *before))


def _keep(session: Session, number: int, found: TaskOutput) -> None:
    outputs = session.outputs
    old = outputs.pop(number, None)
    if old is not None:
        session.outputs_bytes -= len(old.stdout) + len(old.stderr)
    for name in ("stdout", "stderr"):
        text = getattr(found, name)
        surplus = len(text) - TASK_OUTPUT_BYTES_MAX
        if surplus > 0:
            setattr(found, name, text[surplus:])
            setattr(found, f"{name}_before", getattr(found, f"{name}_before") + surplus)
    if found.stdout or found.stderr:
        outputs[number] = found
        session.outputs_bytes += len(found.stdout) + len(found.stderr)
        while session.outputs_bytes > OUTPUTS_BYTES_MAX:
            old = outputs.pop(next(iter(outputs)))
            session.outputs_bytes -= len(old.stdout) + len(old.stderr)


def stopped(state: State, governor: Governor, message: Stopped) -> None:
    """Cancelled attempts have ended: what they wrote is kept, unless that of a newer attempt is."""
    for found in message.outputs:
        session_id, number = found.id
        session = state.graph.sessions.get(session_id)
        if session is None or session.over or number not in session.tasks:
            continue
        kept = session.outputs.get(number)
        if kept is None or kept.attempt <= found.attempt:
            found.running = False
            _keep(session, number, found)
    for id, attempt in message.tasks if state.readings else ():
        attempt_ended(state, governor.id, id, attempt)


def attempt_ended(state: State, governor_id: str, id: ID, attempt: int) -> None:
    """Questions that waited for the end of a cancelled attempt may be answered now."""
    key = (governor_id, id, attempt)
    for number in [number for number, reading in state.readings.items() if key in reading.waiting]:
        _received(state, number, key)


def get_output(state: State, client: Client, message: GetOutput) -> None:
    """Answer `GetOutput`, at once or when governors have answered."""
    refusal = _refusal(state, client, message)
    if refusal is not None:
        state.refuse(client.id, message.request, *refusal)
        return
    reading = Reading(client.id, message)
    asked: dict[Governor, list[int]] = {}
    for index, id in enumerate(message.tasks):
        task = state.graph.sessions[id[0]].tasks.get(id[1])
        if task is None:
            continue
        if task.state is RUNNING and task.governor is not None:
            asked.setdefault(task.governor, []).append(index)
        elif task.state is CANCELLED:
            attempt = (task.id, task.attempt)
            ends = [governor.id for governor in state.graph.governors.values() if attempt in governor.stopping]
            reading.waiting.update((governor_id, *attempt) for governor_id in ends)
    if not asked and not reading.waiting:
        _answer(state, reading)
        return
    state.readings_made += 1
    state.readings[state.readings_made] = reading
    for governor, indices in asked.items():
        reading.waiting.add((governor.id, None, 0))
        tasks = [state.graph.sessions[id[0]].tasks[id[1]] for id in (message.tasks[index] for index in indices)]
        had = [message.had[index] for index in indices] if message.had else []
        state.to_governor(governor, ReadOutput(state.readings_made, [(task.id, task.attempt) for task in tasks], had))


def _refusal(state: State, client: Client, message: GetOutput) -> tuple[str, str] | None:
    if len(message.tasks) > OUTPUT_TASKS_MAX:
        return f"{len(message.tasks)} tasks are over the limit OUTPUT_TASKS_MAX ({OUTPUT_TASKS_MAX})", "rain"
    if message.had and len(message.had) != len(message.tasks):
        return "what is known of outputs is not told of each task", "rain"
    for id in message.tasks:
        session = state.seen_by(client, id[0])
        if session is None:
            return f"session {id[0]} is not open", "session"
        if id[1] not in session.tasks and session.released_as(id[1]) != RELEASED_TASK:
            return f"task {id} was never submitted", "rain"
    return None


def output_read(state: State, governor: Governor, message: OutputRead) -> None:
    """A governor has answered `ReadOutput`."""
    reading = state.readings.get(message.request)
    key = (governor.id, None, 0)
    if reading is None or key not in reading.waiting:
        return
    for found in message.outputs:
        reading.found[found.id] = found
    _received(state, message.request, key)


def governor_lost(state: State, governor: Governor) -> None:
    """It answers no more."""
    for number, reading in list(state.readings.items()):
        for key in [key for key in reading.waiting if key[0] == governor.id]:
            _received(state, number, key)


def client_gone(state: State, client: Client) -> None:
    """Its questions need no answers any more."""
    state.readings = {n: reading for n, reading in state.readings.items() if reading.client_id != client.id}


def _received(state: State, number: int, key: tuple[str, ID | None, int]) -> None:
    reading = state.readings[number]
    reading.waiting.discard(key)
    if not reading.waiting:
        del state.readings[number]
        _answer(state, reading)


def _answer(state: State, reading: Reading) -> None:
    message = reading.message
    outputs = []
    for index, id in enumerate(message.tasks):
        session = state.graph.sessions.get(id[0])
        kept = None if session is None else session.outputs.get(id[1])
        found = reading.found.get(id)
        if found is None or (kept is not None and kept.attempt >= found.attempt):
            found = _rest(kept, message.had[index] if message.had else Had(), id)
        outputs.append(found)
    state.to_client(reading.client_id, Output(message.request, outputs))


def _rest(kept: TaskOutput | None, had: Had, id: ID) -> TaskOutput:
    """What is kept of a task's output, behind what is known of it."""
    if kept is None:
        return TaskOutput(id, 0)
    if kept.attempt != had.attempt:
        return kept
    out, err = max(0, had.stdout - kept.stdout_before), max(0, had.stderr - kept.stderr_before)
    return TaskOutput(
        id,
        kept.attempt,
        kept.stdout[out:],
        kept.stderr[err:],
        kept.stdout_before + min(out, len(kept.stdout)),
        kept.stderr_before + min(err, len(kept.stderr)),
    )
