"""`Retry` and `Forget`: what runs again, what is held for it, and what is refused."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import TaskInfo
from tests.unit.server.rig import Rig


def states(rig: Rig, *tasks) -> list[str]:
    return [rig.state(task) for task in tasks]


def failed_diamond() -> tuple[Rig, list]:
    """source -> bad -> after <- other; bad failed, the source's and the other's outputs are held."""
    rig = Rig()
    rig.governor(cpus=4)
    source, bad, other, after = rig.graph("source -> bad; bad other -> after")
    rig.turn()
    rig.finish(source, other, large=True)
    rig.turn()
    rig.fail(bad)
    rig.turn()
    assert states(rig, source, other, bad, after) == ["finished", "finished", "failed", "failed"]
    return rig, [source, other, bad, after]


def test_what_did_not_fail_cannot_be_retried_or_forgotten() -> None:
    rig = Rig()
    task = rig.task()
    rig.submit(task)
    assert "cannot be retried: it did not fail" in rig.ask(m.Retry, rig.session, [task.id]).message
    assert "cannot be forgotten: it did not fail" in rig.ask(m.Forget, rig.session, [task.id]).message
    assert "did not fail" in rig.ask(m.Forget, rig.session, [ID(rig.session, 99)]).message


def test_inputs_of_failed_tasks_and_their_dependents_are_held_until_forgotten() -> None:
    rig, (source, other, bad, after) = failed_diamond()
    held = [source.outputs[0], other.outputs[0]]
    assert [rig.state(id) for id in held] == ["finished"] * 2
    rig.news()
    assert isinstance(rig.ask(m.Forget, rig.session, [bad.id]), m.Done)
    rig.turn()
    assert [rig.state(id) for id in held] == ["removed"] * 2
    (news,) = [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]
    assert [(update.id, update.forgotten) for update in news.tasks] == [(bad.id, True), (after.id, True)]
    for task in (bad, after):
        refused = rig.ask(m.Retry, rig.session, [task.id])
        assert "was forgotten" in refused.message
        assert "submit it anew" in refused.message
    assert isinstance(rig.ask(m.Retry, rig.session, None), m.Done)
    assert states(rig, bad, after) == ["failed", "failed"]
    assert isinstance(rig.ask(m.Forget, rig.session, None), m.Done)


def test_sessions_tell_what_failed_from_what_was_not_run() -> None:
    rig, (_, _, bad, after) = failed_diamond()

    def counts() -> dict[str, int]:
        (line,) = rig.ask(m.GetServerInfo, True).sessions
        return line.tasks

    assert counts() == {"finished": 2, "failed": 1, "not run": 1}
    rig.ask(m.Retry, rig.session, None)
    rig.turn()
    assert counts() == {"finished": 2, "ready": 1, "waiting": 1}
    rig.finish(bad)
    rig.turn()
    rig.finish(after)
    assert counts() == {"finished": 4}


def test_forgetting_a_dependent_leaves_what_it_needed() -> None:
    rig, (source, other, bad, after) = failed_diamond()
    rig.ask(m.Forget, rig.session, [after.id])
    rig.turn()
    assert [rig.state(id) for id in (source.outputs[0], other.outputs[0])] == ["finished", "removed"]
    rig.ask(m.Retry, rig.session, None)
    rig.turn()
    rig.finish(bad)
    assert states(rig, bad, after) == ["finished", "failed"]


def test_forgetting_lets_go_what_made_lost_inputs() -> None:
    rig, (source, _, bad, _) = failed_diamond()
    rig.gone("g1")
    assert rig.state(source.outputs[0]) == "removed"
    rig.ask(m.Forget, rig.session, None)
    assert source.id[1] not in rig.core.state.graph.sessions[rig.session].tasks, "the lineage is let go too"
    assert rig.state(bad) == "failed"


def test_kept_inputs_stay_when_forgotten() -> None:
    rig, (source, _, bad, _) = failed_diamond()
    rig.ask(m.Keep, rig.session, [*source.outputs, *bad.outputs])
    rig.ask(m.Forget, rig.session, None)
    assert rig.state(source.outputs[0]) == "finished"
    new = rig.task(source.outputs[0], bad.outputs[0])
    rig.submit(new)
    assert rig.state(new) == "failed", "what was forgotten has still failed"


def test_finished_tasks_do_not_run_again() -> None:
    rig, (source, other, bad, after) = failed_diamond()
    rig.ask(m.Retry, rig.session, [after.id])
    rig.turn()
    rig.finish(bad)
    rig.turn()
    rig.finish(after)
    assert states(rig, bad, after) == ["finished"] * 2
    assert [rig.where(task)[1] for task in (source, other, bad)] == [1, 1, 2]


def test_a_cancelled_task_is_retried_when_it_is_named() -> None:
    rig = Rig()
    rig.governor()
    task, after, other = rig.graph("task -> after; other")
    rig.turn()
    rig.ask(m.Cancel, rig.session, [task.id, other.id])
    rig.turn()
    assert states(rig, task, other, after) == ["cancelled"] * 3
    rig.ask(m.Retry, rig.session, None)
    assert states(rig, task, other, after) == ["cancelled"] * 3
    assert isinstance(rig.ask(m.Retry, rig.session, [task.id]), m.Done)
    rig.turn()
    rig.says("g1", m.Stopped([(task.id, 1), (other.id, 1)]))
    rig.turn()
    rig.finish(task)
    rig.turn()
    rig.finish(after)
    assert states(rig, task, other, after) == ["finished", "cancelled", "finished"]


def test_a_cancelled_task_whose_inputs_are_gone_is_refused() -> None:
    rig = Rig()
    rig.governor()
    source, task = rig.graph("source -> task")
    rig.turn()
    rig.finish(source, large=True)
    rig.ask(m.Cancel, rig.session, [task.id])
    refused = rig.ask(m.Retry, rig.session, [task.id])
    assert "its input" in refused.message
    assert "is gone, because it was not kept" in refused.message


def test_what_a_named_task_needs_comes_along_also_if_it_was_cancelled() -> None:
    rig = Rig()
    rig.governor(cpus=4)
    bad, other, after = rig.graph("bad other -> after")
    rig.turn()
    rig.fail(bad)
    rig.ask(m.Cancel, rig.session, [other.id])
    rig.ask(m.Retry, rig.session, None)
    assert rig.state(bad) != "failed"
    assert states(rig, other, after) == ["cancelled", "failed"], "nobody asked for what was cancelled"
    assert isinstance(rig.ask(m.Retry, rig.session, [after.id]), m.Done)
    rig.turn()
    rig.says("g1", m.Stopped([(other.id, 1)]))
    rig.turn()
    rig.finish(bad, other)
    rig.turn()
    rig.finish(after)
    assert states(rig, bad, other, after) == ["finished"] * 3


@pytest.mark.parametrize("kind", ["failed", "cancelled"])
def test_functions_are_replaced_only_of_what_runs_again(kind: str) -> None:
    rig = Rig()
    rig.governor(cpus=4)
    function = rig.constant(b"def f(): raise")
    chosen, other = rig.task(function=function), rig.task(function=function)
    rig.submit(chosen, other)
    rig.turn()
    if kind == "failed":
        rig.fail(chosen)
        rig.fail(other)
    else:
        rig.ask(m.Cancel, rig.session, [chosen.id, other.id])
        rig.turn()
    better = rig.id()
    constant = m.Constant(better, Inline(b"def", 1))
    functions = [(chosen.id, better), (other.id, better)]
    answer = rig.ask(m.Retry, rig.session, [chosen.id], [m.ObjectSpec(better)], [constant], functions)
    assert isinstance(answer, m.Done)
    rig.turn()
    assert rig.given[(chosen.id, 2)][1].spec.function == better
    assert rig.core.state.graph.task(other.id).spec.function == function


def test_passing_arguments_of_a_cancelled_task_are_gone() -> None:
    rig = Rig()
    value = rig.id()
    task = rig.task(value)
    rig.submit(
        task, more_objects=[m.ObjectSpec(value)], more_constants=[m.Constant(value, Inline(b"x", 1), ephemeral=True)]
    )
    rig.ask(m.Cancel, rig.session, [task.id])
    assert "is gone" in rig.ask(m.Retry, rig.session, [task.id]).message


def test_a_task_that_failed_when_it_made_a_lost_output_again_makes_it_again_when_retried() -> None:
    rig = Rig()
    rig.governor("g1")
    two = rig.task(outputs=2)
    small, large = two.outputs
    rig.submit(two, keep=[small, large])
    rig.turn()
    outputs = [rig.output(small, "g1", False, b"result"), rig.output(large, "g1", True, b"")]
    rig.says("g1", m.Finished([m.TaskResult(two.id, 1, TaskInfo(duration=0.01), outputs)]))
    rig.turn()
    rig.governor("g2")
    rig.gone("g1")
    rig.turn()
    assert states(rig, two, small, large) == ["ready", "finished", "unfinished"]
    rig.fail(two)
    rig.turn()
    assert states(rig, two, small, large) == ["failed", "finished", "failed"]
    assert isinstance(rig.ask(m.Retry, rig.session, [two.id]), m.Done)
    rig.turn()
    rig.finish(two, large=True)
    assert states(rig, two, small, large) == ["finished"] * 3


def test_one_of_which_nothing_is_wanted_that_is_not_there_need_not_run() -> None:
    """It had finished, and failed when it was to make one of its outputs again, which was let go since."""
    rig = Rig()
    rig.governor("g1")
    task = rig.task(outputs=2)
    small, large = task.outputs
    rig.submit(task, keep=task.outputs)
    rig.turn()
    outputs = [rig.output(small, "g1", False, b"small"), rig.output(large, "g1", True, b"")]
    rig.says("g1", m.Finished([m.TaskResult(task.id, 1, TaskInfo(start_time=1.0, duration=0.1), outputs)]))
    rig.gone("g1")
    rig.governor("g2")
    rig.turn()
    rig.fail(task)
    assert [rig.state(one) for one in (task, small, large)] == ["failed", "finished", "failed"]
    rig.ask(m.Unkeep, rig.session, [large])
    assert isinstance(rig.ask(m.Retry, rig.session, [task.id]), m.Done)
    assert [rig.state(one) for one in (task, small, large)] == ["finished", "finished", "removed"]
