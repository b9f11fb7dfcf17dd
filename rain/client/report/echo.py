"""What tasks print, shown where the user is, while they run.

Theory of operation
-------------------
A session whose `echo` is on, or that has tasks which asked for it, has one thread, the pump. A `ChangeFeed` tells it
which tasks run and which have settled; at most every `ECHO_EVERY_S` it asks the server, for many tasks at once, what
they wrote behind what is known, and gives the new text to `sink`: in order per task and stream, whole lines where
possible. A task that has settled is asked once more, then done with, until it is run again.

More than `ECHO_BYTES_PER_S` is not shown; a note says how much was left out. A call that waited for
tasks to finish waits a moment longer for what they printed (`echoed`): until the pump answers, at most `ECHO_FLUSH_S`.
"""

from __future__ import annotations

import codecs
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from rain.client.core.change_feed import ChangeFeed
from rain.client.core.operations import questions
from rain.client.core.records import TaskRecord
from rain.client.handles import inside
from rain.client.operations.operation import Operation, T, block, resolve
from rain.client.terminal.script import in_script
from rain.common.errors import RainException
from rain.common.limits import (
    ECHO_BYTES_PER_S,
    ECHO_EVERY_S,
    ECHO_FLUSH_S,
    ECHO_LINE_CHARS_MAX,
    ECHO_UNASKED_TASKS_MAX,
    OUTPUT_TASKS_MAX,
)
from rain.common.protocol.messages import Had, TaskOutput
from rain.common.states import TaskState

if TYPE_CHECKING:
    from rain.client.session import Session

log = logging.getLogger("rain.client.report.echo")


