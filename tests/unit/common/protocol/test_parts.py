"""Messages in parts."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.parts import _LISTS, halves
from rain.common.spec import TaskInfo

BOUNDED = {
    m.Attached: "the server sends it in pieces",
    m.Updated: "the server sends it in pieces",
    m.Located: "bytes are left out past BATCH_BYTES_TARGET",
    m.Output: "at most OUTPUT_TASKS_MAX tails",
    m.OutputRead: "at most OUTPUT_TASKS_MAX tails",
    m.ReadOutput: "at most OUTPUT_TASKS_MAX ids",
    m.TakeBack: "at most AHEAD_TASKS_MAX ids a cpu",
    m.ServerInfo: "refused if it is too large; ServerBrief is not",
    m.ServerBrief: "figures of each governor and session",
    m.Demand: "figures of each kind of request for resources, and of each governor",
    m.Register: "the governor's configuration",
    m.TookOver: "the governor sends it in pieces",
}
"""Messages with lists that are not cut, and what keeps them below a frame's size."""


def cut(message: Any) -> list[Any]:
    """All that `halves` leads to."""
    parts = halves(message)
    return [message] if parts is None else [last for part in parts for last in cut(part)]


def test_halves_say_the_same_in_the_same_order() -> None:
    results = [m.TaskResult(ID(1, number), 1, TaskInfo()) for number in range(5)]
    parts = cut(m.Finished(results))
    assert [part.results for part in parts] == [[result] for result in results]
    lost = cut(m.ObjectsLost([ID(1, 1), ID(1, 2)], "the disk broke"))
    assert lost == [m.ObjectsLost([ID(1, 1)], "the disk broke"), m.ObjectsLost([ID(1, 2)], "the disk broke")]


def test_objects_precede_the_tasks_that_use_them() -> None:
    spec = m.TaskSpec(ID(1, 9), "py/")
    data = [m.ObjectData(m.ObjectSpec(ID(1, number)), m.ObjectInfo(), Inline(b"")) for number in range(3)]
    parts = cut(m.Assign([m.TaskAssignment(spec, 1, [])], data))
    assert [len(part.objects) for part in parts] == [1, 1, 1, 0]
    assert [len(part.tasks) for part in parts] == [0, 0, 0, 1]


@pytest.mark.parametrize("union", [m.ServerToClient, m.GovernorToServer, m.ServerToGovernor])
def test_each_message_with_a_list_is_cut_or_bounded(union: Any) -> None:
    for kind in get_args(union):
        lists = [field.name for field in msgspec.structs.fields(kind) if str(field.type).startswith("list")]
        if lists and kind not in BOUNDED:
            assert kind in _LISTS, f"{kind.__name__} has lists ({lists}); what if they are long?"
