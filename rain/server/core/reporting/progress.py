"""What running tasks say of themselves: the last of each is kept while it runs, and passed on to its client."""

from __future__ import annotations

from rain.common.protocol.messages import Progressed, TaskProgress
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.governor import Governor
from rain.server.records.session import Session
from rain.server.states import RUNNING, ClientState


def progressed(state: State, governor: Governor, message: Progressed) -> None:
    """A governor tells of tasks that run there."""
    for told in message.tasks:
        task = state.graph.task(told.id)
        if task is None or task.governor is not governor or task.attempt != told.attempt or task.state is not RUNNING:
            continue
        task.session.progress[task.id.id] = told
        state.progress_due[task.id] = None


def flush_progress(state: State) -> None:
    """Tell clients, at the end of a turn; one that is behind hears of it when the task says more."""
    due, state.progress_due = state.progress_due, {}
    by_client: dict[Client, list[TaskProgress]] = {}
    for id in due:
        session = state.graph.sessions.get(id.session_id)
        if session is None or session.over:
            continue
        told, client = session.progress.get(id.id), session.client
        if told is not None and client is not None and client.state is not ClientState.BEHIND:
            by_client.setdefault(client, []).append(told)
    for client, tasks in by_client.items():
        state.to_client(client.id, Progressed(tasks))


def tell_all(state: State, client: Client, session: Session) -> None:
    """Tell a client that has attached all that is known."""
    if session.progress:
        state.to_client(client.id, Progressed(list(session.progress.values())))
