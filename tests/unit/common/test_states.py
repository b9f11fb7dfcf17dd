from __future__ import annotations

from rain.common.states import SETTLED, TRANSITIONS, DataObjectState, TaskState


def test_every_state_has_its_row_and_every_row_leads_to_states() -> None:
    assert set(TRANSITIONS) == {*TaskState, *DataObjectState}
    for state, following in TRANSITIONS.items():
        assert state not in following
        assert all(type(next_state) is type(state) for next_state in following)


def test_what_is_settled_moves_only_by_retry_or_loss() -> None:
    for state in SETTLED:
        assert TRANSITIONS[state] <= {TaskState.WAITING, TaskState.READY}
