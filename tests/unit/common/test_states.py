from __future__ import annotations

from rain.common.states import DATA_OBJECTS, SETTLED, TASKS, DataObjectState, TaskState


def test_every_state_is_reached_and_left() -> None:
    for table, kind in ((TASKS, TaskState), (DATA_OBJECTS, DataObjectState)):
        assert {new for _, new in table.arrows} == set(kind)
        assert {old for old, _ in table.arrows} == {None, *kind}
        assert all(old is not new for old, new in table.arrows)


def test_what_is_settled_moves_only_by_retry_or_loss() -> None:
    for state in SETTLED:
        assert TASKS.after(state) <= {TaskState.WAITING, TaskState.READY}
