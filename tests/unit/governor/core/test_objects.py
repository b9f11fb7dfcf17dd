"""Scenarios: how inputs come, and how objects go."""

from __future__ import annotations

import re

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_TRANSFERS_MAX, TRANSFERS_TOLD_MAX
from rain.common.protocol import messages as m
from rain.common.spec import Transfer
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig, blob


def test_bytes_that_come_along_are_there_at_once():
    rig = Rig()
    assert rig.assign(rig.task(1, 5), objects=[blob(5)]) == ["put 1/5", "start e1 py", "run e1: 1/1#1"]
    assert rig.assign(rig.task(2, 5), objects=[blob(5)]) == []


def test_an_input_is_fetched_once_for_all():
    rig = Rig(cpus=2)
    assert rig.assign(rig.task(1, 5), rig.task(2, 5), objects=[blob(5, None)]) == ["fetch 1/5"]
    assert rig.step(ev.FetchDone(ID(1, 5))) == [
        "start e1 py",
        "start e2 py",
        "run e1: 1/1#1",
        "run e2: 1/2#1",
        "> fetched 1/5",
    ]


def test_an_object_nobody_uses_yet_is_not_fetched():
    rig = Rig()
    assert rig.assign(objects=[blob(5, None)]) == []
    assert rig.assign(rig.task(1, 5)) == ["fetch 1/5"]


def test_a_task_waits_for_all_its_inputs():
    rig = Rig()
    rig.assign(rig.task(1, 5, 6, 5), objects=[blob(5, None), blob(6, None)])
    assert rig.step(ev.FetchDone(ID(1, 6))) == ["> fetched 1/6"]
    assert rig.step(ev.FetchDone(ID(1, 5))) == ["start e1 py", "run e1: 1/1#1", "> fetched 1/5"]


def test_the_most_urgent_transfers_go_first_and_not_too_many():
    rig = Rig()
    count = GOVERNOR_TRANSFERS_MAX + 2
    tasks = [rig.task(n, 1000 + n, rank=-n) for n in range(count)]
    lines = rig.assign(*tasks, objects=[blob(1000 + n, None) for n in range(count)])
    assert lines == [f"fetch 1/{1000 + n}" for n in range(count - 1, 1, -1)]
    # A more urgent task comes to wait for the last one.
    rig.assign(rig.task(50, 1000, rank=-99))
    assert "fetch 1/1000" in rig.step(ev.FetchDone(ID(1, 1005)))
    assert "fetch 1/1001" in rig.step(ev.FetchDone(ID(1, 1006)))


def test_an_input_that_cannot_be_had():
    rig = Rig()
    rig.assign(rig.task(1, 5), rig.task(2, 5, attempt=3), objects=[blob(5, None)])
    assert rig.step(ev.FetchFailed(ID(1, 5), "nobody has it")) == ["> 1/1 1/2@3 cannot have 1/5"]
    assert rig.said(m.InputsMissing)[0].reason == "nobody has it"
    # The server finds another place.
    assert rig.assign(rig.task(1, 5, attempt=2), objects=[blob(5, None)]) == ["fetch 1/5"]


def test_news_of_other_places_during_a_fetch_that_fails():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    rig.assign(objects=[blob(5, None, places=2)])
    assert rig.step(ev.FetchFailed(ID(1, 5), "nobody has it")) == ["fetch 1/5"]


def test_a_fetch_that_nobody_waits_for_is_cancelled():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    assert rig.take_back(1) == ["cancel fetch 1/5", "> gave back 1/1"]
    assert rig.step(ev.FetchFailed(ID(1, 5), "cancelled")) == []


def test_a_cancelled_fetch_that_is_wanted_again():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    rig.take_back(1)
    # The old one is still out.
    assert rig.assign(rig.task(2, 5)) == []
    assert rig.step(ev.FetchFailed(ID(1, 5), "cancelled")) == ["fetch 1/5"]


def test_a_cancelled_fetch_that_succeeds_all_the_same():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    rig.take_back(1)
    rig.assign(rig.task(2, 5))
    assert rig.step(ev.FetchDone(ID(1, 5))) == ["start e1 py", "run e1: 1/2#1", "> fetched 1/5"]


def test_a_fetch_whose_object_was_dropped_leaves_nothing():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    rig.take_back(1)
    assert rig.drop(5) == ["> dropped 1/5"]
    assert rig.step(ev.FetchDone(ID(1, 5))) == ["delete 1/5"]


def test_bytes_that_come_during_a_fetch():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5, None)])
    assert rig.assign(objects=[blob(5)]) == ["put 1/5", "cancel fetch 1/5", "start e1 py", "run e1: 1/1#1"]
    assert rig.step(ev.FetchFailed(ID(1, 5), "cancelled")) == []


def test_an_object_made_here_that_was_being_fetched():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2, 10), objects=[blob(10, None)])
    assert rig.results(1, 1) == ["cancel fetch 1/10", "run e1: 1/2#2", "> finished 1/1"]
    assert rig.step(ev.FetchDone(ID(1, 10))) == []


# -- dropping -------------------------------------------------------------------------------------


