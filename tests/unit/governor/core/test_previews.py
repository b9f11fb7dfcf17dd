"""Which previews executors are asked for, when, and what becomes of one that does not come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rain.common.ids import ID
from rain.common.limits import (
    PREVIEW_BYTES_MAX,
    PREVIEW_LATE_S,
    PREVIEW_REST_S,
    PREVIEW_SLOW_S,
    PREVIEWED_TASK_S,
    PREVIEWED_TASKS_MAX,
    PREVIEWS_DUE_MAX,
    PREVIEWS_GIVEN_UP_MAX,
)
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, TaskOptions
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig

REST_S = PREVIEW_REST_S + 0.01


def kept(rig: Rig, n: int, *, outputs: int = 1, kept: tuple[int, ...] = (0,), **options: object) -> m.TaskAssignment:
    task = rig.task(n, outputs=outputs, **options)  # type: ignore[arg-type]
    task.kept = list(kept)
    return task


def ends(
    rig: Rig, n: int, executor: int = 1, *, took: float = 0.01, content_type: str = "pickle", encoded: bool = True
) -> list[str]:
    """A task ends, whose outputs are of a type."""
    result = rig.result(n, took=took)
    for output in result.outputs:
        output.info = ObjectInfo(size=1, content_type=content_type, encoded=encoded)
    return rig.step(ev.ExecutorResults(executor, [result]))


def answer(rig: Rig, n: int, executor: int = 1, data: bytes = b"seen", **how: bool) -> list[str]:
    return rig.step(ev.PreviewMade(executor, m.OwnPreview(ID(1, n), data, **how)))


def asked(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("preview")]


def test_an_executor_that_rests_makes_it_and_it_is_kept_beside_its_object() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    assert asked(ends(rig, 1)) == []  # first the result is told
    assert asked(rig.later(PREVIEW_REST_S / 2)) == []  # the next task may be on its way
    assert asked(rig.later(REST_S)) == ["preview e1: 1/10"]
    assert asked(rig.later(REST_S)) == []
    assert answer(rig, 10) == ["keep preview 1/10 seen"]
    assert asked(rig.later(REST_S)) == []


def test_the_newest_first_and_one_after_the_other() -> None:
    rig = Rig()
    for n in (1, 2, 3):
        rig.assign(kept(rig, n))
        ends(rig, n)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/30"]
    assert answer(rig, 30) == ["keep preview 1/30 seen", "preview e1: 1/20"]
    assert answer(rig, 20, data=b"") == ["preview e1: 1/10"]  # there is none of this one


def test_a_waiting_task_goes_first() -> None:
    rig = Rig(cpus=1)
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.assign(rig.task(2, kind="builtin/concat"))  # takes the only cpu
    rig.assign(kept(rig, 3))
    assert asked(rig.later(REST_S)) == []
    rig.step(ev.BuiltinEnded(1, rig.result(2)))
    ends(rig, 3)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/30"]


def test_a_task_that_comes_meanwhile_is_given_to_the_executor() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.later(REST_S)
    assert rig.assign(kept(rig, 2)) == ["run e1: 1/2#2"]
    assert answer(rig, 10, data=b"", put_off=True) == []
    assert "> finished 1/2" in ends(rig, 2)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/20"]
    assert asked(answer(rig, 20)) == ["preview e1: 1/10"]


def test_another_idle_executor_is_taken_before_one_that_makes_a_preview() -> None:
    rig = Rig(cpus=2)
    rig.assign(kept(rig, 1), rig.task(2))
    rig.results(2, 2)
    ends(rig, 1, 1)
    rig.later(REST_S)
    assert rig.assign(rig.task(3)) == ["run e2: 1/3#2"]
    assert rig.assign(rig.task(4)) == ["run e1: 1/4#2"]


def test_one_that_has_not_come_back_for_a_while_gets_no_task() -> None:
    rig = Rig(cpus=1)
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.later(REST_S)
    rig.later(PREVIEW_SLOW_S + 0.01)
    assert rig.assign(rig.task(2)) == ["start e2 py", "run e2: 1/2#1"]


def test_what_may_run_once_is_not_given_to_an_executor_that_may_be_ended() -> None:
    rig = Rig(cpus=2)
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.later(REST_S)
    assert rig.assign(rig.task(2, options=TaskOptions(rerun="never"))) == ["start e2 py", "run e2: 1/2#1"]


def late(rig: Rig) -> list[str]:
    return rig.later(PREVIEW_LATE_S + 0.01)


def crashes(rig: Rig) -> list[str]:
    return rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV"))


@pytest.mark.parametrize("dies", [late, crashes])
def test_one_that_does_not_come_back_is_no_tasks_crash_and_not_tried_again(dies: Callable[[Rig], list[str]]) -> None:
    rig = Rig()
    rig.assign(kept(rig, 1, function=9), objects=[m.ObjectData(m.ObjectSpec(ID(1, 9)), ObjectInfo(), m.Inline(b"f"))])
    ends(rig, 1)
    rig.later(REST_S)
    rig.assign(kept(rig, 2, function=9))  # queued behind the preview
    lines = dies(rig)
    if dies is late:
        assert lines == ["kill e1"]
        lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL"))
    assert lines == ["start e2 py", "run e2: 1/2#1"]
    assert "> finished 1/2" in ends(rig, 2, 2)
    assert asked(rig.later(REST_S)) == []


def test_an_executor_that_is_on_a_task_has_come_back() -> None:
    """Its answer is on its way: the governor stood still."""
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.later(REST_S)
    rig.assign(rig.task(2))
    rig.step(ev.ExecutorSeen(1, 2))
    assert late(rig) == []


def test_an_executor_that_is_ended_for_another_reason_has_done_nothing_wrong() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.later(REST_S)
    rig.step(ev.ExecutorResults(1, [], stale=True))
    rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL"))
    rig.assign(kept(rig, 2))
    ends(rig, 2, 2)
    assert asked(rig.later(REST_S)) == ["preview e2: 1/20"]


def test_functions_whose_previews_take_too_long_have_none() -> None:
    rig = Rig()
    for n in range(1, PREVIEWS_GIVEN_UP_MAX + 2):
        rig.assign(kept(rig, n))
        ends(rig, n)
        lines = asked(rig.later(REST_S))
        assert lines == ([f"preview e1: 1/{10 * n}"] if n <= PREVIEWS_GIVEN_UP_MAX else [])
        assert answer(rig, 10 * n, data=b"", given_up=True) == []


def test_what_is_dropped_lost_or_made_anew_meanwhile_has_none() -> None:
    rig = Rig()
    for n in (1, 2, 3):
        rig.assign(kept(rig, n))
        ends(rig, n)
    rig.drop(30)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/20"]
    rig.drop(20)
    assert answer(rig, 20) == ["preview e1: 1/10"]
    rig.step(ev.ObjectLost(ID(1, 10), "corrupt"))
    rig.assign(kept(rig, 1, attempt=2))
    ends(rig, 1)
    assert answer(rig, 10) == ["preview e1: 1/10"]  # that was of the value that was lost; now of the new one
    assert answer(rig, 10) == ["keep preview 1/10 seen"]


def test_only_what_is_kept_has_one() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1, outputs=3, kept=(1,)), rig.task(2))
    ends(rig, 1)
    ends(rig, 2)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/11"]
    assert asked(answer(rig, 11)) == []


@pytest.mark.parametrize(
    ("content_type", "encoded", "made"),
    [
        ("pickle", True, True),
        ("cloudpickle", True, True),
        ("plugin/columns", True, True),
        ("arrow", True, False),  # shown as it lies
        ("pickle", False, False),  # bytes that came from anywhere
    ],
)
def test_only_what_has_to_be_loaded_and_may_be(content_type: str, encoded: bool, made: bool) -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1, content_type=content_type, encoded=encoded)
    assert bool(asked(rig.later(REST_S))) is made


def test_large_graphs_of_tiny_tasks_have_none() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.assign(*(rig.task(n) for n in range(2, PREVIEWED_TASKS_MAX + 2)))
    for n in range(2, PREVIEWED_TASKS_MAX + 2):
        rig.results(1, n)
    assert asked(rig.later(REST_S)) == []  # when it ended the graph was small
    rig.assign(kept(rig, 300))
    ends(rig, 300, took=PREVIEWED_TASK_S)
    assert asked(rig.later(REST_S)) == ["preview e1: 1/3000"]
    rig.assign(kept(rig, 400))
    ends(rig, 400, took=PREVIEWED_TASK_S / 2)
    assert asked(answer(rig, 3000)) == []


def test_devices_belong_to_tasks() -> None:
    rig = Rig(cpus=1, gpus=1)
    rig.assign(kept(rig, 1, gpus=1))
    ends(rig, 1)
    assert asked(rig.later(REST_S)) == []


def test_a_session_can_turn_them_off() -> None:
    rig = Rig()
    rig.server(m.OpenSession(1, m.SessionEnv("host", "python", "3", [], "/", previews=False)))
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    assert asked(rig.later(REST_S)) == []


def test_bounds() -> None:
    rig = Rig()
    for n in range(1, PREVIEWS_DUE_MAX + 5):
        rig.assign(kept(rig, n))
        ends(rig, n)
    lines = asked(rig.later(REST_S))
    made = 0
    while lines:
        id = int(lines[0].rpartition("/")[2])
        made += 1
        lines = asked(answer(rig, id, data=bytes(PREVIEW_BYTES_MAX + 1)))
        assert not any("keep" in line for line in lines), "a preview that is too large"
    assert made == PREVIEWS_DUE_MAX


def test_a_governor_that_leaves_makes_none() -> None:
    rig = Rig()
    rig.assign(kept(rig, 1))
    ends(rig, 1)
    rig.step(ev.LeaveAsked("SIGTERM", 20.0))
    assert asked(rig.later(REST_S)) == []
