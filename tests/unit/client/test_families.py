"""Families at the client: `map` makes one, its members are tasks as soon as somebody looks, and its columns say what
records would."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rain import RainException, Session, Task, TaskException, blob, pickled, remote
from rain.client.building.task_list import TaskList
from rain.client.core.change_feed import ChangeFeed
from rain.client.core.families.family import Family
from rain.client.core.records import TaskRecord
from rain.client.tasks import Execute
from rain.common.ids import ID
from rain.common.limits import PICKLED_ARGUMENT_WARN_BYTES
from rain.common.location import Inline
from rain.common.protocol.columns import counts, floats
from rain.common.protocol.encoding import encode
from rain.common.protocol.families import member_spec
from rain.common.protocol.messages import (
    FamilyUpdate,
    Keep,
    ObjectColumn,
    ObjectUpdate,
    SessionUpdate,
    Submit,
    TaskUpdate,
    Unkeep,
)
from rain.common.spec import ObjectInfo, TaskError
from rain.common.states import DataObjectState, TaskState
from tests.unit.client.fake import FakeLink


@remote(auto_load=True, auto_encode="pickle")
def double(ctx: Any, x: Any, y: int = 0) -> Any:
    return 2 * x + y


def records_made(session: Session) -> int:
    """How many tasks have a record."""
    return sum(isinstance(record, TaskRecord) for record in dict.values(session._inside.mirror.records))


def ended(tasks: list[Task], start: int, values: list[Any]) -> FamilyUpdate:
    """Members from `start` on are finished with these values."""
    data = [pickle.dumps(value) for value in values]
    column = ObjectColumn(
        DataObjectState.FINISHED, ObjectInfo(encoded=True), counts(map(len, data)), data, counts([0] * len(data))
    )
    times = floats([1.0 + place for place in range(len(data))])
    session_id, number = tasks[0].id
    first = ID(session_id, number + 2 * start)
    return FamilyUpdate(first, 2, len(data), TaskState.FINISHED, "g:1", 1, times, times, [column])


def tell(link: FakeLink, *updates: FamilyUpdate) -> None:
    link.say(SessionUpdate(updates[0].first.session_id, [], [], None, list(updates)))


# -- a list ---------------------------------------------------------------------------------------


@pytest.fixture(params=["family", "filled"])
def made(request: pytest.FixtureRequest, session: Session) -> list[Task]:
    """Five tasks of a `map`, looked at before or not."""
    tasks = double.map(range(5))
    if request.param == "filled":
        list(tasks)
    return tasks


def test_map_gives_a_list(session: Session, made: list[Task]) -> None:
    assert isinstance(made, list)
    assert len(made) == 5
    assert bool(made)
    first = made[0].id.id
    ids = [ID(session.session_id, first + 2 * place) for place in range(5)]
    assert made[-1].id == ids[-1]
    assert [task.id for task in made[1:3]] == ids[1:3]
    assert type(made[1:3]) is list
    with pytest.raises(IndexError, match="list index out of range"):
        made[5]
    assert [task.id for task in [*made]] == ids
    other = double(7)
    assert [task.id for task in [other] + made] == [other.id, *ids]  # noqa: RUF005
    assert [task.id for task in made + [other]] == [*ids, other.id]  # noqa: RUF005
    assert [task.id for task in 2 * made] == ids + ids
    assert [task.id for task in copy.copy(made)] == ids
    assert [task.id for task in reversed(made)] == ids[::-1]
    assert made == list(made)
    assert list(made) == made
    assert made != [other]
    assert made[2] in made
    assert made.index(made[3]) == 3
    assert repr(made) == repr(list(made))
    assert made[0] is made[0]
    made.append(other)
    made.pop(0)
    assert [task.id for task in made] == [*ids[1:], other.id]
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


def test_an_unlooked_at_map_is_what_lists_are_joined_with(session: Session) -> None:
    whole = [double(1)]
    whole += double.map(range(2))
    whole.extend(double.map(range(2)))
    whole = whole + double.map(range(2))
    assert len(whole) == 7
    assert all(isinstance(task, Task) for task in whole)
    a, b = double.map(range(2))
    assert (a.id < b.id, sorted(double.map(range(3)), key=lambda task: task.id)[0].name) == (True, "double")


def test_no_member_has_a_record_before_somebody_looks(session: Session) -> None:
    tasks = double.map(range(1000), y=1)
    session.keep(tasks)
    assert session.task_count == 1000
    assert session.dataobj_count == 1000
    assert [task.id for task in tasks][5] == tasks[5].id
    assert tasks[5].state is None
    assert len({*tasks}) == 1000
    assert records_made(session) == 0
    assert (tasks[5].name, tasks[5].spec.id) == ("double", tasks[5].id)
    assert records_made(session) == 1


def test_members_are_what_calls_are(session: Session, link: FakeLink) -> None:
    mapped = double.map(range(3), y=1)
    called = [double(number, y=1) for number in range(3)]
    for one, other in zip(mapped, called, strict=True):
        one_spec, other_spec = one.spec, other.spec
        assert encode((one_spec.config, one_spec.resources, one_spec.options, one_spec.function)) == encode(
            (other_spec.config, other_spec.resources, other_spec.options, other_spec.function)
        )
        assert one.output.spec.content_type == other.output.spec.content_type
        assert one.output.label == other.output.label
        assert "map(range(3), y=1)" in one.stack
    mapped[0].spec.resources["cpus"] = 2.0
    assert mapped[1].spec.resources == {"cpus": 1}


def test_one_bad_item_names_itself_and_leaves_nothing(session: Session) -> None:
    big = b"x" * (PICKLED_ARGUMENT_WARN_BYTES + 1)
    with (
        pytest.warns(match="PICKLED_ARGUMENT_WARN_BYTES"),
        pytest.raises(RainException, match=r"^item 2 of double") as e,
    ):
        double.map([1, big, threading.Lock()])
    assert "argument 'x'" in str(e.value)
    assert session.task_count == 0
    assert not session.objects
    with pytest.raises(TypeError, match="too many positional"):
        double.map([1], [2], [3])
    with pytest.raises(ZeroDivisionError):
        double.map(1 // x for x in [1, 0])
    assert session.task_count == 0


def test_arguments_are_pickled_at_the_call_each_by_itself(session: Session, link: FakeLink) -> None:
    shared = [1]
    tasks = double.map([shared, shared])
    shared.append(2)
    session.submit()
    (family,) = link.of(Submit)[0].families
    assert [pickle.loads(args) for args in family.args] == [(([1],), {}), (([1],), {})]
    assert tasks[0].spec.config.args == family.args[0]


@pytest.mark.parametrize("odd", [None, [0], (1, "a"), b"x" * (PICKLED_ARGUMENT_WARN_BYTES - 200)])
def test_a_map_pickles_what_a_loop_of_calls_pickles(session: Session, link: FakeLink, odd: Any) -> None:
    items = [-0.0, 10**30, "\udc80", b"\0", True, 1j, odd, 7]
    mapped, called = double.map(items, range(len(items))), [double(x, y) for y, x in enumerate(items)]
    session.submit()
    (submit,) = [message for message in link.sent if isinstance(message, Submit)]
    args = [one for family in submit.families for one in family.args]
    assert len(args) == 2 * len(items)
    assert args[: len(items)] == args[len(items) :]
    assert [pickle.loads(one) for one in args[len(items) :]] == [((x, y), {}) for y, x in enumerate(items)]
    assert len(mapped) == len(called)


def test_calls_that_are_unlike_others_are_tasks_of_their_own(session: Session, link: FakeLink) -> None:
    constant = pickled([1, 2])
    tasks = double.map([1, 2, constant, 3, 4])
    assert [task.id.id for task in tasks] == sorted(task.id.id for task in tasks)
    session.submit()
    (sent,) = link.of(Submit)
    assert [len(family.args) for family in sent.families] == [2, 2]
    assert [family.after for family in sent.families] == [0, 1]
    assert [spec.inputs[0].id for spec in sent.tasks] == [constant.id]


# -- submit, news ---------------------------------------------------------------------------------


def test_a_submit_says_of_families_what_it_says_of_tasks(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(6))
    tasks[2].keep_outputs()
    tasks[3].keep_outputs()
    session.submit()
    (sent,) = link.of(Submit)
    assert [(len(family.args), family.kept) for family in sent.families] == [(2, []), (2, [0]), (2, [])]
    specs = [
        member_spec(family.spec, place, args) for family in sent.families for place, args in enumerate(family.args)
    ]
    assert records_made(session) == 0
    assert encode(specs) == encode([task.spec for task in tasks])
    assert tasks[0].output.id == sent.families[0].outputs[0].id
    assert [task.state for task in tasks] == [TaskState.WAITING] * 6


def test_a_member_that_was_changed_is_sent_as_it_is(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(3))
    tasks[1].spec.user["mine"] = 1
    session.submit()
    (sent,) = link.of(Submit)
    assert [spec.user for spec in sent.tasks] == [{}, {"mine": 1}, {}]


def test_results_of_many_come_as_columns(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(4))
    session.keep(tasks)
    session.submit()
    tell(link, FamilyUpdate(tasks[0].id, 2, 4, TaskState.RUNNING))
    assert tasks[3].state is TaskState.RUNNING
    tell(link, ended(tasks, 0, ["a", "b"]), ended(tasks, 3, ["d"]))
    with pytest.raises(TimeoutError, match="1 of 4 items are not finished"):
        session.wait(tasks, timeout=0)
    with pytest.raises(TimeoutError, match="1 of 4 tasks are not finished"):
        session.wait_all(timeout=0)
    tell(link, ended(tasks, 2, ["c"]))
    session.wait(tasks)
    assert session.wait_all() == []
    assert records_made(session) == 0
    assert [task.output.fetch().load() for task in tasks] == ["a", "b", "c", "d"]
    assert [(task.info.start_time, task.info.governor) for task in tasks if task.info] == [
        (1.0, "g:1"), (2.0, "g:1"), (1.0, "g:1"), (1.0, "g:1")
    ]  # fmt: skip


def test_run_of_a_map_gives_its_values(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(3))
    link.reactions[Submit] = lambda request: tell(link, ended(tasks, 0, ["a", "b", "c"]))
    assert session.run(*tasks) == ["a", "b", "c"]
    assert records_made(session) == 0
    assert [family.kept for family in link.of(Submit)[0].families] == [[0]]
    again = double.map(range(2))
    link.reactions[Submit] = lambda request: tell(link, ended(again, 0, [1, 2]))
    assert session.run(again[1], again[0]) == [2, 1]


def test_news_of_single_members(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(4))
    session.keep(tasks)
    session.submit()
    data = pickle.dumps("x")
    first, last = tasks[0].id, tasks[3].id
    made = ObjectUpdate(ID(first.session_id, first.id + 1), DataObjectState.FINISHED, ObjectInfo(size=len(data)))
    link.say(SessionUpdate(1, [TaskUpdate(first, TaskState.FINISHED)], [made]))
    assert records_made(session) == 0
    assert tasks[0].state is TaskState.FINISHED
    assert tasks[0].output.state is DataObjectState.FINISHED
    link.say(SessionUpdate(1, [TaskUpdate(last, TaskState.FAILED, None, TaskError("exception", "wrong"))], []))
    with pytest.raises(TaskException, match="wrong"):
        session.wait(tasks)
    with pytest.raises(TimeoutError, match="2 of 4"):
        session.wait_all(raise_on_failure=False, timeout=0)
    tell(link, ended(tasks, 1, ["b", "c"]))
    (failed,) = session.wait_all(raise_on_failure=False)
    assert failed == tasks[3]
    assert failed is tasks[3]


def test_columns_and_records_of_one_family_agree(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(4))
    session.keep(tasks)
    session.submit()
    looked = tasks[1].output
    tell(link, ended(tasks, 0, ["a", "b", "c"]))
    assert looked.state is DataObjectState.FINISHED
    assert looked.fetch().load() == "b"
    with pytest.raises(TimeoutError, match="1 of 4"):
        session.wait(tasks, timeout=0)
    tell(link, ended(tasks, 3, ["d"]))
    session.wait(tasks)
    assert session._inside.mirror.unfinished == 0
    # a finished one runs again, because its data were lost
    link.say(SessionUpdate(1, [TaskUpdate(tasks[0].id, TaskState.READY)], []))
    assert session._inside.mirror.unfinished == 1
    assert tasks[0].state is TaskState.READY


def test_a_refused_submit_refuses_each_member(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(3))
    link.refusals[Submit] = "there is no room"
    with pytest.raises(RainException, match="no room"):
        session.submit()
    with pytest.raises(RainException, match=r"was not taken by the server: there is no room"):
        session.wait(tasks)
    assert [task.state for task in tasks] == [None] * 3
    assert session._inside.mirror.unfinished == 0


def test_whoever_goes_through_records_sees_each_member(session: Session, link: FakeLink) -> None:
    before = double(1)
    tasks = double.map(range(3))
    after = double(2)
    assert [task.id for task in session.tasks] == [before.id, *[task.id for task in tasks], after.id]
    assert session.tasks[1] is tasks[0]
    assert len(session.objects) == 5
    assert session.find(str(tasks[1].id)) is tasks[1]
    feed = ChangeFeed(session._inside.mirror, lambda: None)
    feed.take()
    more = double.map(range(2))
    assert [record.spec.id for record in feed.take()] == [task.id for task in more]
    session.submit()
    feed.take()
    tell(link, ended(more, 0, [1, 2]))
    assert {record.spec.id for record in feed.take()} >= {task.id for task in more}
    feed.close()


# -- keeping --------------------------------------------------------------------------------------


def dropped(link: FakeLink, session: Session) -> list[int]:
    """Numbers of the objects that were let go."""
    gc.collect()
    session.wait_all(raise_on_failure=False)
    found = [id.id for message in link.of(Unkeep) for id in message.objects]
    runs = [run for message in link.of(Unkeep) for run in message.runs]
    return found + [run.first.id + run.stride * place for run in runs for place in range(run.count)]


def removed(tasks: list[Task], start: int, count: int) -> FamilyUpdate:
    """What members that had finished made was removed."""
    session_id, number = tasks[0].id
    return FamilyUpdate(ID(session_id, number + 2 * start), 2, count, TaskState.FINISHED)


def test_what_is_let_go_of_many_is_told_as_runs(session: Session, link: FakeLink) -> None:
    mapped = double.map(range(500))
    called = [double(x) for x in range(500)]
    session.keep(mapped)
    session.keep(called)
    session.submit()
    for tasks in (mapped, called):
        for start in range(0, 500, 50):
            tell(link, ended(tasks, start, list(range(50))))
    held = called[7]
    first = mapped[0].id.id
    del mapped, called, tasks
    numbers = dropped(link, session)
    assert sorted(numbers) == [n for n in range(first + 1, first + 2000, 2) if n != held.id.id + 1]
    (message,) = link.of(Unkeep)
    assert ([run.count for run in message.runs], message.objects) == ([500, 7, 492], [])
    assert session.fetch(held).load() == 7


@pytest.mark.parametrize("looked_at", [(), (1,), (0, 1, 2, 3)])
def test_unkeep_of_many_is_one_message_and_asks_for_no_record(
    session: Session, link: FakeLink, looked_at: tuple[int, ...]
) -> None:
    tasks = double.map(range(4))
    session.keep(tasks)
    session.submit()
    tell(link, ended(tasks, 0, list("abcd")))
    for place in looked_at:
        assert tasks[place].state is TaskState.FINISHED
        assert tasks[place].output.is_kept()
    made = records_made(session)
    session.unkeep(tasks)
    assert records_made(session) == made
    assert sorted(dropped(link, session)) == [tasks[0].id.id + 1 + 2 * place for place in range(4)]
    assert not any(task.output.is_kept() for task in tasks)
    tell(link, removed(tasks, 0, 4))
    assert [task.output.state for task in tasks] == [DataObjectState.REMOVED] * 4
    assert [task.state for task in tasks] == [TaskState.FINISHED] * 4


def test_a_member_whose_result_was_removed_says_so_when_it_is_looked_at(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(6))
    session.keep(tasks)
    session.submit()
    tell(link, ended(tasks, 0, list("abcdef")))
    early = tasks[1].output
    session.unkeep([tasks[place] for place in (1, 2, 3)])
    tell(link, removed(tasks, 1, 3))
    assert records_made(session) == 1
    assert [task.output.state.value for task in tasks] == ["finished", *["removed"] * 3, "finished", "finished"]
    assert early.state is DataObjectState.REMOVED
    assert [session.fetch(tasks[place]).load() for place in (0, 4, 5)] == ["a", "e", "f"]
    with pytest.raises(RainException, match="kept"):
        session.fetch(tasks[2])


def test_what_a_dropped_map_kept_is_let_go(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(4))
    session.keep(tasks)
    session.submit()
    tell(link, ended(tasks, 0, list("abcd")))
    numbers = [tasks[0].id.id + 2 * place + 1 for place in range(4)]
    second, third = tasks[1], tasks[2].output
    assert dropped(link, session) == []
    del tasks
    assert sorted(dropped(link, session)) == [numbers[0], numbers[3]]
    assert second.output.fetch().load() == "b"
    del second
    assert sorted(dropped(link, session)) == [numbers[0], numbers[1], numbers[3]]
    assert third.fetch().load() == "c"
    del third
    assert sorted(dropped(link, session)) == numbers


def test_a_filled_list_lets_go_what_it_drops(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(3))
    for task in tasks:
        task.keep_outputs()
    del task
    session.submit()
    assert [family.kept for family in link.of(Submit)[0].families] == [[0]]
    tell(link, ended(tasks, 0, list("abc")))
    number = tasks[0].id.id
    tasks.pop(0)
    assert dropped(link, session) == [number + 1]
    seen = session.objects  # other handles of what the list holds
    del seen
    assert dropped(link, session) == [number + 1]
    assert tasks[0].output.fetch().load() == "b"


def test_keeping_members_of_a_submitted_map_asks_the_server(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(2))
    session.submit()
    session.keep(tasks)
    assert [id for message in link.of(Keep) for id in message.objects] == [task.output.id for task in tasks]


def test_maps_are_lists_of_their_own_kind(session: Session) -> None:
    assert type(double.map([1, 2])) is TaskList
    assert double.map([]) == []
    assert TaskList([1, 2]) == [1, 2]
    assert type(pickle.loads(pickle.dumps([1])) + double.map([1])) is list


# -- loops ----------------------------------------------------------------------------------------


def families(session: Session) -> list[int]:
    """How many members the families have that were not submitted yet."""
    return [item.count for item in session._inside.mirror.pending if isinstance(item, Family)]


def test_calls_in_a_loop_are_one_family(session: Session, link: FakeLink) -> None:
    made = [double(number, y=1) for number in range(5)]
    assert families(session) == [5]
    assert records_made(session) == 0
    session.keep(made)
    session.submit()
    tell(link, ended(made, 0, [1, 2, 3, 4, 5]))
    session.wait(made)
    assert records_made(session) == 0
    assert [task.id for task in session.tasks] == [task.id for task in made]
    assert all(one is other for one, other in zip(session.tasks, made, strict=True))
    assert made[2].output.fetch().load() == 3


def test_what_ends_a_family_of_a_loop(session: Session) -> None:
    first, second = double(1), double(2)  # of one line, at two instructions
    assert families(session) == [1, 1]
    assert first.stack == second.stack
    made = []
    for number in range(6):
        if number == 2:
            session._inside.mirror.seed = 7
        if number == 4:
            pickled("between")
        made.append(double(number))
    assert families(session) == [1, 1, 2, 2, 2]
    assert [task.spec.config.seed for task in made] == [None, None, 7, 7, 7, 7]
    longer = [double.options(name=f"{number}")(number) for number in range(2)]
    assert [task.name for task in longer] == ["0", "1"]


def test_a_call_after_a_submit_or_a_look_begins_a_family(session: Session, link: FakeLink) -> None:
    made = []
    for number in range(6):
        made.append(double(number))
        if number == 1:
            session.submit()
        if number == 3:
            assert made[3].output.label
    assert families(session) == [2, 2]
    session.submit()
    first, second = link.of(Submit)
    assert sum(len(family.args) for family in first.families) == 2
    assert sum(len(family.args) for family in second.families) + len(second.tasks) == 4
    assert session._inside.mirror.submitted == 6


def test_the_result_of_a_call_as_an_argument(session: Session, link: FakeLink) -> None:
    total = double(double(1), double(2))
    session.submit()
    (sent,) = link.of(Submit)
    assert total.spec.inputs[0].id < total.id
    assert len(sent.tasks) + sum(len(family.args) for family in sent.families) == 3
    assert total.inputs[0].state is DataObjectState.UNFINISHED


def test_calls_of_several_threads_are_all_made(session: Session) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: double.options(session=session)(number), range(200)))
    assert len({task.id for task in made}) == 200
    numbers = {number for task in made for number in (task.id.id, task.output.id.id)}
    assert len(numbers) == 400
    assert [pickle.loads(task.spec.config.args)[0] for task in made] == [(number,) for number in range(200)]


def test_a_dropped_task_of_a_loop_lets_go_what_it_kept(session: Session, link: FakeLink) -> None:
    made = [double(number) for number in range(3)]
    for task in made:
        task.keep_outputs()
    del task
    session.submit()
    tell(link, ended(made, 0, [1, 2, 3]))
    session.wait_all()
    number = made[1].id.id
    del made[1]
    assert dropped(link, session) == [number + 1]
    assert made[1].output.fetch().load() == 3


def test_many_families_are_gone_through_at_once(session: Session) -> None:
    for number in range(300):
        double(number)
        double(number)
    assert len(families(session)) == 600
    assert len(session.tasks) == 600
    assert len(session._inside.mirror.records.families) == 0


def test_a_feed_without_members_hears_of_those_of_which_there_is_more_to_say(session: Session, link: FakeLink) -> None:
    woken: list[int] = []
    feed = ChangeFeed(session._inside.mirror, lambda: woken.append(1), members=False)
    tasks = double.map(range(4))
    feed.take()
    session.submit()
    tell(link, FamilyUpdate(tasks[0].id, 2, 4, TaskState.RUNNING), ended(tasks, 0, ["a", "b"]))
    woken.clear()
    assert not any(isinstance(record, TaskRecord) for record in feed.take())
    tell(link, ended(tasks, 2, ["c"]))
    assert woken
    assert records_made(session) == 0
    link.say(SessionUpdate(1, [TaskUpdate(tasks[3].id, TaskState.FINISHED)], []))
    (printed,) = [record for record in feed.take() if isinstance(record, TaskRecord)]
    assert printed.spec.id == tasks[3].id
    session.wait(tasks)
    assert session.wait_all() == []
    assert records_made(session) == 1
    feed.close()


def test_values_of_a_map_of_which_one_member_was_told_alone(session: Session, link: FakeLink) -> None:
    tasks = double.map(range(3))
    data = pickle.dumps("alone")
    feed = ChangeFeed(session._inside.mirror, lambda: None, members=False)

    def answer(request: int) -> None:
        made = ObjectUpdate(
            ID(1, tasks[1].id.id + 1), DataObjectState.FINISHED, ObjectInfo(size=len(data)), Inline(data)
        )
        link.say(SessionUpdate(1, [TaskUpdate(tasks[1].id, TaskState.FINISHED)], [made]))
        tell(link, ended(tasks, 0, ["a"]), ended(tasks, 2, ["c"]))

    link.reactions[Submit] = answer
    assert session.run(tasks) == ["a", "alone", "c"]
    feed.close()


def test_a_run_of_a_map_begins_to_show_what_tasks_print(
    session: Session, link: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rain.client.report.echo.in_script", lambda by_interface: True)
    tasks = double.map(range(2))
    link.reactions[Submit] = lambda request: tell(link, ended(tasks, 0, [1, 2]))
    assert session.run(tasks) == [1, 2]
    assert session._inside.echo is not None
    assert records_made(session) == 0
    session.echo = False


# -- programs -------------------------------------------------------------------------------------


def test_programs_in_a_row_that_differ_by_their_words_are_a_family(session: Session, link: FakeLink) -> None:
    def sort(*words: str, **more: Any) -> Task:
        return Execute(["sort", *words], stdout=True, **more)

    alike = [sort(), sort("-r"), sort("-u", "-r")]
    others = [sort(exit_codes=[0, 1]), sort(cpus=2), Execute(["sort", blob(b"x")], stdout=True), double(1)]
    session.keep(alike)
    session.submit()
    (sent,) = link.of(Submit)
    (family,) = sent.families
    assert family.spec.id == alike[0].id
    assert family.spec.config.args == []
    assert [member_spec(family.spec, place, args).config.args for place, args in enumerate(family.args)] == [
        ["sort"],
        ["sort", "-r"],
        ["sort", "-u", "-r"],
    ]
    assert family.kept == [0]
    assert [spec.id for spec in sent.tasks] == [task.id for task in others]
