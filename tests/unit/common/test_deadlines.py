"""How long peers wait for each other: one table whose entries fit together."""

from __future__ import annotations

import pytest

from rain.common.limits import DEADLINES


def test_each_grace_is_longer_than_the_silence_that_the_peer_allows_itself() -> None:
    DEADLINES.check()
    DEADLINES.scaled(0.1).check()
    assert DEADLINES.interruption_s >= 60
    assert DEADLINES.server_return_s > 90
    assert DEADLINES.client_grace_s > DEADLINES.server_away_s > DEADLINES.interruption_s


@pytest.mark.parametrize(
    "change",
    [
        {"heartbeat_s": 2.0},
        {"governor_reconnect_s": 3.0},
        {"governor_reconnect_s": 11.0},
        {"link_silent_s": 10.0},
        {"server_away_s": 10.0},
        {"server_away_s": 65.0},
        {"client_grace_s": 5.0},
        {"client_grace_s": 75.0},
        {"server_return_s": 90.0},
        {"interruption_s": 70.0},
        {"client_silent_s": 60.0},
        {"handshake_s": 10.0},
    ],
    ids=str,
)
def test_a_table_that_does_not_fit_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the deadlines do not fit together: it must be that"):
        DEADLINES._replace(**change).check()