def test_objects_go_when_the_server_says_so():
    rig = Rig()
    rig.assign(rig.task(1, 5, outputs=2), objects=[blob(5)])
    rig.results(1, 1)
    assert rig.drop(5, 10, 11, 12) == ["delete 1/5 1/10 1/11", "> dropped 1/5 1/10 1/11 1/12"]


def test_an_object_in_use_goes_later():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    assert rig.drop(5) == []
    assert rig.results(1, 1) == ["delete 1/5", "> finished 1/1", "> dropped 1/5"]


def test_an_object_that_was_to_go_and_is_wanted_again():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    rig.drop(5)
    # For the server the old copy is gone and there is a new one.
    assert rig.assign(rig.task(2, 5), objects=[blob(5, None)]) == ["> dropped 1/5", "> fetched 1/5"]
    assert rig.results(1, 1) == ["run e1: 1/2#2", "> finished 1/1"]
    assert rig.results(1, 2) == ["> finished 1/2"]
    assert rig.drop(5) == ["delete 1/5", "> dropped 1/5"]


def test_a_dropped_object_whose_bytes_come_again():
    rig = Rig()
    rig.assign(rig.task(1, 5), objects=[blob(5)])
    rig.results(1, 1)
    lines = rig.server(m.DropObjects([ID(1, 5)]), m.Assign([rig.task(2, 5)], [blob(5)]))
    assert lines == ["delete 1/5", "> dropped 1/5", "put 1/5", "run e1: 1/2#2"]


def test_a_function_that_was_dropped_is_sent_again():
    rig = Rig()
    rig.assign(rig.task(1, function=9), objects=[blob(9)])
    rig.results(1, 1)
    rig.drop(9)
    rig.assign(rig.task(2, function=9), objects=[blob(9)])
    run = rig.last[-1]
    assert isinstance(run, fx.RunOnExecutor)
    assert not run.items[0].function_cached


# -- losses and moves -----------------------------------------------------------------------------


def test_an_object_that_is_lost():
    rig = Rig()
    rig.assign(rig.task(1, 5), rig.task(2, 5), rig.task(3, 5, 77), rig.task(4), objects=[blob(5)])
    assert rig.step(ev.ObjectLost(ID(1, 5), "corrupt")) == ["> lost 1/5", "> 1/2 1/3 cannot have 1/5"]
    # What runs may have it still.
    assert rig.results(1, 1) == ["run e1: 1/4#2", "> finished 1/1"]
    assert rig.step(ev.ObjectLost(ID(1, 5), "corrupt")) == []


def test_a_task_that_comes_back_to_a_lost_input():
    rig = Rig()
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2, 5), objects=[blob(5)])
    rig.step(ev.ObjectLost(ID(1, 5), "corrupt"))
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGBUS", 2)) == [
        "> failed 1/1 crash",
        "> 1/2 cannot have 1/5",
    ]


def test_a_lost_object_that_is_made_again_in_the_same_turn():
    rig = Rig(cpus=2)
    rig.assign(rig.task(1))
    rig.results(1, 1)
    rig.assign(rig.task(1, attempt=2))
    lines = rig.step(ev.ObjectLost(ID(1, 10), "corrupt"), ev.ExecutorResults(1, [rig.result(1)]))
    assert lines == ["> lost 1/10", "> finished 1/1@2"]


def test_an_object_that_moved():
    rig = Rig()
    rig.assign(rig.task(1))
    rig.results(1, 1)
    file = m.LocalFile("/disk/10", 1, 2, 3)
    assert rig.step(ev.ObjectMoved(ID(1, 10), file), ev.ObjectMoved(ID(1, 99), file)) == ["> moved 1/10"]
    assert rig.said(m.Moved)[0].objects == [(ID(1, 10), file)]


def test_what_came_is_told_with_each_task_that_waited_for_it():
    rig = Rig(cpus=2)
    count = TRANSFERS_TOLD_MAX + 2
    many = rig.task(3, *range(100, 100 + count))
    objects = [blob(n, None) for n in (5, 6, *range(100, 100 + count))]
    rig.assign(rig.task(1, 5), rig.task(2, 5, 6), many, objects=objects)
    moves = {n: Transfer(ID(1, n), "h:1", 7, 100.0, 1.0 + n) for n in (5, *range(100, 100 + count))}
    lines = [line for n in moves for line in rig.step(ev.FetchDone(ID(1, n), moves[n]))]
    lines += rig.step(ev.FetchDone(ID(1, 6)))  # its bytes came along
    told = {}
    while runs := re.findall(r"run e(\d+): 1/(\d+)#(\d+)", " ".join(lines)):
        executor, n, place = map(int, runs[0])
        lines = [" ".join(lines).replace(f"run e{executor}: 1/{n}#{place}", "")]
        lines += rig.step(ev.ExecutorResults(executor, [rig.result(n)]))
        told |= {result.id.id: result.info.transfers for said in rig.said(m.Finished) for result in said.results}
    assert told[1] == told[2] == [moves[5]]
    assert told[3] == [moves[n] for n in range(102, 100 + count)], "the longest"
