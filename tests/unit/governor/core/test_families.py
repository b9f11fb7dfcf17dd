"""Members of families at a governor: given out and told on in ranges, looked at one by one where something happens."""

from __future__ import annotations

from random import Random

from rain.common.ids import ID
from rain.common.limits import PREVIEWED_TASKS_MAX
from rain.common.location import LocalFile
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, floats
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput, Transfer
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.play import Play
from tests.unit.governor.core.rig import Rig, blob

FIRST = 10


def family(count: int, first: int = FIRST, inputs: tuple[int, ...] = (), **changes: object) -> m.FamilyAssignment:
    """Members first, first + 2, … of session 1, with one output each."""
    spec = TaskSpec(
        ID(1, first),
        "py/",
        [b""],
        [TaskSpecInput(ID(1, number)) for number in inputs],
        [ID(1, first + 1)],
        {"cpus": 1},
        options=changes.get("options"),  # type: ignore[arg-type]
    )
    args = [bytes([place % 256]) for place in range(count)]
    attempt = changes.get("attempt", 1)
    assert isinstance(attempt, int)
    kept = [0] if changes.get("kept") else []
    return m.FamilyAssignment(spec, attempt, [ObjectSpec(ID(1, first + 1))], args, [0.0, float(first)], kept)


def told(first: int, count: int, took: float = 0.0001) -> m.FamilyResults:
    """Members that ended one right behind the other."""
    outputs = [m.OutputColumn(ObjectInfo(), [b"x"] * count, counts([7] * count))]
    starts = floats([place * took for place in range(count)])
    return m.FamilyResults(ID(1, first), 2, 1, starts, floats([took] * count), outputs)


def ended(rig: Rig, first: int, count: int, executor: int = 1, took: float = 0.0001) -> list[str]:
    return rig.step(ev.ExecutorResults(executor, [], families=[told(first, count, took)]))


def numbers(lines: list[str], executor: int = 1) -> list[int]:
    """What an executor was given."""
    words = [word for line in lines if line.startswith(f"run e{executor}:") for word in line.split()[2:]]
    return [int(word.partition("#")[2]) for word in words]


def started(count: int, cpus: float = 1, **changes: object) -> tuple[Rig, list[int]]:
    """A rig in which the first member of a family has shown that they are short; and what was given out then."""
    rig = Rig(cpus=cpus)
    rig.server(m.Assign([], [], [family(count, **changes)]))  # type: ignore[arg-type]
    return rig, numbers(ended(rig, FIRST, 1))


def test_one_comes_first_and_then_as_many_as_take_little_time() -> None:
    rig = Rig()
    assert numbers(rig.server(m.Assign([], [], [family(1000)]))) == [1]
    lines = ended(rig, FIRST, 1, took=0.0001)
    assert "> columns 1/10" in lines
    assert 90 <= len(numbers(lines)) <= 110  # 0.15 ms each, PREFETCH_MEMBERS_S is 16 ms
    assert numbers(lines)[0] == 2


def test_long_ones_are_given_one_by_one() -> None:
    rig = Rig()
    rig.server(m.Assign([], [], [family(5)]))
    assert numbers(ended(rig, FIRST, 1, took=1.0)) == [2]


