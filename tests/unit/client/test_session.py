"""Sessions over a link without a server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from rain import (
    Client,
    DataObject,
    DataObjectState,
    RainException,
    Session,
    SessionException,
    Task,
    TaskCancelled,
    TaskException,
    TaskState,
    blob,
    directory,
    remote,
    tasks,
)
from rain.client.core import events as ev
from rain.client.operations import requests
from rain.common.errors import RainWarning
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.encoding import encode
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.protocol.messages import (
    Attach,
    Attached,
    Cancel,
    CloseSession,
    Done,
    ExpectGovernors,
    Explain,
    Failed,
    GetOutput,
    GetServerInfo,
    GovernorCount,
    Info,
    Keep,
    Locate,
    Located,
    NewSession,
    ObjectData,
    ObjectUpdate,
    Output,
    Retry,
    SessionOpened,
    SessionUpdate,
    Submit,
    TaskOutput,
    TaskUpdate,
    Unkeep,
    Update,
    Updated,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec, TaskSpecInput
from tests.support.waiting import GUARD_S, until
from tests.unit.client.fake import FakeLink


@remote()
def same(ctx: Any, x: Any = None) -> Any:
    return x


def later(*actions: Callable[[], Any]) -> threading.Thread:
    """Run these in another thread, as the link would."""
    thread = threading.Thread(target=lambda: [action() for action in actions])
    thread.start()
    return thread


# -- submit ---------------------------------------------------------------------------------------


def test_submit_sends_what_is_new(link: FakeLink, session: Session) -> None:
    a = blob("a")
    a.keep()
    task = same(a, name="first")
    task.keep_outputs()
    session.submit()
    (sent,) = link.of(Submit)
    assert [spec.name for spec in sent.tasks] == ["first"]
    assert [spec.id for spec in sent.objects] == [a.id, task.spec.function, task.output.id]
    assert [item.id for item in sent.constants] == [a.id, task.spec.function]
    assert sent.constants[0].location.data == b"a"
    assert sent.keep == [a.id, task.output.id]
    assert (task.state, task.output.state, a.state) == (
        TaskState.WAITING,
        DataObjectState.UNFINISHED,
        DataObjectState.FINISHED,
    )
    assert (session.task_count, session.dataobj_count) == (0, 0)
    session.submit()
    assert len(link.of(Submit)) == 1
    same(a)
    session.submit()
    assert len(link.of(Submit)) == 2
    assert len(link.of(Submit)[1].constants) == 0


def test_a_large_submit_comes_in_pieces(link: FakeLink, session: Session) -> None:
    made = [same("x" * 1000) for _ in range(3000)]
    session.submit()
    pieces = link.of(Submit)
    assert len(pieces) > 2
    assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len({piece.request for piece in pieces}) == 1
    assert [spec.id for piece in pieces for spec in specs_of(piece)] == [task.id for task in made]


def specs_of(sent: Submit) -> list[TaskSpec]:
    """All tasks of a submit, in the order of making."""
    specs = list(sent.tasks)
    for family in reversed(sent.families):
        specs[family.after : family.after] = [
            member_spec(family.spec, place, args) for place, args in enumerate(family.args)
        ]
    return specs


def test_equal_calls_are_sent_as_families(link: FakeLink, session: Session) -> None:
    made = [same(number) for number in range(3)]
    made += [same("alone", name="other"), same("again")]
    kept = [same(number) for number in range(2)]
    for task in kept:
        task.keep_outputs()
    made += [*kept, same(blob(b"x")), same(7), same(8)]
    specs = [task.spec for task in made]
    session.submit()
    (sent,) = link.of(Submit)
    assert [len(family.args) for family in sent.families] == [3, 2, 2]
    assert [family.kept for family in sent.families] == [[], [0], []]
    assert [family.outputs[0].id for family in sent.families] == [made[i].output.id for i in (0, 5, 8)]
    assert [family.after for family in sent.families] == [0, 2, 3]
    assert encode(specs_of(sent)) == encode(specs)
    outputs = {spec.id for spec in sent.objects}
    assert made[3].output.id in outputs
    assert made[0].output.id not in outputs
    assert sent.keep == []


def test_large_constants_are_left_as_files(tmp_path: Path) -> None:
    link = FakeLink(str(tmp_path))
    with link.client.new_session() as session:
        blob(b"x" * (INLINE_BYTES_MAX + 1))
        small = blob(b"y" * INLINE_BYTES_MAX)
        session.submit()
        large, inline = link.of(Submit)[0].constants
        upload = large.location
        assert upload.size == INLINE_BYTES_MAX + 1
        assert (tmp_path / upload.name).read_bytes() == b"x" * (INLINE_BYTES_MAX + 1)
        assert upload.checksum is not None
        assert (inline.id, inline.location) == (small.id, Inline(b"y" * INLINE_BYTES_MAX))
    gc.collect()
    assert (tmp_path / upload.name).exists()  # it is the server's


def test_many_small_constants_do_not_fill_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.client.core.operations.submits.INLINE_TOTAL_BYTES", 100_000)
    link = FakeLink(str(tmp_path))
    with link.client.new_session() as session:
        for _ in range(40):
            blob(os.urandom(5000))
        session.submit()
        constants = [item for piece in link.of(Submit) for item in piece.constants]
        assert sum(item.location.size for item in constants if isinstance(item.location, Inline)) <= 100_000


def test_a_refused_submit_is_given_up(link: FakeLink, session: Session) -> None:
    link.refusals[Submit] = "no such executor"
    task = same(1)
    with pytest.raises(RainException, match="no such executor"):
        session.submit()
    assert task.state is None
    with pytest.raises(RainException, match="not taken by the server: no such executor"):
        task.wait()
    again = same(1)
    session.submit()
    assert again.state is TaskState.WAITING
    assert again.spec.function in [item.id for item in link.of(Submit)[-1].constants]
    link.finish(again)
    assert session.wait_all() == []


def test_later_submits_use_what_is_kept_or_constant(link: FakeLink, session: Session) -> None:
    a = blob("a")
    kept, dropped = same(a), same(a)
    kept.keep_outputs()
    session.submit()
    same(kept)
    same(a)
    session.submit()
    same(dropped)
    with pytest.raises(RainException, match=r"not kept, so its data may be gone; keep\(\)"):
        session.submit()
    assert session.task_count == 0
    session.submit()


def test_objects_that_nobody_makes(session: Session) -> None:
    same(DataObject("orphan"))
    with pytest.raises(RainException, match="nothing makes"):
        session.submit()


def test_tasks_are_sorted_when_outputs_were_made_before_their_tasks(link: FakeLink, session: Session) -> None:
    middle = DataObject("middle")
    last = Task([middle], ["last"], task_type="a/b")
    first = Task([blob("a")], [middle], task_type="a/b")
    session.submit()
    assert [spec.id for spec in link.of(Submit)[0].tasks] == [first.id, last.id]


def test_circles_are_refused(session: Session) -> None:
    one, two = DataObject("one"), DataObject("two")
    Task([one], [two], task_type="a/b", name="first")
    Task([two], [one], task_type="a/b", name="second")
    with pytest.raises(RainException, match=r"circle: .*first.* needs .*second.* needs .*first"):
        session.submit()


def test_user_attributes_are_checked_at_submit_too(session: Session) -> None:
    task = same(1)
    task.spec.user["bad"] = object()
    with pytest.raises(RainException, match=r"\['bad'\] is object"):
        session.submit()


def test_a_detached_session_runs_nothing(detached: Session) -> None:
    same(1)
    with pytest.raises(RainException, match="detached"):
        detached.submit()
    with pytest.raises(RainException, match="detached"):
        detached.cancel()
    detached.close()
    assert not detached.active


# -- waiting --------------------------------------------------------------------------------------


def test_waiting_for_what_was_not_submitted(session: Session) -> None:
    task = same(1)
    for wait in (task.wait, task.output.wait, task.update, task.stdout, task.cancel, lambda: session.wait_some([task])):
        with pytest.raises(RainException, match=r"not submitted: call session.submit\(\)"):
            wait()
    with pytest.raises(RainException, match="not submitted"):
        session.as_completed([task])
    for wrong in (7, ["a"], [None]):
        with pytest.raises(RainException, match="expected"):
            session.wait(wrong)  # type: ignore[arg-type]


def test_waiting_returns_when_all_are_finished(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()
    thread = later(lambda: link.finish(one), lambda: link.finish(two))
    session.wait([one, two.output], timeout=GUARD_S)
    thread.join()
    assert one.state is TaskState.FINISHED
    session.wait([])
    session.wait(one)


def test_timeouts(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()
    link.finish(one)
    with pytest.raises(TimeoutError, match="1 of 2 items are not finished"):
        session.wait([one, two], timeout=0.01)
    with pytest.raises(TimeoutError, match="1 of 2 tasks are not finished"):
        session.wait_all(timeout=0)
    with pytest.raises(TimeoutError, match="none of 1"):
        session.wait_some([two], timeout=0.01)
    with pytest.raises(TimeoutError):
        two.output.wait(timeout=0)
    for wrong in (-1, "1", True, float("nan")):
        with pytest.raises(RainException, match="timeout"):
            one.wait(timeout=wrong)  # type: ignore[arg-type]
    link.finish(two)
    assert session.wait_all(timeout=1) == []
    assert not session._inside.mirror.gates


def test_wait_some(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()
    thread = later(lambda: link.finish(two))
    assert session.wait_some([one, two, two.output], timeout=GUARD_S) == ([two], [two.output])
    thread.join()
    assert session.wait_some([]) == ([], [])


def test_as_completed(link: FakeLink, session: Session) -> None:
    one, two, three = same(1), same(2), same(3)
    session.submit()
    link.finish(two)
    iterator = session.as_completed([one, two, three.output, one.output])
    assert next(iterator) is two
    thread = later(lambda: link.fail(three), lambda: link.finish(one))
    assert list(iterator) == [three.output, one, one.output]
    thread.join()
    assert not session._inside.mirror.gates


def test_as_completed_asynchronously(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()

    async def main() -> list[Any]:
        asyncio.get_running_loop().call_soon(lambda: later(lambda: link.finish(two), lambda: link.finish(one)))
        return [item async for item in session.as_completed([one, two])]

    assert asyncio.run(main()) == [two, one]


def test_awaiting(link: FakeLink, session: Session) -> None:
    async def main() -> None:
        task = same(1)
        await session.submit_async()
        asyncio.get_running_loop().call_soon(lambda: later(lambda: link.finish(task)))
        assert await task is task
        assert await task.output == task.output
        await session.wait_all_async()
        with pytest.raises(TimeoutError):
            other = same(2)
            await session.submit_async()
            await session.wait_async([other], timeout=0.01)
        with pytest.raises(asyncio.CancelledError):
            waiting = asyncio.ensure_future(session.wait_all_async())
            await asyncio.sleep(0)
            waiting.cancel()
            await waiting
        assert not session._inside.mirror.gates

    asyncio.run(main())


def test_ctrl_c_interrupts_and_leaves_the_session_usable(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()

    def interrupt() -> None:
        until(lambda: session._inside.mirror.gates, "the task is waited for")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        task.wait(timeout=GUARD_S)
    assert not session._inside.mirror.gates
    link.finish(task)
    task.wait()


def test_progress(link: FakeLink, session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    task = same(1)
    session.submit()
    link.finish(task)
    assert session.wait_all(progress=True) == []
    assert "1/1" in capsys.readouterr().err
    other = same(2)
    session.submit()
    with pytest.raises(TimeoutError):
        session.wait_all(progress=True, timeout=0.01)
    assert other.state is TaskState.WAITING


# -- failures -------------------------------------------------------------------------------------


def test_the_text_of_a_failure(link: FakeLink, session: Session) -> None:
    task = same(1, name="job")  # made here
    session.submit()
    link.fail(task, TaskError("exception", "Traceback …\nValueError: wrong"), debug="line one\nline two")
    with pytest.raises(TaskException) as caught:
        task.wait()
    text = str(caught.value)
    places = [text.index(part) for part in ("'job'", "ValueError: wrong", "test_session.py", "line one\nline two")]
    assert places == sorted(places)
    assert str(task.id) in text
    assert "py/" in text
    assert caught.value.task is task
    assert caught.value.attempts == 1
    line = int(text.split('test_session.py", line ')[1].split()[0])
    assert "made here" in Path(__file__).read_text().splitlines()[line - 1]
    assert task.info is not None
    assert task.info.error is not None
    assert "ValueError" in task.info.error
    assert task.output.info is not None
    assert "ValueError" in (task.output.info.error or "")


def test_each_access_raises_a_fresh_copy_with_the_original_as_cause(link: FakeLink, session: Session) -> None:
    import pickle

    task = same(1)
    task.keep_outputs()
    session.submit()
    link.fail(task, TaskError("exception", "x", pickle.dumps(ValueError("wrong", 7))))
    seen = []
    for access in (session.wait_all, task.wait, task.output.wait, task.output.fetch, lambda: session.wait_some([task])):
        with pytest.raises(TaskException) as caught:
            access()
        seen.append(caught.value)
        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.__cause__.args == ("wrong", 7)
    assert len({id(error) for error in seen}) == len(seen)
    assert len({id(error.__cause__) for error in seen}) == len(seen)


def test_an_exception_that_cannot_be_rebuilt(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    link.fail(task, TaskError("exception", "x", b"garbage"))
    with pytest.raises(TaskException) as caught:
        task.wait()
    assert caught.value.__cause__ is None


def test_a_dependent_carries_its_causes_text(link: FakeLink, session: Session) -> None:
    first = same(1, name="first")
    second = same(first, name="second")
    third = same(second, name="third")
    session.submit()
    link.fail(first, TaskError("exception", "ValueError: wrong"), debug="log")
    link.fail(second, TaskError("dependency", "its input failed", cause=first.id))
    link.fail(third, TaskError("dependency", "its input failed", cause=second.id))
    with pytest.raises(TaskException, match=r"^Task 'first'") as caught:
        session.wait_all()
    with pytest.raises(TaskException) as of_first:
        first.wait()
    assert str(caught.value) == str(of_first.value)
    with pytest.raises(TaskException) as caught:
        third.wait()
    text = str(caught.value)
    assert str(of_first.value) in text
    assert text.startswith(f"Task 'third' ({third.id}, py/)")
    assert caught.value.task is third
    assert session.wait_all(raise_on_failure=False) == [first, second, third]


def test_one_failure_ends_waiting_at_once(link: FakeLink, session: Session) -> None:
    bad, slow = same(1), same(2)
    session.submit()
    thread = later(lambda: link.fail(bad))
    with pytest.raises(TaskException):
        session.wait_all(timeout=GUARD_S)
    with pytest.raises(TaskException):
        session.wait([slow, bad], timeout=GUARD_S)
    thread.join()
    assert session.active
    with pytest.raises(TimeoutError):
        session.wait_all(raise_on_failure=False, timeout=0.01)
    thread = later(lambda: link.finish(slow))
    assert session.wait_all(raise_on_failure=False, timeout=GUARD_S) == [bad]
    thread.join()
    session.update([bad, slow])
    session.unkeep(bad.output)


def test_cancelled_tasks(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    link.held.add(Cancel)
    thread = later(lambda: None)
    thread.join()
    link.held.discard(Cancel)

    def cancelled() -> None:
        link.fail(task, TaskError("cancelled", "it was cancelled"), TaskState.CANCELLED)

    cancelled()
    with pytest.raises(TaskCancelled, match="was cancelled"):
        task.wait()
    with pytest.warns(
        RainWarning, match=r"1 task of session 'test' did not finish \(1 cancelled\): session.retry\(\[task\]\)"
    ):
        assert session.wait_all() == [task]
    assert session.wait_all(raise_on_failure=False) == [task]


def test_a_failure_that_was_told_is_not_told_again(link: FakeLink, session: Session) -> None:
    first, second, third, good = same(1), same(2), same(3), same(4)
    after = same(second)
    session.submit()
    link.fail(first)
    with pytest.raises(TaskException):
        session.wait_all()
    link.fail(second)
    with pytest.raises(TaskException):
        second.wait()
    link.fail(after, TaskError("dependency", "its input failed", cause=second.id))  # of what was told
    thread = later(lambda: link.fail(third))
    with pytest.raises(TaskException) as caught:  # nobody was told of this one
        session.wait_all(timeout=GUARD_S)
    assert caught.value.task is third
    thread.join()
    thread = later(lambda: link.finish(good))
    with pytest.warns(RainWarning, match=r"^4 tasks of session 'test' .*retry\(\).*forget\(\).*") as told:
        assert session.wait_all(timeout=GUARD_S) == [first, second, after, third]
    assert [warning.filename for warning in told] == [__file__]
    thread.join()
    with pytest.raises(TaskException):  # single items raise each time
        first.wait()
    assert repr(session) == "<Session 1 'test' open, 1/5 tasks finished, 3 failed, 1 not run>"


def test_failures_that_are_known_together_are_told_together(link: FakeLink, session: Session) -> None:
    one, two, three = same(1), same(2), same(3)
    after = same(two)
    session.submit()
    for task in (one, two, three):
        link.fail(task)
    link.fail(after, TaskError("dependency", "its input failed", cause=two.id))
    with pytest.raises(
        TaskException,
        match=r"(?s)\n\n2 more tasks failed, 1 task not run because of failed ones: session\.wait_all\(raise_on_fail",
    ):
        session.wait_all()
    with pytest.warns(RainWarning, match=r"4 tasks of session 'test' did not finish \(3 failed, 1 not run\)"):
        session.wait_all()


def test_nothing_is_shown_of_no_failures(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    link.finish(task)
    found = session.wait_all()
    assert found == []
    assert DisplayFormatter().format(found) == ({}, {}), "no [] below the cell"
    bad = same(2)
    session.submit()
    link.fail(bad)
    found = session.wait_all(raise_on_failure=False)
    assert found == [bad]
    assert DisplayFormatter().format(found)[0]["text/plain"] == f"[{bad!r}]"


def test_culprits_and_victims_are_told_apart(link: FakeLink, session: Session) -> None:
    bad, good = same(1), same(2)
    after = same(bad)
    last = same(after)
    session.submit()
    link.fail(bad)
    for victim in (after, last):
        link.fail(victim, TaskError("dependency", "its input failed", cause=bad.id))
    link.fail(good, TaskError("cancelled", "it was cancelled"), TaskState.CANCELLED)
    assert {task.state for task in (bad, after, last)} == {TaskState.FAILED}, "the public state stays what it was"
    assert [repr(task).split("py/ ")[1] for task in (bad, after, last, good)] == [
        "failed>", "not run>", "not run>", "cancelled>",
    ]  # fmt: skip
    assert all(repr(task.output).endswith(" not made>") for task in (bad, after, last, good))
    assert repr(session) == "<Session 1 'test' open, 0/4 tasks finished, 1 failed, 2 not run, 1 cancelled>"


def test_a_list_of_failures_tells_them(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    link.fail(task, TaskError("cancelled", "it was cancelled"), TaskState.CANCELLED)
    assert session.wait_all(raise_on_failure=False) == [task]
    with pytest.warns(RainWarning, match="1 task"):
        assert session.wait_all() == [task]
    assert repr(session) == "<Session 1 'test' open, 0/1 tasks finished, 1 cancelled>"
    link.forget(task)
    assert session.wait_all() == []
    assert repr(session) == "<Session 1 'test' open, 0/1 tasks finished, 1 failed and forgotten>"


def test_what_fails_after_a_retry_is_told_again(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    for _ in range(2):
        link.fail(task)
        with pytest.raises(TaskException):
            session.wait_all()
        link.move(task, TaskState.WAITING)
        assert session._inside.mirror.counts() == "0/1 tasks finished"


def test_cancel_names_tasks(link: FakeLink, session: Session) -> None:
    one, two, a = same(1), same(2), blob("a")
    session.submit()
    for items, expected in (([one, two.output], [one.id, two.id]), (None, None), (one, [one.id])):
        thread = later(lambda: link.answer(Cancel, Done) if link.of(Cancel) else None)
        thread.join()
        link.held.add(Cancel)
        with pytest.raises(TimeoutError):
            session.cancel(items, timeout=0)
        assert link.of(Cancel)[-1].tasks == expected
    with pytest.raises(RainException, match="constant"):
        session.cancel([a])


def test_a_session_that_stops_at_the_first_failure(link: FakeLink) -> None:
    session = link.client.new_session("strict", on_failure="stop")
    assert link.of(NewSession)[-1].on_failure == "stop"
    with session.bind_only():
        task, other = same(1, name="bad"), same(2)
        session.submit()
        thread = later(lambda: link.stop(session, task))
        with pytest.raises(TaskException, match="'bad'"):
            session.wait_all(timeout=GUARD_S)
        thread.join()
        accesses: list[Callable[[], Any]] = [
            lambda: other.wait(),
            lambda: session.update([other]),
            lambda: session.unkeep([other.output]),
            session.submit,
            lambda: blob("a"),
            lambda: same(1),
            session.wait_all,
        ]
        errors = []
        for access in accesses:
            with pytest.raises(TaskException, match="ValueError: wrong") as caught:
                access()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == len(errors)
    assert not session.active
    session.close()
    assert len(link.of(CloseSession)) == 1
    with pytest.raises(SessionException, match="closed"):
        session.submit()


# -- data -----------------------------------------------------------------------------------------


def test_fetch(link: FakeLink, session: Session) -> None:
    task = same(1)
    task.keep_outputs()
    session.submit()
    thread = later(lambda: link.finish(task, b"value"))
    instance = task.output.fetch(timeout=GUARD_S)
    thread.join()
    assert (instance.get_bytes(), instance.size) == (b"value", 5)
    assert [item.get_bytes() for item in task.fetch_outputs()] == [b"value"]
    assert session.fetch(task).get_bytes() == b"value"
    assert [item.get_bytes() for item in session.fetch([task, task.output])] == [b"value"] * 2
    assert session.fetch([]) == []


def test_fetching_what_is_not_kept_says_what_to_do(session: Session) -> None:
    task = same(1)
    with pytest.raises(RainException, match="not submitted"):
        task.output.fetch()
    session.submit()
    with pytest.raises(RainException, match=r"not kept: call its keep\(\)"):
        task.output.fetch()


def test_fetching_constants_asks_nobody(link: FakeLink, session: Session, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello")
    a, folder = blob([1], encode="json"), directory(tmp_path)
    session.keep_all()
    session.submit()
    count = len(link.sent)
    assert a.fetch().load() == [1]
    folder.fetch().write(tmp_path / "copy")
    assert (tmp_path / "copy" / "a").read_text() == "hello"
    assert len(link.sent) == count


def test_keeping_later(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    link.finish(task)
    task.output.keep()
    assert link.of(Keep)[-1].objects == [task.output.id]
    assert task.output.is_kept()
    link.held.add(Locate)

    with pytest.raises(TimeoutError):
        task.output.fetch(timeout=0)
    data = ObjectData(task.output.spec, ObjectInfo(size=1), Inline(b"x"))
    link.reactions[Locate] = lambda request: link.say(Located(request, [data]))
    assert task.output.fetch(timeout=GUARD_S).get_bytes() == b"x"


def test_keeping_what_is_gone(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()
    link.finish(one)
    link.refusals[Keep] = "its data are gone"
    with pytest.raises(RainException, match="gone"):
        one.output.keep()
    assert not one.output.is_kept()
    link.say(SessionUpdate(session.session_id, [], [ObjectUpdate(two.output.id, DataObjectState.REMOVED)]))
    with pytest.raises(RainException, match="removed"):
        two.keep_outputs()


def test_what_is_gone_keeps_nothing_else_from_being_kept(link: FakeLink, session: Session) -> None:
    one, two = same(1), same(2)
    session.submit()
    link.finish(one)
    link.say(SessionUpdate(session.session_id, [], [ObjectUpdate(two.output.id, DataObjectState.REMOVED)]))
    with pytest.raises(RainException, match="cannot be kept any more"):
        session.keep([one.output, two.output])
    assert not one.output.is_kept()
    one.output.keep()
    assert [message.objects for message in link.of(Keep)] == [[one.output.id]]


def test_unkeep(link: FakeLink, session: Session) -> None:
    task = same(1)
    task.keep_outputs()
    session.submit()
    link.finish(task, b"x")
    task.unkeep_outputs()
    assert link.of(Unkeep)[-1].objects == [task.output.id]
    with pytest.raises(RainException, match="not kept"):
        task.output.fetch()
    session.unkeep(task.output)
    assert len(link.of(Unkeep)) == 1


def test_keep_all(link: FakeLink, session: Session) -> None:
    one, gone, done = same(1), same(2), same(3)
    session.submit()
    link.finish(done)
    link.say(SessionUpdate(session.session_id, [], [ObjectUpdate(gone.output.id, DataObjectState.REMOVED)]))
    new = same(4)
    session.keep_all()
    assert one.output.is_kept()
    assert done.output.is_kept()
    assert new.output.is_kept()
    assert not gone.output.is_kept()
    assert set(link.of(Keep)[-1].objects) == {one.output.id, done.output.id}


def test_the_last_handle_of_a_kept_object_releases_it(link: FakeLink, session: Session) -> None:
    kept, held = same(1), same(2)
    kept.keep_outputs()
    held.keep_outputs()
    session.submit()
    released = kept.output.id
    del kept
    gc.collect()
    assert not link.of(Unkeep)  # never from inside a finalizer
    link.happens(ev.Tick())
    assert [message.objects for message in link.of(Unkeep)] == [[released]]
    output = held.output
    del held
    gc.collect()
    link.happens(ev.Tick())
    assert len(link.of(Unkeep)) == 1
    assert output.is_kept()


def test_a_handle_that_was_made_anew_saves_its_object(link: FakeLink, session: Session) -> None:
    task = same(1)
    task.keep_outputs()
    session.submit()
    number = task.output.id
    del task
    gc.collect()
    again = next(obj for obj in session.objects if obj.id == number)
    link.happens(ev.Tick())
    assert not link.of(Unkeep)
    assert again.is_kept()


def test_inputs_of_waiting_tasks_are_not_released(link: FakeLink, session: Session) -> None:
    first = same(1)
    first.keep_outputs()
    session.submit()
    same(first.output)
    del first
    gc.collect()
    link.happens(ev.Tick())
    assert not link.of(Unkeep)
    session.submit()
    link.happens(ev.Tick())
    assert len(link.of(Unkeep)) == 1


def test_persistent_sessions_release_nothing(link: FakeLink) -> None:
    session = link.client.new_session("p", persistent=True)
    with session.bind_only():
        task = same(1)
        task.keep_outputs()
        session.submit()
        del task
        gc.collect()
        link.happens(ev.Tick())
    assert not link.of(Unkeep)
    assert session.persistent


def test_run(link: FakeLink, session: Session) -> None:
    def finished(request: int, *tasks: tuple[Any, ...]) -> None:
        link.say(Done(request))
        for task, *values in tasks:
            link.finish(task, *values)

    one, two = same(1), Task([], ["a", "b"], task_type="x/y")
    link.reactions[Submit] = lambda request: finished(request, (one, b"1"), (two, b"2", b"3"))
    assert session.run(one, two, blob("4"), timeout=GUARD_S) == [b"1", [b"2", b"3"], "4"]
    assert session.run(one) == b"1"
    none = Task([], 0, task_type="x/y")
    link.reactions[Submit] = lambda request: finished(request, (none,))
    assert session.run(none, timeout=GUARD_S) is None


def test_run_tells_why_a_submit_was_refused(link: FakeLink, session: Session) -> None:
    link.refusals[Submit] = "too much"
    with pytest.raises(RainException, match="too much"):
        session.run(same(1), timeout=GUARD_S)


# -- other requests -------------------------------------------------------------------------------


def test_update_is_folded_in_order(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    state = TaskUpdate(task.id, TaskState.RUNNING, TaskInfo(governor="g:1", attempts=1))
    link.reactions[Update] = lambda request: link.say(Updated(request, [state], []))
    task.update(timeout=GUARD_S)
    assert task.state is TaskState.RUNNING
    assert task.info is not None
    assert task.info.governor == "g:1"
    assert link.of(Update)[-1].items == [task.id]


def test_output_and_explanation(link: FakeLink, session: Session) -> None:
    task = same(1)
    assert "not submitted" in task.explain()
    session.submit()
    written = TaskOutput(task.id, 1, "ä".encode(), b"\xff")
    link.reactions[GetOutput] = lambda request: link.say(Output(request, [written]))
    assert task.stdout(timeout=GUARD_S) == "ä"
    link.reactions[Explain] = lambda request: link.say(Info(request, {"text": "it waits"}))
    assert task.explain(timeout=GUARD_S) == "it waits"


def test_retry(link: FakeLink, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = changing(1), same(2)
    after = same(bad)
    session.submit()
    link.finish(good)
    with pytest.raises(RainException, match="did not fail"):
        session.retry([good])
    session.retry()
    assert not link.of(Retry)
    link.fail(bad)
    link.fail(after, TaskError("dependency", "x", cause=bad.id))
    monkeypatch.setitem(globals(), "changing", remote()(renewed.function))
    renewed.function.__qualname__ = "changing"
    link.held.add(Retry)
    link.held.add(Update)

    def server() -> None:
        until(lambda: link.of(Retry), "the request")
        link.answer(Retry, Done)
        until(lambda: link.of(Update), "the barrier")
        states = [TaskUpdate(task.id, TaskState.WAITING) for task in (bad, after)]
        link.answer(Update, lambda request: Updated(request, states, []))

    thread = later(server)
    session.retry([bad], timeout=GUARD_S)
    thread.join()
    (message,) = link.of(Retry)
    assert message.tasks == [bad.id]
    ((task, function),) = message.functions
    assert (task, function) == (bad.id, message.constants[0].id)
    assert bad.spec.function == function
    assert after.spec.function != function
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0)
    assert session.task_count == session.dataobj_count == 0


def test_ctrl_c_while_retrying_sends_the_function_all_the_same(
    link: FakeLink, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = changing(1)
    session.submit()
    link.fail(bad)
    monkeypatch.setitem(globals(), "changing", remote()(renewed.function))
    renewed.function.__qualname__ = "changing"
    mirror = session._inside.mirror
    submitting = type(mirror).submitting
    locked: list[bool] = []

    def interrupted(self: Any, records: Any) -> None:
        submitting(self, records)
        signal.raise_signal(signal.SIGINT)

    send = link.send

    def seen(messages: Any) -> None:
        messages = list(messages)
        if any(type(message) is Retry for message in messages):
            locked.append(session._inside.connection.lock._is_owned())  # type: ignore[attr-defined]
        send(messages)

    monkeypatch.setattr(type(mirror), "submitting", interrupted)
    monkeypatch.setattr(link, "send", seen)
    with pytest.raises(KeyboardInterrupt):
        session.retry([bad])
    ((_, function),) = link.of(Retry)[0].functions
    assert function == link.of(Retry)[0].constants[0].id
    assert locked == [True], "no submit comes between that uses the function"


@remote()
def changing(ctx: Any, x: Any) -> Any:
    raise ValueError(x)


@remote()
def renewed(ctx: Any, x: Any) -> Any:
    return x


def test_attach(link: FakeLink) -> None:
    function = ObjectSpec(ID(7, 1), "f")
    constant = ObjectSpec(ID(7, 2), "const")
    spec = TaskSpec(ID(7, 3), "py/", None, [TaskSpecInput(ID(7, 2), "x")], [ID(7, 4)], name="job", function=ID(7, 1))
    output = ObjectSpec(ID(7, 4), "out0")
    objects = [
        ObjectUpdate(ID(7, 2), DataObjectState.FINISHED),
        ObjectUpdate(ID(7, 4), DataObjectState.UNFINISHED),
    ]
    finished = [ObjectUpdate(ID(7, 4), DataObjectState.FINISHED, ObjectInfo(size=1), Inline(b"x"))]

    def attached(request: int) -> None:
        link.say(
            Attached(
                request, 7, "long", [spec], [function, constant, output], [ID(7, 4)],
                [TaskUpdate(ID(7, 3), TaskState.RUNNING)], objects, hidden=[ID(7, 1)], sites=[("", "")], made=[0],
            )
        )  # fmt: skip
        link.say(SessionUpdate(7, [TaskUpdate(ID(7, 3), TaskState.FINISHED, TaskInfo())], finished))

    link.reactions[Attach] = attached
    session = link.client.attach("long", timeout=GUARD_S)
    assert (session.session_id, session.name, session.persistent) == (7, "long", True)
    task = session.find("job")
    assert isinstance(task, Task)
    task.wait(timeout=GUARD_S)
    assert task.output.fetch().get_bytes() == b"x"
    assert [obj.label for obj in session.objects] == ["const", "out0"]
    assert task.inputs["x"].state is DataObjectState.FINISHED
    with session.bind_only():
        assert same(task.output).id.id > 4
    assert link.client.attach(7) is session
    with pytest.raises(RainException, match="number or name"):
        link.client.attach(2.5)  # type: ignore[arg-type]


# -- the end --------------------------------------------------------------------------------------


def test_closing(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    seen: list[BaseException] = []
    started = threading.Event()

    def wait() -> None:
        started.set()
        try:
            task.wait(timeout=GUARD_S)
        except BaseException as error:
            seen.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    session.close()
    session.close()
    thread.join()
    assert isinstance(seen[0], SessionException)
    assert len(link.of(CloseSession)) == 1
    assert "closed" in repr(session)
    for use in (session.submit, session.wait_all, lambda: task.output.keep(), lambda: session.fetch(task)):
        with pytest.raises(SessionException, match="closed"):
            use()


def test_a_lost_server(link: FakeLink, session: Session) -> None:
    task = same(1)
    session.submit()
    thread = later(lambda: link.happens(ev.Gone("it was away for 10 s")))
    with pytest.raises((SessionException, RainException), match="10 s"):
        task.wait(timeout=GUARD_S)
    thread.join()
    with pytest.raises(SessionException, match="lost"):
        session.submit()
    with pytest.raises(RainException, match="Make a new Client"):
        link.client.new_session()
    session.close()
    assert not session.active


def test_requests_end_with_the_server(link: FakeLink) -> None:
    link.reactions[NewSession] = lambda request: link.happens(ev.Gone("away"))
    with pytest.raises(RainException, match="away"):
        link.client.new_session(timeout=GUARD_S)


def test_a_closed_client(link: FakeLink) -> None:
    session = link.client.new_session()
    link.client.close()
    link.client.close()
    assert link.closed
    assert not session.active
    with pytest.raises(RainException, match="closed"):
        link.client.new_session()
    with pytest.raises(SessionException, match="closed"):
        session.submit()
    session.close()


def test_a_forked_child_cannot_use_the_client(link: FakeLink, session: Session) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            session.submit()
            os.write(write, b"it worked")
        except RainException as error:
            os.write(write, str(error).encode())
        finally:
            link.client.close()
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert "forked process" in pipe.read()
    os.waitpid(child, 0)
    assert not link.closed


def test_governors(link: FakeLink) -> None:
    client = link.client
    client.wait_for_governors(1)
    with pytest.raises(TimeoutError, match="1 of 2 governors"):
        client.wait_for_governors(2, timeout=0.01)
    assert [message.count for message in link.of(ExpectGovernors)] == [1, 2, 1], "no more is expected in vain"

    def join() -> None:
        until(lambda: client._connection.core.governor_waits, "the second governor is waited for")
        link.say(GovernorCount(2))

    threading.Thread(target=join).start()
    client.wait_for_governors(2, timeout=GUARD_S)
    info = client.get_server_info()
    assert info["governors"][0]["governor_id"] == "g0:1"
    assert client.sessions() == []
    with pytest.raises(RainException, match="number of governors"):
        client.wait_for_governors(-1)


def test_a_governor_that_comes_right_behind_the_answer_is_counted(link: FakeLink) -> None:
    link.governors = 0
    answer = link._answer

    def answer_and_more(message: Any) -> None:
        answer(message)
        if isinstance(message, GetServerInfo):
            link.say(GovernorCount(1))

    link._answer = answer_and_more  # type: ignore[method-assign]
    link.client.wait_for_governors(1, timeout=1)


def test_wrong_sessions(link: FakeLink) -> None:
    with pytest.raises(RainException, match="on_failure"):
        link.client.new_session(on_failure="explode")
    with pytest.raises(RainException, match="name"):
        link.client.new_session(7)  # type: ignore[arg-type]


def test_updating_over_sessions(link: FakeLink) -> None:
    made = []
    for _ in range(2):
        session = link.client.new_session()
        with session.bind_only():
            made.append(same(1))
            session.submit()
    link.client.update(made)
    assert [message.items for message in link.of(Update)] == [[made[0].id], [made[1].id]]
    with pytest.raises(RainException, match="expected"):
        link.client.update([7])  # type: ignore[list-item]


def test_threads_build_and_submit_at_once(link: FakeLink, session: Session) -> None:
    def work() -> None:
        with session.bind_only():
            for number in range(50):
                inner = same(number)
                inner.keep_outputs()  # another thread's submit may come between the two calls
                same(inner)
                session.submit()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known: set[ID] = set()
    for message in link.of(Submit):
        places = [(family, place) for family in message.families for place in range(len(family.args))]
        made = [spec for family, place in places for spec in member_outputs(family.outputs, place)]
        for spec in (*message.objects, *made):
            assert spec.id not in known
            known.add(spec.id)
        for task in message.tasks:
            assert all(item.id in known for item in task.inputs)
    assert len(session.tasks) == 400
    assert session.task_count == 0
    assert isinstance(link.client, Client)
    assert tasks.Concat.TASK_TYPE == "builtin/concat"


def test_infos_cannot_be_changed(link: FakeLink, session: Session) -> None:
    good, bad = tasks.Concat([blob("a")]), tasks.Concat([blob("b")])
    good.output.keep()
    session.submit()
    link.finish(good, b"a")
    link.fail(bad)
    fetched = good.output.fetch()
    for info in (good.info, good.output.info, bad.info, bad.output.info, fetched.info):
        assert info is not None
        with pytest.raises(AttributeError):
            info.error = "another one"
    with pytest.raises(AttributeError):
        fetched.spec.label = "another one"


def test_every_blocking_call_has_a_timeout(link: FakeLink, session: Session) -> None:
    task = tasks.Concat([blob("a")])
    task.output.keep()
    session.submit()
    link.held |= {Keep, Unkeep, Update}
    for call in (task.output.unkeep, task.output.keep, task.unkeep_outputs, task.keep_outputs):
        with pytest.raises(TimeoutError):
            call(timeout=0)
    for item in (task, task.output):
        with pytest.raises(TimeoutError):
            link.client.update(item, timeout=0)
        with pytest.raises(TimeoutError):
            asyncio.run(link.client.update_async([item], timeout=0))
    with pytest.raises(TimeoutError):
        asyncio.run(task.output.unkeep_async(timeout=0))
    with pytest.raises(TimeoutError):
        asyncio.run(task.keep_outputs_async(timeout=0))


def test_as_completed_has_a_timeout(link: FakeLink, session: Session) -> None:
    first, second = tasks.Concat([blob("a")]), tasks.Concat([blob("b")])
    session.submit()
    link.finish(first)

    async def asynchronously() -> None:
        async for task in session.as_completed([first, second], timeout=0):
            assert task is first

    ended = session.as_completed([first, second], timeout=0)
    assert next(ended) is first
    with pytest.raises(TimeoutError, match="1 of 2 items are not finished"):
        next(ended)
    with pytest.raises(TimeoutError, match="1 of 2 items are not finished"):
        asyncio.run(asynchronously())
    link.finish(second)
    assert list(session.as_completed([first, second], timeout=0)) == [first, second]


def test_updating_what_is_no_item(link: FakeLink, session: Session) -> None:
    for wrong in (3, "text", [3], None):
        with pytest.raises(RainException, match="tasks and data objects are expected"):
            link.client.update(wrong)  # type: ignore[arg-type]


def test_ctrl_c_while_submitting_sends_all_or_nothing(
    link: FakeLink, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks.Concat([blob("a")])
    mirror = session._inside.mirror
    submitting = type(mirror).submitting

    def interrupted(self: Any, records: Any) -> None:
        submitting(self, records)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(type(mirror), "submitting", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.submit()
    monkeypatch.undo()
    session.submit()
    assert [len(message.tasks) for message in link.of(Submit)] == [1]
    link.finish(task)
    task.wait(timeout=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("answered", ["before", "after", "never", "refused"])
def test_a_session_whose_making_was_interrupted_is_given_back(
    link: FakeLink, error: type[BaseException], answered: str
) -> None:
    link.held.add(NewSession)
    operation = requests.new_session(link.client._connection, link.client._session, "s", False, "continue", False)
    waiting = operation.send(None)
    if answered == "before":
        link.answer(NewSession, lambda request: SessionOpened(request, 7))
    if error is asyncio.CancelledError:
        waiting.cancel()
    with pytest.raises(error):
        operation.throw(error())
    if answered == "refused":
        link.answer(NewSession, lambda request: Failed(request, "rain", "no"))
    if answered == "after":
        assert link.of(CloseSession) == []
        link.answer(NewSession, lambda request: SessionOpened(request, 7))
    assert [message.session_id for message in link.of(CloseSession)] == [7] * (answered in ("before", "after"))
    assert link.client._connection.core.sessions == {}


def test_a_session_that_was_not_waited_for_long_enough_is_given_back(link: FakeLink) -> None:
    link.held.add(NewSession)
    with pytest.raises(TimeoutError):
        link.client.new_session(timeout=0)
    with pytest.raises(TimeoutError):
        asyncio.run(link.client.new_session_async(timeout=0))
    for number, message in enumerate(link.of(NewSession), 1):
        link.say(SessionOpened(message.request, number))
    assert [message.session_id for message in link.of(CloseSession)] == [1, 2]


@pytest.mark.parametrize("held", [ExpectGovernors, GetServerInfo])
def test_governors_are_not_expected_any_more_when_the_wait_ends_early(link: FakeLink, held: type) -> None:
    link.held.add(held)
    with pytest.raises(TimeoutError, match="0 of 9 governors"):
        link.client.wait_for_governors(9, timeout=0)
    assert [message.count for message in link.of(ExpectGovernors)] == [9, 0]


def test_blocks_inside_each_other_close_at_the_outermost_end(link: FakeLink) -> None:
    with link.client.new_session("outer") as session:
        with session as again:
            assert again is session
            task = same(1)
        assert session.active
        with pytest.raises(ZeroDivisionError), session:
            raise ZeroDivisionError
        assert same(2)._session is task._session is session
        assert session.active
    assert not session.active

    async def nested() -> None:
        async with link.client.new_session("async") as session:
            async with session:
                pass
            assert session.active
            with session.bind_only():
                pass
            assert session.active
        assert not session.active

    asyncio.run(nested())


def test_a_size_may_be_set_until_submit(link: FakeLink, session: Session) -> None:
    task = same(1)
    task.output.spec.size_hint = 2.5  # type: ignore[assignment]
    session.submit()
    assert link.of(Submit)[-1].objects[-1].size_hint == 3


def test_what_is_run_asynchronously_is_kept_from_the_call_on(link: FakeLink) -> None:
    session = link.client.new_session("gathered")
    with session.bind_only():
        task = same(1)
    waiting = session.run_async(task)
    assert task.output.is_kept(), "another run may submit it before this one is awaited"
    waiting.close()
