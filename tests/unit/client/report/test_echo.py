"""What tasks print is shown: once, in order, in whole lines, bounded."""

from __future__ import annotations

from typing import Any

import pytest

from rain import RainException, Session, SessionException, TaskException, blob, tasks
from rain.client.functions import call_sites
from rain.client.report import echo
from rain.common.limits import ECHO_BYTES_PER_S, OUTPUT_TASKS_MAX
from rain.common.protocol.messages import Failed, GetOutput, Output, SessionUpdate, TaskOutput, TaskUpdate
from rain.common.spec import TaskInfo
from rain.common.states import TaskState
from tests.support.waiting import GUARD_S, until
from tests.unit.client.fake import FakeLink


class Talk:
    """What tasks have printed, as a server would tell; and what was shown of it."""

    def __init__(self, link: FakeLink) -> None:
        self.link = link
        self.written: dict[Any, tuple[int, bytes, bytes]] = {}
        self.shown: list[tuple[Any, str, str]] = []
        self.asked: list[int] = []
        self.unknown: set[Any] = set()
        self.before = 0
        answer = link._answer

        def answering(message: Any) -> None:
            if isinstance(message, GetOutput):
                self.asked.append(len(message.tasks))
                if self.unknown & set(message.tasks):
                    link.say(Failed(message.request, "rain", "task was never submitted"))
                else:
                    told = [self._told(*pair) for pair in zip(message.tasks, message.had, strict=True)]
                    link.say(Output(message.request, told))
            else:
                answer(message)

        link._answer = answering  # type: ignore[method-assign]

    def _told(self, id: Any, had: Any) -> TaskOutput:
        attempt, stdout, stderr = self.written.get(id, (0, b"", b""))
        out, err = (had.stdout, had.stderr) if had.attempt == attempt else (0, 0)
        out = max(out, self.before)
        return TaskOutput(id, attempt, stdout[out:], stderr[err:], out, err)

    def show(self, record: Any, stream: str, text: str) -> None:
        self.shown.append((record.spec.id, stream, text))

    def prints(self, task: Any, stdout: bytes = b"", stderr: bytes = b"", attempt: int = 1) -> None:
        before = self.written.get(task.id, (attempt, b"", b""))
        if before[0] != attempt:
            before = (attempt, b"", b"")
        self.written[task.id] = (attempt, before[1] + stdout, before[2] + stderr)

    def runs(self, task: Any, attempt: int = 1) -> None:
        update = TaskUpdate(task.id, TaskState.RUNNING, TaskInfo(attempts=attempt))
        self.link.say(SessionUpdate(task.id.session_id, [update], []))

    def text(self, task: Any, stream: str = "stdout") -> str:
        return "".join(text for id, name, text in self.shown if id == task.id and name == stream)