def test_all_that_is_told_in_columns_is_passed_on_so_and_held_nowhere() -> None:
    rig, given = started(30)
    rig.step(ev.ExecutorResults(1, [], families=[told(FIRST + 2, len(given))]))
    (finished,) = rig.said(m.Finished)
    assert finished.results == []
    assert sum(len(part.durations) // 8 for part in finished.families) == len(given)
    assert not any(isinstance(effect, fx.PutInStore) for effect in rig.effects)


def test_an_executor_with_nothing_to_do_takes_the_tail_of_what_another_has() -> None:
    rig = Rig(cpus=2)
    rig.server(m.Assign([], [], [family(21)]))
    given = numbers(ended(rig, FIRST, 1))
    lines = ended(rig, FIRST + 2, 1, executor=2)
    (recall,) = [line for line in lines if line.startswith("recall e1")]
    back = [int(word[1:]) for word in recall.split()[2:]]
    assert back == given[-len(back) :]
    assert len(given) // 3 <= len(back) <= len(given) // 2
    assert numbers(rig.step(ev.ExecutorRecalled(1, back)), 2)[0] == 2


def test_what_waits_behind_a_task_that_takes_long_goes_to_another_executor() -> None:
    rig, given = started(21, cpus=2)
    lines = []
    for _ in range(10):
        lines += rig.step(ev.ExecutorSeen(1, given[0]))
        lines += rig.later(0.1)
    (recall,) = [line for line in lines if line.startswith("recall e1")]
    back = [int(word[1:]) for word in recall.split()[2:]]
    assert back == given[1:]
    rig.step(ev.ExecutorRecalled(1, back))
    assert numbers(ended(rig, FIRST + 2, 1, executor=2), 2)


def test_a_crash_charges_the_member_that_ran() -> None:
    rig, given = started(20)
    lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", given[2]))
    assert "> failed 1/16 crash" in lines
    assert [line for line in lines if line.startswith("run e2: 1/12#1")]  # the others, uncharged


def test_what_the_dead_executor_had_not_told_counts() -> None:
    rig, given = started(20)
    ledger = m.MemberResult(given[0], 1.0, 0.1, [b"x"], [7], [ObjectInfo()])
    unknown = m.MemberResult(999, 1.0, 0.1, [b"x"], [7], [ObjectInfo()])
    lines = rig.step(ev.ExecutorResults(1, [], members=[ledger, unknown]))
    assert lines[0] == "> columns 1/12"
    lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", given[1]))
    assert "> failed 1/14 crash" in lines


def test_cancel_hits_one_member() -> None:
    rig, given = started(1000)
    waiting = FIRST + 2 * 990
    assert rig.cancel(waiting) == [f"> stopped 1/{waiting}"]
    assert rig.cancel(FIRST + 2) == [
        f"interrupt e1 #{given[0]}",
        "recall e1: " + " ".join(f"#{number}" for number in given[1:]),
    ]
    lines = rig.step(ev.ExecutorRecalled(1, given[1:]))
    assert not [line for line in lines if "stopped" in line]
    lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL", given[0]))
    assert "> stopped 1/12" in lines
    assert [line for line in lines if line.startswith("run e2: 1/14#1")]


def test_a_member_in_an_executors_queue_is_cancelled_there() -> None:
    rig, given = started(1000)
    assert rig.cancel(FIRST + 2 * 3) == [f"recall e1: #{given[2]}"]
    assert "> stopped 1/16" in rig.step(ev.ExecutorRecalled(1, [given[2]]))
    assert "> columns 1/12 1/14" in ended(rig, FIRST + 2, 2)
    assert "> columns 1/18 1/20" in ended(rig, FIRST + 8, 2)


def test_members_are_taken_back() -> None:
    rig, given = started(1000)
    last = FIRST + 2 * 999
    lines = rig.take_back(last, FIRST + 4)
    assert lines == [f"recall e1: #{given[1]}"]
    assert f"> gave back 1/{last} 1/14" in rig.step(ev.ExecutorRecalled(1, [given[1]]))


def test_of_what_is_asked_back_that_has_ended_is_told_and_the_rest_comes_back_once() -> None:
    rig, given = started(1000)
    last = FIRST + 2 * 999
    rig.take_back(FIRST + 2, FIRST + 4, FIRST + 8, last)
    assert "> columns 1/12" not in ended(rig, FIRST + 2, 2)  # 1/12 and 1/14 were faster: they are told one by one
    assert {result.id for said in rig.said(m.Finished) for result in said.results} == {ID(1, 12), ID(1, 14)}
    lines = rig.step(ev.ExecutorRecalled(1, [given[3]]))
    assert f"> gave back 1/{last} 1/18" in lines
    assert "> columns 1/16" in ended(rig, FIRST + 6, 1)
    rig.server(m.Assign([], [], [family(1, FIRST + 8)]))  # the rest of its range is still here
    assert rig.take_back(FIRST + 8) == ["> gave back 1/18"], "it is here once more"


def test_a_large_result_of_a_member_is_told_alone_and_held_here() -> None:
    rig, _ = started(20)
    output = m.OutputResult(ID(1, 15), ObjectInfo(size=1 << 20), LocalFile("/out", 7, 1 << 20, 0, 1))
    large = m.TaskResult(ID(1, 14), 1, TaskInfo(duration=0.1), [output])
    lines = rig.step(
        ev.ExecutorResults(1, [], families=[told(12, 1)]),
        ev.ExecutorResults(1, [large]),
        ev.ExecutorResults(1, [], families=[told(16, 1)]),
    )
    assert lines[:2] == ["> columns 1/12 1/16", "> finished 1/14"]
    assert rig.server(m.DropObjects([ID(1, 15)])) == ["delete 1/15", "> dropped 1/15"]


def test_one_is_cancelled_while_all_wait_for_their_input() -> None:
    rig = Rig()
    rig.server(m.Assign([], [blob(5, None)], [family(3, inputs=(5,))]))
    assert rig.cancel(FIRST + 2) == [f"> stopped 1/{FIRST + 2}"]
    assert numbers(rig.step(ev.FetchDone(ID(1, 5), None))) == [1]
    assert numbers(ended(rig, FIRST, 1)) == [2]
    lines = ended(rig, FIRST + 4, 1)
    assert "> columns 1/14" in lines
    assert not numbers(lines)


def test_a_timeout_ends_the_member_that_runs() -> None:
    rig, given = started(20, options=TaskOptions(timeout=0.5))
    rig.step(ev.ExecutorSeen(1, given[0]))
    assert not rig.said(m.Started)  # it may end at once, as most do
    rig.step(ev.ExecutorSeen(1, given[0], again=True))
    assert rig.said(m.Started) == [m.Started([(ID(1, 12), 1)])]
    rig.later(0.4)
    rig.step(ev.ExecutorSeen(1, given[1]))
    assert not [line for line in rig.later(0.4) if line.startswith("kill")]
    assert "kill e1" in rig.later(0.2)
    lines = rig.step(
        ev.ExecutorResults(1, [], families=[told(FIRST + 2, 1)]),
        ev.ExecutorExited(1, "was killed by signal SIGKILL", given[1]),
    )
    assert "> failed 1/14 timeout" in lines
    assert not [line for line in lines if "1/16 timeout" in line]


def test_what_may_run_once_is_given_one_by_one() -> None:
    _rig, given = started(20, options=TaskOptions(rerun="never"))
    assert given == [2]


def test_a_failed_member_is_told_alone() -> None:
    rig, _ = started(20)
    error = TaskError("exception", "it went wrong")
    single = m.TaskResult(ID(1, 14), 1, TaskInfo(duration=0.1), [], error)
    lines = rig.step(
        ev.ExecutorResults(1, [], families=[told(12, 1)]),
        ev.ExecutorResults(1, [single]),
        ev.ExecutorResults(1, [], families=[told(16, 1)]),
    )
    assert lines[:2] == ["> columns 1/12 1/16", "> failed 1/14 exception"]


def test_an_output_that_a_task_here_waits_for_is_held_here() -> None:
    rig = Rig()
    rig.server(m.Assign([rig.task(500, FIRST + 3)], [], [family(3)]))
    ended(rig, FIRST, 1)
    lines = ended(rig, FIRST + 2, 2)
    assert "put 1/13" in lines
    assert "> finished 1/12" in lines
    assert "> columns 1/14" in lines
    assert [line for line in lines if line.startswith("run e1: 1/500")]


def test_results_that_get_previews_are_held_here() -> None:
    rig = Rig()
    rig.server(m.Assign([], [], [family(3, kept=True)]))
    assert "> finished 1/10" in ended(rig, FIRST, 1)
    rig = Rig()
    rig.server(m.Assign([], [], [family(PREVIEWED_TASKS_MAX + 1, kept=True)]))
    assert "> columns 1/10" in ended(rig, FIRST, 1)


def test_members_wait_for_their_inputs_and_go_back_without_them() -> None:
    rig = Rig()
    lines = rig.server(m.Assign([], [blob(5, None)], [family(3, inputs=(5,))]))
    assert lines == ["fetch 1/5"]
    assert rig.step(ev.FetchFailed(ID(1, 5), "nobody has it")) == ["> 1/10 1/12 1/14 cannot have 1/5"]
    rig.server(m.Assign([], [blob(6, None)], [family(3, 40, inputs=(6,))]))
    lines = rig.step(ev.FetchDone(ID(1, 6), Transfer(ID(1, 6), "10.0.0.1:1", 1, 0.0, 0.5)))
    assert numbers(lines) == [1]
    assert "> finished 1/40" in ended(rig, 40, 1)  # of these it is told how long they waited


def test_a_family_that_comes_twice_runs_once() -> None:
    rig = Rig()
    rig.server(m.Assign([], [], [family(10)]))
    assert rig.server(m.Assign([], [], [family(10)])) == []
    lines = rig.server(m.Assign([], [], [family(10, attempt=2)]))
    assert lines == ["kill e1"]
    lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL"))
    assert not [line for line in lines if "stopped" in line]
    assert [line for line in lines if line.startswith("run e2: 1/10#1")]


def test_what_has_not_begun_goes_back_when_the_governor_leaves() -> None:
    rig, given = started(1000)
    lines = rig.step(ev.LeaveAsked("SIGTERM", 60.0))
    assert [line for line in lines if line.startswith("recall e1")]
    back = rig.said(m.GaveBack)[0].tasks
    assert len(back) == 999 - len(given)
    lines = rig.step(ev.ExecutorRecalled(1, given[1:]))
    assert len(rig.said(m.GaveBack)[0].tasks) == len(given) - 1


def test_what_a_running_member_has_written_can_be_read() -> None:
    rig, given = started(1000)
    lines = rig.server(m.ReadOutput(3, [(ID(1, 14), 1), (ID(1, FIRST + 1998), 1)]))
    assert lines == [f"read 3: e1#{given[1]} behind 0"]


def test_what_a_member_says_of_itself_is_passed_on() -> None:
    rig, _ = started(1000)
    lines = rig.step(ev.TasksProgressed(1, [m.TaskProgress(ID(1, 12), 1, 1.0)]))
    assert lines == ["> started 1/12", "> progressed 1/12"]


def test_no_member_outlives_its_session() -> None:
    rig, _ = started(1000)
    assert rig.server(m.EndSession(1)) == ["kill e1"]
    assert ended(rig, FIRST + 2, 2) == [], "nobody asks for results any more"
    lines = rig.step(ev.ExecutorExited(1, "was killed by signal SIGKILL"))
    assert lines == ["delete session 1", "> session 1 ended"]


def test_columns_of_others_do_no_harm() -> None:
    rig, _ = started(20)
    strange = told(12, 3)
    strange.attempt = 9
    outside = m.FamilyResults(
        ID(2, 12), 2, 1, floats([0.0]), floats([0.1]), [m.OutputColumn(ObjectInfo(), [b""], counts([0]))]
    )
    assert not [line for line in rig.step(ev.ExecutorResults(1, [], families=[strange, outside])) if ">" in line]


def test_random_histories_tell_members_in_columns_too() -> None:
    found = 0
    for seed in range(5):
        play = Play(Random(seed))
        play.run(60)
        found += play.world.told_in_columns
    assert found