def to_terminal(record: TaskRecord, stream: str, text: str) -> None:
    """Write lines to this process's stdout or stderr, each behind the task's name or id in square brackets."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    prefix = f"[{record.spec.name or record.spec.id}] "
    target.write("".join(f"{prefix}{line}\n" for line in text.removesuffix("\n").split("\n")))
    target.flush()


sink: Callable[[TaskRecord, str, str], None] = to_terminal
"""Where text goes: ``(task's record, "stdout" or "stderr", text)``, called in the pump's thread."""


class _Stream:
    """One stream of one attempt: how much of it is known, and its last line while that has not ended."""

    __slots__ = ("_decode", "had", "left_out", "line")

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.had = 0
        self.left_out = 0
        self.line = ""

    def take(self, data: bytes, before: int, room: int, last: bool) -> tuple[str, str]:
        """The text of at most `room` new bytes that can be shown now: its whole lines, and with `last` also the end.

        Returns
        -------
        (str, str)
            The text before the bytes that are left out now (added to `left_out`), and the text behind them.
        """
        gap = before - self.had
        if gap < 0:
            data, gap = data[-gap:], 0
        self.had += gap + len(data)
        if len(data) > room:
            gap += len(data) - room
            data = data[len(data) - room :]
        cut = ""
        if gap:
            whole = data.find(b"\n", 0, ECHO_LINE_CHARS_MAX) + 1
            data = data[whole:]
            self.left_out += gap + whole
            cut, self.line = self.line, ""
            self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        text = self.line + self._decode(data, last)
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if last or len(text) - end > ECHO_LINE_CHARS_MAX:
            end = len(text)
        self.line = text[end:]
        return cut, text[:end]


class _Shown:
    """What has been shown of one task."""

    __slots__ = ("attempt", "streams")

    def __init__(self, attempt: int = 0) -> None:
        self.attempt = attempt
        self.streams = {"stdout": _Stream(), "stderr": _Stream()}

    def had(self) -> Had:
        return Had(self.attempt, self.streams["stdout"].had, self.streams["stderr"].had)


class Echo:
    """Shows what a session's tasks print from now on, until it is closed or the session ends.

    Parameters
    ----------
    session : Session
    every : bool
        Whether the output of all tasks is shown, instead of only that of tasks which asked for it.
    tasks_max : int, optional
        Of how many tasks at most.

    Attributes
    ----------
    every : bool
    """

    def __init__(self, session: Session, every: bool, tasks_max: int | None = None) -> None:
        self._session = session
        self.every = every
        self._left = tasks_max
        self._gave = False
        self._late: list[tuple[TaskRecord, bool, int]] = []  # at `widen`: a task, whether it runs, its attempt
        self._condition = threading.Condition()
        self._changed = False
        self._closed = False
        self._ending = False  # whether lines are shown that have not ended, as nothing will follow
        self._flushes: list[tuple[float, bool, Future[None]]] = []
        self._running: dict[TaskRecord, _Shown] = {}
        self._settled: dict[TaskRecord, _Shown] = {}
        self._done: dict[int, int] = {}  # number of a task -> attempt
        self._last: TaskRecord | None = None
        self._budget = float(ECHO_BYTES_PER_S)
        self._budget_at = time.monotonic()
        self._silent = (0, 0)  # bytes, and pieces of them, of which even the note was left out
        self._watch = ChangeFeed(inside(session).mirror, self._notify, members=False)
        self._begin()
        self._thread = threading.Thread(target=self._run, name="rain-echo", daemon=True)
        self._thread.start()

    def _begin(self) -> None:
        for record in self._watch.take():
            if isinstance(record, TaskRecord):
                if record.settled:
                    self._done[record.spec.id.id] = _attempt(record)
                elif record.state is TaskState.RUNNING and self._wants(record):
                    self._running[record] = _Shown()

    def _wants(self, record: TaskRecord) -> bool:
        return (self.every or record.echo) and not record.reused

    # -- any thread -----------------------------------------------------------------------------

    def _notify(self) -> None:
        with self._condition:
            self._changed = True
            self._condition.notify()

    def flush(self, running: bool = False) -> Future[None]:
        """A future that is done when the output of settled tasks (with `running`, of running ones too) is shown, or
        when that takes longer than `ECHO_FLUSH_S`."""
        future: Future[None] = Future()
        with self._condition:
            if self._closed or not self._thread.is_alive():
                future.set_result(None)
            else:
                self._flushes.append((time.monotonic() + ECHO_FLUSH_S, running, future))
                self._condition.notify()
        return future

    def widen(self) -> None:
        """Show from now on what all tasks print."""
        own = inside(self._session)
        with own.connection.lock:
            records = [record for record in own.mirror.records.made() if isinstance(record, TaskRecord)]
            late = [(record, record.state is TaskState.RUNNING, _attempt(record)) for record in records]
        with self._condition:
            self._late = [(record, runs, attempt) for record, runs, attempt in late if runs or record.settled]
            self.every = self._changed = True
            self._condition.notify()

    def unlimited(self) -> bool:
        """Whether it shows what is printed, from now on of however many tasks."""
        self._left = None
        return not self._closed

    def close(self) -> None:
        """Show no more."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    # -- the pump -------------------------------------------------------------------------------

    def _run(self) -> None:
        flushes: list[tuple[float, bool, Future[None]]] = []
        try:
            while True:
                flushes = self._next()
                over = self._closed or not self._session.active
                self._round(flushes)
                for _, _, future in flushes:
                    resolve(future, None)
                if over:
                    return
        except Exception:
            log.exception("what tasks of %r print is shown no more", self._session)
        finally:
            self._watch.close()
            with self._condition:
                self._closed = True
                left, self._flushes = [*flushes, *self._flushes], []
            for _, _, future in left:
                resolve(future, None)

    def _next(self) -> list[tuple[float, bool, Future[None]]]:
        """Wait until there is something to do; gives the flushes that are asked for."""
        due = time.monotonic() + ECHO_EVERY_S
        with self._condition:
            while not self._flushes and not self._closed:
                left = due - time.monotonic()
                if not (self._changed or self._running or self._settled):
                    self._condition.wait()
                elif left > 0:
                    self._condition.wait(left)
                else:
                    break
            self._changed = False
            flushes, self._flushes = self._flushes, []
        return flushes

    def _round(self, flushes: list[tuple[float, bool, Future[None]]]) -> None:
        """Ask once for the output of all tasks that may have printed something new; settled tasks first."""
        now = time.monotonic()
        self._budget = min(ECHO_BYTES_PER_S, self._budget + (now - self._budget_at) * ECHO_BYTES_PER_S)
        self._budget_at = now
        self._look()
        wanted = list(self._settled)
        self._ending = self._closed or not self._session.active or any(running for _, running, _ in flushes)
        if not flushes or self._ending:
            wanted += self._running
        for start in range(0, len(wanted), OUTPUT_TASKS_MAX):
            if not self._ask(wanted[start : start + OUTPUT_TASKS_MAX]):
                return
            for deadline, _, future in flushes:
                if time.monotonic() > deadline:
                    resolve(future, None)
        self._tell_silent()

    def _look(self) -> None:
        """Sort the tasks that have changed into those that run and those that have settled."""
        with self._condition:
            late, self._late = self._late, []
        for task, runs, attempt in late:
            if runs and task not in self._settled:
                self._running.setdefault(task, _Shown())
            elif not runs and task not in self._running and task not in self._settled:
                self._done.setdefault(task.spec.id.id, attempt)
        for record in self._watch.take():
            if not isinstance(record, TaskRecord) or not self._wants(record):
                continue
            shown = self._running.get(record) or self._settled.get(record) or _Shown()
            if record.settled:
                self._drop(record)
                if record.info is not None and self._done.get(record.spec.id.id) != _attempt(record):
                    self._settled[record] = shown
            elif record.state is TaskState.RUNNING:
                self._drop(record)
                self._running[record] = shown
            else:
                self._drop(record)  # the task is to run once more, or is forgotten

    def _drop(self, record: TaskRecord) -> None:
        for known in (self._running, self._settled):
            if record in known:
                del known[record]

    def _ask(self, records: list[TaskRecord]) -> bool:
        """Ask for the output of these tasks and show it; False if there is no answer."""
        if not inside(self._session).connection.core.connected:
            return False
        shown = [self._settled.get(record) or self._running[record] for record in records]
        ids, had = [record.spec.id for record in records], [one.had() for one in shown]

        connection = inside(self._session).connection
        try:
            outputs = block(connection.drive(questions.outputs_of(connection.core, ids, had)), ECHO_FLUSH_S)
        except TimeoutError:
            return False
        except RainException:
            return self._ask_fewer(records)
        for record, output in zip(records, outputs, strict=True):
            self._answered(record, output)
        return True

    def _ask_fewer(self, records: list[TaskRecord]) -> bool:
        """The server refused: the session is gone, or the server no longer knows one of these tasks, which is then left
        out."""
        end = inside(self._session).mirror.ended
        if end is not None and end.word != "stopped":
            return False
        if len(records) == 1:
            self._drop(records[0])
            return True
        half = len(records) // 2
        return self._ask(records[:half]) and self._ask(records[half:])

    def _answered(self, record: TaskRecord, output: TaskOutput) -> None:
        if self._left is not None and self._left <= 0:
            return  # enough was shown unasked
        last = record in self._settled
        shown = self._settled[record] if last else self._running[record]
        if output.attempt not in (0, shown.attempt):
            if shown.attempt:
                self._show(record, shown, TaskOutput(output.id, shown.attempt, b"", b"", *_ends(shown)), True)
            shown = _Shown(output.attempt)
            (self._settled if last else self._running)[record] = shown
        if not output.attempt:
            output = TaskOutput(output.id, 0, b"", b"", *_ends(shown))
        self._show(record, shown, output, last or self._ending)
        if last:
            del self._settled[record]
            self._done[record.spec.id.id] = _attempt(record)
            self._count(record)

    def _count(self, record: TaskRecord) -> None:
        """One more task was shown; after the last of those that are shown unasked there is no more."""
        if self._left is None or self._closed:
            return
        self._left -= 1
        if self._left > 0:
            return
        if self._gave:
            text = (
                f"… what more than ECHO_UNASKED_TASKS_MAX ({ECHO_UNASKED_TASKS_MAX}) tasks print is not shown unasked"
            )
            hint = "" if inside(self._session).of_interface else ": session.echo = True shows all of it"
            text = f"{text}{hint}\n"
            self._give(record, "stderr", text)
        self.close()

    # -- showing --------------------------------------------------------------------------------

    def _show(self, record: TaskRecord, shown: _Shown, output: TaskOutput, last: bool) -> None:
        for name, data, before in (
            ("stdout", output.stdout, output.stdout_before),
            ("stderr", output.stderr, output.stderr_before),
        ):
            stream = shown.streams[name]
            room = max(0, int(self._budget))
            self._budget -= min(room, len(data))
            cut, text = stream.take(data, before, room, last)
            if cut:
                self._give(record, name, cut)
            if stream.left_out and (text or last):
                self._note(record, name, stream)
            if text:
                self._give(record, name, text)

    def _note(self, record: TaskRecord, name: str, stream: _Stream) -> None:
        """Say how much was left out; where too many tasks would say that, once for all of them."""
        left_out, stream.left_out = stream.left_out, 0
        text = f"… {left_out} bytes left out; task.{name}() has the tail\n"
        self._last = record
        if self._budget < -ECHO_BYTES_PER_S / 8:
            size, pieces = self._silent
            self._silent = (size + left_out, pieces + 1)
            return
        self._budget -= len(text)
        self._give(record, name, text)

    def _tell_silent(self) -> None:
        size, pieces = self._silent
        if pieces and self._last is not None:
            self._silent = (0, 0)
            text = f"… {size} bytes of {pieces} tasks left out; task.stdout() has the tails\n"
            self._give(self._last, "stdout", text)

    def _give(self, record: TaskRecord, name: str, text: str) -> None:
        self._gave = True
        try:
            sink(record, name, text)
        except Exception:  # of the function that shows the text
            log.exception("what task %s printed cannot be shown", record.spec.id)


def _attempt(record: TaskRecord) -> int:
    return record.info.attempts if record.info is not None else 0


def _ends(shown: _Shown) -> tuple[int, int]:
    return shown.streams["stdout"].had, shown.streams["stderr"].had


def begin_unasked(session: Session, by_interface: bool = False) -> None:
    """A submit begins: a script sees what the session's first tasks print, unless it has said whether it wants to."""
    own = inside(session)
    if own.echo_wanted is None:
        own.echo_wanted = session.client is not None and in_script(by_interface)
        if own.echo_wanted and own.echo is None:
            own.echo = Echo(session, True, ECHO_UNASKED_TASKS_MAX)


def echoed(session: Session, operation: Operation[T]) -> Operation[T]:
    """`operation`; afterwards, also if it raises, the output of settled tasks is shown."""
    try:
        result = yield from operation
    except RainException:
        yield from flushed(session)
        raise
    yield from flushed(session)
    return result


def flushed(session: Session, running: bool = False) -> Operation[None]:
    """Have the output of tasks shown, if the session echoes."""
    echo = inside(session).echo
    if echo is not None:
        try:
            yield echo.flush(running)
        except TimeoutError:
            pass  # the caller's time is over, but what the caller waited for has come
