"""Exceptions for tasks that failed: a fresh one for each access, with everything a user needs to understand it.

The text holds, in this order: the task, the error, where in client code the task was made, the `ctx.debug` log, and
what can be done next. The text of a task that failed because of another task holds that task's whole text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.client.functions import call_sites
from rain.client.handles import handle_of, inside
from rain.client.report import faulthandler_text
from rain.client.report.call_text import call_text
from rain.client.report.user_names import name_in_use
from rain.common.errors import RainException, SessionException, TaskCancelled, TaskException
from rain.common.spec import Attempt
from rain.common.states import TaskState
from rain.objects.pickling.own_classes import loads

if TYPE_CHECKING:
    from rain.client.core.records import TaskRecord
    from rain.client.session import Session
    from rain.common.spec import TaskError


def title(record: TaskRecord) -> str:
    """The task in a text: name, id, type."""
    spec = record.spec
    name = f"{spec.name!r} " if spec.name is not None else ""
    return f"Task {name}({spec.id}, {spec.task_type})"


def text_of(session: Session, record: TaskRecord) -> str:
    """All there is to say about the failure of `record`, and what to do next."""
    root = inside(session).mirror.root_of(record)
    story = _story(session, record) if root is record else _caused(record, root, text_of(session, root))
    advice = hints(session, record) if root is record else []
    return "\n".join([story, "", *advice]) if advice else story


def story_of(session: Session, record: TaskRecord) -> str:
    """`text_of` without what to do next."""
    root = inside(session).mirror.root_of(record)
    return _story(session, record) if root is record else _caused(record, root, _story(session, root))


def _caused(record: TaskRecord, root: TaskRecord, cause: str) -> str:
    head = f"{title(record)} was not run, because a task that it needs {_verb(root)}:"
    return f"{head}\n\n{cause}\n\n{title(record)} was made at {call_sites.describe(record.made)}"


def _story(session: Session, record: TaskRecord) -> str:
    error = record.error
    attempts = record.info.attempts if record.info is not None else 0
    tries = f" after {attempts} attempts" if attempts > 1 else ""
    lines = [f"{title(record)} {_verb(record)}{tries}:", "", reason(error)]
    ended = _told(record)
    lines += ["", *ended] if ended else []
    called = call_text(record, inside(session).mirror.records)
    lines += ["", f"The task was made at {call_sites.describe(record.made)}"]
    lines += [f"It was called as {called}"] if called else []
    if record.info is not None and record.info.debug:
        lines += ["", "Its debug log:", record.info.debug]
    return "\n".join(lines)


def attempts_of(record: TaskRecord) -> list[Attempt]:
    """All that is known of a task's attempts, in order."""
    info, error = record.info, record.error
    if info is None:
        return []
    if not info.attempts or info.governor is None:
        return list(info.earlier)
    if any(one.number == info.attempts for one in info.earlier):
        return list(info.earlier)  # that attempt is over, and no other has begun
    kind, reason, end = ("", "", None) if error is None else (error.kind, error.message, error.end)
    last = Attempt(info.attempts, info.governor, info.host, kind, reason, info.start_time, info.duration, end)
    return [*info.earlier, last]


def _told(record: TaskRecord) -> list[str]:
    """What a failure's text says of attempts, a line each; none where there was one whose process did not end."""
    attempts = attempts_of(record)
    if len(attempts) == 1 and attempts[0].end is None:
        return []
    return [attempt.line() for attempt in attempts]


def hints(session: Session, record: TaskRecord) -> list[str]:
    """What can be done about the failure of `record`: sentences, none if it did not fail."""
    if not record.failed:
        return []
    root = inside(session).mirror.root_of(record)
    kind = root.error.kind if root.error is not None else ""
    if kind == "rain" and root.spec.function is not None:
        kind = "exception"
    if root.state is TaskState.CANCELLED:
        kind = "cancelled"
    own = inside(session)
    if own.mirror.ended is not None:
        stopped = own.mirror.ended.word == "stopped"
        return ['To look closer, run it in a session with on_failure="continue".'] if stopped else []
    found = _of_libraries(session, root)
    look, repair = _LOOK.get(kind, _LOOK[""]), _REPAIR.get(kind, _REPAIR[""])
    if root is not record:
        look = look and f"To look closer at {title(root)}, which failed first: {look}"
    else:
        look = look and f"To look closer: {look}"
    if record.forgotten or root.forgotten:
        repair = "It was forgotten and cannot be retried: make and submit it anew."
    elif own.of_interface:
        repair = _without_session(repair)
    elif repair:
        repair = f"{repair} SESSION.forget() lets it go."
    found += [_with_names(part, session, root) for part in (look, repair) if part]
    if found and own.closing_blocks:
        found.append(
            _with_names(
                "The `with SESSION:` block closes the session when it is left: `with SESSION.bind_only():` does not.",
                session,
                root,
            )
        )
    return found


def _of_libraries(session: Session, record: TaskRecord) -> list[str]:
    if record.error is None or record.info is None or record.info.governor is None:
        return []
    connection = inside(session).connection
    return connection.libraries.advice(connection.core.libraries, record.error, record.info.governor)