@pytest.fixture
def talk(link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> Talk:
    found = Talk(link)
    monkeypatch.setattr(echo, "sink", found.show)
    return found


def some_task(session: Session, name: str = "t") -> Any:
    task = tasks.Concat([blob("a")], name=name)
    session.submit()
    return task


def test_lines_of_a_running_task(session: Session, talk: Talk) -> None:
    session.echo = True
    assert session.echo
    task = some_task(session)
    talk.prints(task, b"first\nsec", "ä".encode()[:1])
    talk.runs(task)
    until(lambda: talk.text(task) == "first\n", "the first line")
    talk.prints(task, b"ond\nlast", "ä".encode()[1:] + b"\n")
    until(lambda: talk.text(task) == "first\nsecond\n", "the second line")
    until(lambda: talk.text(task, "stderr") == "ä\n", "a character that came in two parts")
    talk.link.finish(task)
    session.wait_all()
    assert talk.text(task) == "first\nsecond\nlast"


def test_waiting_waits_for_what_was_printed(session: Session, talk: Talk) -> None:
    session.echo = True
    for wait in (lambda task: task.wait(), lambda task: session.wait_all(), lambda task: session.wait_some([task])):
        task = some_task(session)
        talk.prints(task, b"done\n")
        talk.link.finish(task)
        wait(task)
        assert talk.text(task) == "done\n"
    count = len(talk.shown)
    session.wait_all()
    assert len(talk.shown) == count  # once


def test_failures_are_shown_with_what_was_printed(session: Session, talk: Talk) -> None:
    session.echo = True
    task = some_task(session)
    talk.prints(task, b"", b"problem\n")
    talk.link.fail(task)
    with pytest.raises(TaskException):
        session.wait_all()
    assert talk.text(task, "stderr") == "problem\n"


def test_what_was_before_is_not_shown(session: Session, talk: Talk) -> None:
    old = some_task(session)
    talk.prints(old, b"old\n")
    talk.link.finish(old)
    session.echo = True
    new = some_task(session)
    talk.prints(new, b"new\n")
    talk.link.finish(new)
    session.wait_all()
    assert [text for _, _, text in talk.shown] == ["new\n"]
    session.echo = False
    assert not session.echo
    quiet = some_task(session)
    talk.prints(quiet, b"quiet\n")
    talk.link.finish(quiet)
    session.wait_all()
    assert talk.text(quiet) == ""


def test_another_attempt_begins_anew(session: Session, talk: Talk) -> None:
    session.echo = True
    task = some_task(session)
    talk.prints(task, b"one\nhalf")
    talk.runs(task)
    until(lambda: talk.text(task) == "one\n", "the first attempt")
    talk.prints(task, b"two\n", attempt=2)
    until(lambda: talk.text(task) == "one\nhalftwo\n", "the second attempt")


def test_a_gap_is_told(session: Session, talk: Talk) -> None:
    session.echo = True
    task = some_task(session)
    talk.prints(task, b"x" * 100 + b"\nrest\n")
    talk.before = 50
    talk.link.finish(task)
    session.wait_all()
    assert talk.text(task) == "… 101 bytes left out; task.stdout() has the tail\nrest\n"


def test_too_much_is_left_out(session: Session, talk: Talk) -> None:
    session.echo = True
    made = [some_task(session) for _ in range(3)]
    for task in made:
        talk.prints(task, b"0123456789abcde\n" * (ECHO_BYTES_PER_S // 16))
        talk.link.finish(task)
    session.wait_all()
    shown = "".join(text for _, _, text in talk.shown)
    assert len(shown) < 1.5 * ECHO_BYTES_PER_S
    assert all("bytes left out; task.stdout() has the tail" in talk.text(task) for task in made[1:])


def test_many_tasks_are_asked_for_at_once(session: Session, talk: Talk) -> None:
    session.echo = True
    made = [tasks.Concat([blob("a")]) for _ in range(OUTPUT_TASKS_MAX + 20)]
    session.submit()
    news = [TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(attempts=1)) for task in made]
    talk.link.say(SessionUpdate(session.session_id, news, []))
    session.wait_all()
    assert talk.asked == [OUTPUT_TASKS_MAX, 20]


def test_one_that_the_server_knows_no_more_does_not_silence_others(session: Session, talk: Talk) -> None:
    session.echo = True
    made = [some_task(session) for _ in range(5)]
    for task in made:
        talk.prints(task, b"here\n")
    talk.unknown = {made[2].id}
    news = [TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(attempts=1)) for task in made]
    talk.link.say(SessionUpdate(session.session_id, news, []))
    session.wait_all()
    assert [talk.text(task) for task in made] == ["here\n", "here\n", "", "here\n", "here\n"]


def test_a_server_that_does_not_answer_holds_nobody_up(
    session: Session, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "ECHO_FLUSH_S", 0.05)
    session.echo = True
    talk.link.held.add(GetOutput)
    task = some_task(session)
    talk.link.finish(task)
    session.wait_all(timeout=GUARD_S)


def test_closing_shows_the_rest_and_ends_the_thread(link: FakeLink, talk: Talk) -> None:
    with link.client.new_session("closing") as session:
        session.echo = True
        task = some_task(session)
        talk.prints(task, b"a line\nso far")
        talk.runs(task)
        pump = session._inside.echo
        assert pump is not None
    assert talk.text(task) == "a line\nso far"
    pump._thread.join(GUARD_S)
    assert not pump._thread.is_alive()
    session.echo = False  # no error: it is over anyway
    with pytest.raises(SessionException):
        session.echo = True


def test_closing_the_client_shows_the_rest(link: FakeLink, talk: Talk) -> None:
    session = link.client.new_session("closing")
    with session.bind_only():
        session.echo = True
        task = some_task(session)
        talk.prints(task, b"a line\n")
        talk.link.finish(task)
        link.client.close()
    assert talk.text(task) == "a line\n"


def test_a_detached_session_has_nothing_to_show() -> None:
    with pytest.raises(RainException, match="detached"):
        Session(None, 1).echo = True


def test_a_sink_that_fails_is_asked_again(session: Session, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(*given: Any) -> None:
        calls.append(given)
        raise ValueError("no")

    monkeypatch.setattr(echo, "sink", broken)
    session.echo = True
    for count in (1, 2):
        task = some_task(session)
        talk.prints(task, b"x\n")
        talk.link.finish(task)
        session.wait_all()
        assert len(calls) == count


def test_the_terminal(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    named, nameless = tasks.Concat([blob("a")], name="train/1"), tasks.Concat([blob("a")])
    echo.to_terminal(named._record, "stdout", "a\n\nb\n")
    echo.to_terminal(nameless._record, "stderr", "part")
    shown = capsys.readouterr()
    assert shown.out == "[train/1] a\n[train/1] \n[train/1] b\n"
    assert shown.err == f"[{nameless.id}] part\n"


def test_tasks_remember_where_they_come_from(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tasks.Concat([blob("a")])._record.origin is None
    monkeypatch.setattr(call_sites, "origin", lambda: "cell 3")
    assert tasks.Concat([blob("a")])._record.origin == "cell 3"
