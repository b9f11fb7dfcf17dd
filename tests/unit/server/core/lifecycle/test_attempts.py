"""Tasks run, finish, fail, are cancelled and retried."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET, CRASHES_MAX, INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.server.check import check_idle
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.core.reporting import updates
from tests.unit.server.rig import Rig


def test_a_task_runs_and_its_result_is_told() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    assert isinstance(rig.submit(task, keep=task.outputs), m.Done)
    kinds = [type(message) for message in rig.turn()]
    assert kinds == [m.OpenSession, m.Assign]
    assert rig.news() == ({task.id: "ready"}, {})
    rig.start(task)
    rig.turn()
    assert rig.news()[0] == {task.id: "running"}
    rig.finish(task, value=b"hello")
    rig.turn()
    news = [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]
    assert len(news) == 1
    assert news[0].tasks[0].info.governor == "g1"
    assert news[0].tasks[0].info.attempts == 1
    assert news[0].objects[0].location.data == b"hello"
    assert not rig.told("g1", m.DropObjects)


def test_what_nobody_needs_is_dropped_at_once_and_forgotten() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.finish(task)
    rig.turn()
    assert rig.told("g1", m.DropObjects)[0].objects == task.outputs
    assert rig.news()[1] == {task.outputs[0]: "removed"}
    session = rig.core.state.graph.sessions[rig.session]
    assert not session.tasks
    assert not session.objects
    assert rig.state(task) == "finished"
    assert rig.state(task.outputs[0]) == "removed"


def test_an_input_is_dropped_when_its_last_consumer_has_finished() -> None:
    rig = Rig()
    rig.governor()
    first, left, right = rig.graph("first -> left right")
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    rig.finish(left)
    rig.turn()
    assert first.outputs[0] not in [id for message in rig.told("g1", m.DropObjects) for id in message.objects]
    rig.finish(right)
    rig.turn()
    assert first.outputs[0] in [id for message in rig.told("g1", m.DropObjects) for id in message.objects]


def test_small_results_travel_to_other_governors_with_the_assignment() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    first = rig.task(resources={"cpus": 1.0})
    rig.submit(first, keep=first.outputs)
    rig.turn()
    rig.finish(first, value=b"small")
    rig.governor("g2", cpus=4)
    second = rig.task(first.outputs[0], resources={"cpus": 3.0})
    rig.submit(second)
    rig.turn()
    assert [data.location.data for data in rig.told("g2", m.Assign)[0].objects] == [b"small"]
    third = rig.task(first.outputs[0], resources={"cpus": 3.0})
    rig.finish(second)
    rig.submit(third)
    rig.turn()
    assert rig.told("g2", m.Assign)[0].objects == [], "each object is sent once per governor"


def test_large_results_are_told_by_place() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    first = rig.task()
    rig.submit(first, keep=first.outputs)
    rig.turn()
    rig.finish(first, large=True)
    rig.turn()
    update = next(said for said in reversed(rig.to_client) if isinstance(said, m.SessionUpdate)).objects[0]
    assert [place.address for place in update.location.replicas] == ["g1"]
    rig.says("g1", m.Moved([(first.outputs[0], m.LocalFile("/disk/1", 8, 1 << 20, 1))]))
    located = rig.ask(m.Locate, rig.session, first.outputs)
    assert located.objects[0].location.replicas[0].file.path == "/disk/1"
    assert rig.core.object_data(first.outputs[0]) == located.objects[0]


# -- failure --------------------------------------------------------------------------------------


def test_dependents_fail_with_the_whole_text_of_their_cause() -> None:
    rig = Rig()
    rig.governor()
    first, second, third, other = rig.graph("first -> second -> third; other")
    rig.turn()
    rig.fail(first, "exception", "Traceback\nValueError: 7")
    rig.turn()
    assert [rig.state(task) for task in (first, second, third)] == ["failed"] * 3
    assert rig.state(third.outputs[0]) == "failed"
    error = rig.error(third)
    assert (error.kind, error.cause) == ("dependency", first.id)
    assert "Traceback\nValueError: 7" in error.message
    assert rig.news()[0] == {first.id: "failed", second.id: "failed", third.id: "failed", other.id: "ready"}
    rig.finish(other)
    assert rig.state(other) == "finished"


def test_what_was_given_ahead_and_not_started_has_no_attempts() -> None:
    rig = Rig()
    rig.governor()
    first, second = rig.graph("first -> second")
    rig.turn()
    assert rig.where(second) == ("g1", 1)
    rig.fail(first)
    rig.turn()
    news = rig.ask(m.Update, rig.session, [first.id, second.id]).tasks
    assert [update.info.attempts for update in news] == [1, 0]


def test_on_failure_stop_ends_the_session_and_no_other() -> None:
    rig = Rig(on_failure="stop")
    rig.governor(cpus=4)
    bad, _running, _waiting = rig.graph("bad running waiting")
    other = rig.ask(
        m.NewSession, "other", "stop", False, rig.core.state.graph.sessions[rig.session].environments.get(0)
    ).session_id
    rig.turn()
    rig.fail(bad)
    stopped = [said for said in rig.to_client if isinstance(said, m.SessionStopped)]
    assert [(said.session_id, said.task, said.error.message) for said in stopped] == [(rig.session, bad.id, "it broke")]
    rig.turn()
    assert [message.session_id for message in rig.told("g1", m.EndSession)] == [rig.session]
    refused = rig.ask(m.Update, rig.session, [bad.id])
    assert (type(refused), refused.kind) == (m.Failed, "session")
    assert "it broke" in refused.message
    assert isinstance(rig.ask(m.Update, other, []), m.Updated)
    rig.says("g1", m.SessionEnded(rig.session))
    assert isinstance(rig.ask(m.CloseSession, rig.session), m.Done)


def test_retries_are_for_raised_exceptions_of_the_named_classes() -> None:
    rig = Rig()
    rig.governor(cpus=4)
    task = rig.task(retries=2, retry_on=("mine.Flaky",))
    rig.submit(task)
    rig.turn()
    rig.fail(task, "exception", "once", "mine.Flaky", "builtins.Exception")
    rig.turn()
    assert rig.where(task) == ("g1", 2)
    rig.fail(task, "exception", "now something else", "builtins.ValueError")
    assert rig.state(task) == "failed"
    short = rig.task(retries=1, retry_on=("Flaky",))
    rig.submit(short)
    rig.turn()
    rig.fail(short, "exception", "once", "mine.Flaky")
    rig.turn()
    rig.fail(short, "exception", "twice", "mine.Flaky")
    assert rig.state(short) == "failed"
    assert rig.ask(m.Update, rig.session, [short.id]).tasks[0].info.attempts == 2


def test_a_timeout_is_not_retried() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task(retries=5)
    rig.submit(task)
    rig.turn()
    rig.fail(task, "timeout", "too slow")
    assert rig.state(task) == "failed"


def test_a_crash_is_retried_until_the_third() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    for _ in range(CRASHES_MAX - 1):
        rig.turn()
        rig.fail(task, "crash", "SIGSEGV")
        assert rig.state(task) == "ready"
    rig.turn()
    rig.fail(task, "crash", "SIGSEGV")
    assert rig.state(task) == "failed"
    assert "CRASHES_MAX" in rig.error(task).message


def test_a_task_that_may_run_once_does_not_survive_a_crash() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task(rerun="never")
    rig.submit(task)
    rig.turn()
    rig.fail(task, "crash", "SIGSEGV")
    assert rig.state(task) == "failed"
    assert "rerun" in rig.error(task).message


def test_results_of_old_attempts_are_dropped() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.fail(task, "crash", "SIGSEGV")
    rig.turn()
    old = m.TaskResult(task.id, 1, m.TaskInfo(), [rig.output(task.outputs[0], "g1", False, b"old")])
    rig.says("g1", m.Finished([old]))
    assert rig.state(task) == "ready"
    assert rig.core.state.stale_results == 1


def test_a_result_with_too_few_outputs_is_a_failure() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task(outputs=2)
    rig.submit(task)
    rig.turn()
    rig.says("g1", m.Finished([m.TaskResult(task.id, 1, m.TaskInfo(), [])]))
    assert rig.state(task) == "failed"


# -- cancel ---------------------------------------------------------------------------------------


def test_cancel_reaches_what_runs_and_what_waits() -> None:
    rig = Rig()
    rig.governor(cpus=1)
    running, waiting = rig.graph("running -> waiting")
    rig.turn()
    rig.start(running)
    assert isinstance(rig.ask(m.Cancel, rig.session, [running.id]), m.Done)
    assert rig.state(running) == "cancelled"
    assert rig.state(waiting) == "cancelled"
    assert rig.error(waiting).kind == "cancelled"
    assert rig.error(waiting).cause == running.id
    rig.turn()
    assert (running.id, 1) in rig.told("g1", m.CancelTasks)[0].tasks
    governor = rig.core.state.graph.governors["g1"]
    assert governor.demand["cpus"] > 0, "the cpu is in use until the governor says otherwise"
    rig.says("g1", m.Stopped([(running.id, 1), (waiting.id, 1)]))
    assert governor.demand["cpus"] == 0


def test_a_result_that_crossed_a_cancel_frees_its_outputs() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.ask(m.Cancel, rig.session, None)
    rig.finish(task)
    rig.turn()
    assert rig.state(task) == "cancelled"
    assert [message.objects for message in rig.told("g1", m.DropObjects)] == [task.outputs]
    rig.says("g1", m.Stopped([(task.id, 1)]))


def test_cancel_of_the_unknown_is_refused() -> None:
    rig = Rig()
    assert isinstance(rig.ask(m.Cancel, rig.session, [ID(rig.session, 77)]), m.Failed)


# -- retry ----------------------------------------------------------------------------------------


def test_retry_runs_what_failed_and_what_depends_on_it() -> None:
    rig = Rig()
    rig.governor()
    function = rig.constant(b"def f(): raise")
    source = rig.task()
    bad = rig.task(source.outputs[0], function=function)
    after = rig.task(bad.outputs[0])
    rig.submit(source, bad, after, keep=after.outputs)
    rig.turn()
    rig.finish(source, large=True)
    rig.turn()
    rig.fail(bad)
    rig.turn()
    assert rig.state(source.outputs[0]) == "finished", "failed tasks hold their inputs"
    better = rig.id()
    constant = m.Constant(better, Inline(b"def", 1))
    answer = rig.ask(m.Retry, rig.session, [after.id], [m.ObjectSpec(better)], [constant], [(bad.id, better)])
    assert isinstance(answer, m.Done)
    rig.turn()
    assert rig.given[(bad.id, 2)][1].spec.function == better
    rig.finish(bad)
    rig.turn()
    rig.finish(after)
    rig.turn()
    assert [rig.state(task) for task in (source, bad, after)] == ["finished"] * 3
    assert rig.state(source.outputs[0]) == "removed"


def test_retry_refuses_what_did_not_fail() -> None:
    rig = Rig()
    task = rig.task()
    rig.submit(task)
    assert "did not fail" in rig.ask(m.Retry, rig.session, [task.id]).message


def test_retry_makes_lost_inputs_again() -> None:
    rig = Rig()
    rig.governor("g1")
    source, bad = rig.graph("source -> bad")
    rig.turn()
    rig.finish(source, large=True)
    rig.turn()
    rig.fail(bad)
    rig.gone("g1")
    assert rig.state(source.outputs[0]) == "removed"
    assert rig.state(source) == "finished", "a failed task alone does not bring it back"
    rig.governor("g2")
    assert isinstance(rig.ask(m.Retry, rig.session, None), m.Done)
    rig.turn()
    rig.finish(source, large=True)
    rig.turn()
    rig.finish(bad)
    assert rig.state(bad) == "finished"


# -- keep -----------------------------------------------------------------------------------------


def test_keep_and_unkeep() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    assert isinstance(rig.ask(m.Keep, rig.session, task.outputs), m.Done)
    rig.turn()
    rig.finish(task)
    rig.turn()
    assert rig.state(task.outputs[0]) == "finished"
    assert isinstance(rig.ask(m.Unkeep, rig.session, task.outputs), m.Done)
    assert rig.state(task.outputs[0]) == "removed"
    refused = rig.ask(m.Keep, rig.session, task.outputs)
    assert "removed" in refused.message
    assert [one.type for one in rig.happened].count("ClientUnkeep") == 1
    rig.turn()
    assert rig.told("g1", m.DropObjects)


def test_keep_is_all_or_nothing() -> None:
    rig = Rig()
    task = rig.task()
    rig.submit(task)
    assert isinstance(rig.ask(m.Keep, rig.session, [task.outputs[0], ID(rig.session, 99)]), m.Failed)
    assert not rig.core.state.graph.sessions[rig.session].objects[task.outputs[0].id].kept


# -- sessions -------------------------------------------------------------------------------------


def test_close_is_answered_when_all_governors_have_ended_the_session() -> None:
    rig = Rig()
    rig.governor("g1", cpus=1)
    rig.governor("g2", cpus=1)
    tasks = [rig.task() for _ in range(4)]
    rig.submit(*tasks)
    rig.turn()
    assert rig.ask(m.CloseSession, rig.session) is None
    rig.turn()
    assert rig.told("g1", m.EndSession)
    rig.says("g1", m.SessionEnded(rig.session))
    assert not any(isinstance(said, m.Done) and said.request == rig.requests for said in rig.to_client)
    rig.gone("g2")
    assert any(isinstance(said, m.Done) and said.request == rig.requests for said in rig.to_client)
    check_idle(rig.core)
    assert isinstance(rig.ask(m.CloseSession, rig.session), m.Done), "closing twice is no error"


def test_a_client_that_goes_takes_its_sessions_along() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.step(ev.ClientGone("c"))
    rig.turn()
    assert rig.told("g1", m.EndSession)
    rig.says("g1", m.SessionEnded(rig.session))
    check_idle(rig.core)


def test_a_persistent_session_waits_for_its_next_client() -> None:
    rig = Rig(persistent=True)
    rig.governor()
    task, other = rig.task(), rig.task()
    rig.submit(task, other, keep=task.outputs)
    rig.turn()
    rig.step(ev.ClientGone("c"))
    rig.finish(task, other)
    rig.turn()
    rig.step(ev.ClientJoined("d"))
    rig.client = "d"
    assert "no persistent session" in rig.ask(m.Attach, "another").message
    back = rig.ask(m.Attach, "test")
    assert (back.session_id, back.name, back.keep) == (rig.session, "test", task.outputs)
    assert [spec.id for spec in back.tasks] == [task.id, other.id]
    assert {update.id: update.state.value for update in back.states} == {task.id: "finished", other.id: "finished"}
    assert isinstance(rig.ask(m.CloseSession, rig.session), type(None))


def test_an_ambiguous_name_lists_the_ids() -> None:
    rig = Rig(persistent=True)
    env = rig.core.state.graph.sessions[rig.session].environments.get(0)
    rig.ask(m.NewSession, "test", "continue", True, env)
    assert "1 'test' (no tasks), 2 'test' (no tasks)" in rig.ask(m.Attach, "test").message


def test_sessions_are_their_clients_own() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("thief"))
    for kind, fields in [(m.Update, [[]]), (m.Cancel, [None]), (m.Keep, [[]]), (m.Submit, [[], [], [], []])]:
        refused = rig.ask(kind, rig.session, *fields, client="thief")
        assert (type(refused), refused.kind) == (m.Failed, "session")
    assert isinstance(rig.ask(m.CloseSession, rig.session, client="thief"), m.Failed)
    assert isinstance(rig.ask(m.GetOutput, [ID(rig.session, 1)], client="thief"), m.Failed)
    assert isinstance(rig.ask(m.Explain, ID(rig.session, 1), client="thief"), m.Failed)


# -- questions ------------------------------------------------------------------------------------


def test_output_is_that_of_the_last_attempt() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task(retries=1)
    rig.submit(task)
    rig.turn()
    error = m.TaskError("exception", "no")
    rig.says("g1", m.Finished([m.TaskResult(task.id, 1, m.TaskInfo(), [], error, b"first", b"")]))
    assert rig.ask(m.GetOutput, [task.id]).outputs[0].stdout == b"first"
    rig.turn()
    outputs = [rig.output(task.outputs[0], "g1", False, b"x")]
    rig.says("g1", m.Finished([m.TaskResult(task.id, 2, m.TaskInfo(), outputs, None, b"second", b"!")]))
    (answer,) = rig.ask(m.GetOutput, [task.id]).outputs
    assert (answer.stdout, answer.stderr) == (b"second", b"!")


def test_a_brief_answer_counts() -> None:
    rig = Rig()
    rig.governor("g1", cpus=2.0)
    tasks = [rig.task() for _ in range(2)]
    rig.submit(*tasks)
    rig.turn()
    rig.says("g1", m.Load({"load": 0.5}))
    outputs = [rig.output(tasks[0].outputs[0], "g1", False, b"x")]
    rig.says("g1", m.Finished([m.TaskResult(tasks[0].id, 1, m.TaskInfo(), outputs)]))
    brief = rig.ask(m.GetServerInfo, True)
    assert brief.governors == [m.GovernorBrief("g1", 2.0, {"cpus": 2.0}, 1, 0, {"load": 0.5})]
    assert (brief.address, brief.http, brief.version) == ("server:1", "server:2", "0.1")
    (session,) = brief.sessions
    assert session.tasks == {"finished": 1, "ready": 1}
    assert type(rig.ask(m.GetServerInfo)) is m.ServerInfo


@pytest.mark.parametrize("place", ["waiting", "ready", "running", "finished", "failed"])
def test_explain(place: str) -> None:
    rig = Rig()
    first, _, third = rig.graph("first second; first -> third")

    def text(task: m.TaskSpec) -> str:
        return str(rig.ask(m.Explain, task.id).values["text"])

    if place == "ready":
        assert "no governor is here" in text(first)
    rig.governor(cpus=1)
    rig.turn()
    if place == "waiting":
        assert f"waits for 1 of its 1 inputs:\n  object {first.outputs[0]}, made by task" in text(third)
    rig.start(first)
    if place == "running":
        assert "is running on governor g1" in text(first)
    if place == "failed":
        rig.fail(first, text="boom")
        assert "boom" in text(first)
        assert "boom" in text(third)
    else:
        rig.finish(first)
        if place == "finished":
            assert "finished" in text(first)


def test_server_info() -> None:
    rig = Rig()
    rig.governor()
    running, waiting = rig.task(), rig.task(resources={"cpus": 3.0})
    rig.ask(m.ExpectGovernors, 2)
    rig.submit(running, waiting)
    rig.turn()
    info = rig.ask(m.GetServerInfo)
    assert (info.version, info.address, info.http) == ("0.1", "server:1", "server:2")
    governor = info.governors[0]
    assert (governor.governor_id, governor.tasks, governor.resources) == ("g1", [running.id], {"cpus": 2.0})
    assert governor.objects == running.outputs
    assert info.sessions[0].tasks == {"ready": 2}


def test_news_and_replies_are_never_larger_than_a_frame() -> None:
    rig = Rig()
    rig.governor(cpus=1000)
    tasks = [rig.task() for _ in range(200)]
    rig.submit(*tasks, keep=[id for task in tasks for id in task.outputs])
    rig.turn()
    rig.to_client.clear()
    rig.finish(*tasks, value=bytes(INLINE_BYTES_MAX))
    rig.turn()
    news = [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]
    assert len(news) > 2
    assert max(sum(obj.location.size for obj in said.objects) for said in news) < 8 << 20
    located = rig.ask(m.Locate, rig.session, [task.outputs[0] for task in tasks])
    assert sum(found.location.size for found in located.objects if isinstance(found.location, Inline)) < 8 << 20
    rest = [found.location for found in located.objects if not isinstance(found.location, Inline)]
    assert all(location.replicas[0].address == "server:1" for location in rest)


def test_events_of_a_task() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.finish(task)
    types = [(one.type, one.session, one.id) for one in rig.happened]
    number = task.id.id
    assert [entry for entry in types if entry[2] in (number, task.outputs[0].id)] == [
        ("TaskStarted", rig.session, number),
        ("TaskFinished", rig.session, number),
        ("DataObjectFinished", rig.session, task.outputs[0].id),
    ]
    assert [one.type for one in rig.happened][:4] == ["ClientNew", "SessionNew", "GovernorNew", "ClientSubmit"]


def test_small_inputs_that_are_much_together_precede_their_task() -> None:
    rig = Rig()
    rig.governor()
    values = {rig.id(): b"x" * 60_000 for _ in range(40)}
    task = rig.task(*values)
    rig.submit(task, constants=values)
    orders = [said for said in rig.turn() if isinstance(said, m.Assign)]
    assert [data.spec.id for order in orders for data in order.objects] == list(values)
    assert all(sum(data.location.size for data in order.objects) < 2 * BATCH_BYTES_TARGET for order in orders)
    assert [len(order.tasks) for order in orders] == [0, 0, 1]


def test_the_answer_to_an_update_comes_in_pieces() -> None:
    rig = Rig()
    tasks = [rig.task() for _ in range(40)]
    rig.submit(*tasks, keep=[task.outputs[0] for task in tasks])
    rig.governor(cpus=100)
    rig.turn()
    rig.finish(*tasks, value=b"x" * 60_000)
    rig.to_client.clear()
    rig.ask(m.Update, rig.session, [task.outputs[0] for task in tasks])
    answers = [said for said in rig.to_client if isinstance(said, m.Updated)]
    assert [answer.more for answer in answers] == [True, True, False]
    assert [update.id for answer in answers for update in answer.objects] == [task.outputs[0] for task in tasks]


def test_a_task_that_cannot_be_sent_to_its_governor_fails() -> None:
    rig = Rig()
    bad, good = rig.task(), rig.task()
    rig.submit(bad, good)
    rig.governor()
    rig.turn()
    name, attempt = rig.where(bad)
    rig.step(ev.AssignmentFailed(name, bad.id, attempt, "it is too large"))
    rig.step(ev.AssignmentFailed(name, bad.id, attempt, "it is too large"))
    rig.turn()
    assert rig.ask(m.Update, rig.session, [bad.id]).tasks[0].error.message == "it is too large"
    rig.finish(good)


def test_an_error_in_what_one_governor_or_session_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.governor("g1")
    rig.submit(rig.task())

    def broken(*_: object) -> None:
        raise ValueError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(updates, "assign", broken)
        effects = rig.core.step(ev.TurnEnded(), rig.now)  # what is wrong with the governor ends with it
    assert [str(effect.error) for effect in effects if isinstance(effect, do.InternalError)] == ["planted"]
    assert [effect.governor_id for effect in effects if isinstance(effect, do.DropGovernor)] == ["g1"]
    rig.step(ev.GovernorGone("g1", "dropped"))
    rig.governor("g2")
    with monkeypatch.context() as patch:
        patch.setattr(updates, "_send", broken)
        rig.submit(rig.task())
        rig.turn()
    assert any(isinstance(said, m.SessionStopped) and "planted" in said.reason for said in rig.to_client)
    assert [str(broke.error) for broke in rig.broke] == ["planted"]