def _without_session(advice: str) -> str:
    """What is left of it for users who have no variable of the session."""
    left = "; ".join(part for part in advice.removesuffix(".").split("; ") if "SESSION" not in part)
    return left and f"{left}."


def _with_names(advice: str, session: Session, record: TaskRecord) -> str:
    """`advice` with names that can be copied: variables of the user's, where there are any."""
    of_session = name_in_use(session, "session")
    found = advice.replace("SESSION", of_session)
    of_interface = inside(session).of_interface
    if "TASK" in found:
        handle = record.handle() if record.handle is not None else None
        otherwise = "error.task" if of_interface else f"{of_session}.find('{record.spec.id}')"
        name = otherwise if handle is None else name_in_use(handle, otherwise)
        found = found.replace("TASK", name)
        if of_interface and name == otherwise:
            found += " Here `error` is this TaskException."
    if "CLIENT" in found:
        otherwise = "client" if of_interface else f"{of_session}.client"
        found = found.replace("CLIENT", name_in_use(session.client, otherwise))
    return found


_OUTPUT = "TASK.stdout(), TASK.stderr()"
_LOOK = {
    "": f"{_OUTPUT}, TASK.capsule('folder').",
    "exception": f"{_OUTPUT}, TASK.capsule('folder') to run it here.",
    "refused": "TASK.fetch_refused() gets what it returned, TASK.capsule('folder') to run it here.",
    "exit": f"{_OUTPUT}, TASK.capsule('folder') to run the program here.",
    "crash": "TASK.stderr() has what it wrote last; TASK.capsule('folder') to run it here.",
    "memory": f"{_OUTPUT}.",
    "timeout": f"{_OUTPUT}, TASK.capsule('folder') to run it here.",
    "cancelled": "",
    "input": "TASK.explain().",
    "lost": "",
    "resources": "CLIENT.get_server_info() lists what the governors have.",
}
"""kind of error -> where to look; the words in capitals become what the user's code calls these."""
_AGAIN = "SESSION.retry() runs it again"
_REPAIR = {
    "": f"When the cause is removed, {_AGAIN}.",
    "exception": f"After correcting the function, {_AGAIN} as it is defined then.",
    "refused": f"After correcting the function, {_AGAIN} as it is defined then.",
    "exit": f"When the cause is removed, {_AGAIN}.",
    "crash": "Usual causes: too little memory and faults in compiled code: fewer tasks run at the same time when each "
    f"asks for resources={{'mem': bytes}} or more cpus; {_AGAIN} as it is.",
    "memory": "Make the task again with more resources={'mem': bytes}.",
    "timeout": f"Make the task again with a longer timeout=; {_AGAIN} with the same one.",
    "cancelled": "SESSION.retry([TASK]) runs it after all.",
    "input": f"{_AGAIN}, and makes lost data again where it can.",
    "lost": f"{_AGAIN}, although it has rerun='never'.",
    "resources": f"Make the task again with less, or start a governor that has it; then {_AGAIN}.",
}
"""kind of error -> how to go on."""


def failure(session: Session, record: TaskRecord, others: int = 0, not_run: int = 0) -> TaskException:
    """The exception for the failed task `record`. So many `others` failed too, and so many tasks were `not_run` because
    of a failed one; no exception will be raised for them."""
    kind = TaskCancelled if record.state is TaskState.CANCELLED else TaskException
    attempts = record.info.attempts if record.info is not None else 0
    text = text_of(session, record)
    if others:
        more = f"{others} more {_many(others)} failed"
        more += f", {not_run} {_many(not_run)} not run because of failed ones" if not_run else ""
        text = f"{text}\n\n{more}: {name_in_use(session, 'session')}.wait_all(raise_on_failure=False) lists all."
    exception = kind(text, handle_of(session, record), attempts)
    exception.__cause__ = original(inside(session).mirror.root_of(record).error)
    return exception


def ended(session: Session) -> RainException:
    """The exception for a session that cannot be used any more."""
    end = inside(session).mirror.ended
    assert end is not None
    return SessionException(end.text) if end.task is None else failure(session, end.task)


def original(error: TaskError | None) -> BaseException | None:
    """The exception that the task raised, where it can be rebuilt here."""
    if error is None or error.exception is None:
        return None
    try:
        rebuilt = loads(error.exception)
    except BaseException:  # a class that is not importable here, a __reduce__ that does not fit, one that calls exit()
        return None
    return rebuilt if isinstance(rebuilt, BaseException) else None


def _many(count: int) -> str:
    return "task" if count == 1 else "tasks"


def _verb(record: TaskRecord) -> str:
    return "was cancelled" if record.state is TaskState.CANCELLED else "failed"


def reason(error: TaskError | None) -> str:
    """The error itself, with the user's frames only."""
    if error is None or not error.message:
        return "no reason is known"
    text = error.message.rstrip("\n")
    return faulthandler_text.readable(text) if error.kind == "crash" else text
