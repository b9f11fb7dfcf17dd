"""Texts that are sealed for one process."""

from __future__ import annotations

import pickle

import pytest

from rain.common.errors import RainException
from rain.net.sealing import Receiver, sealed


def test_only_the_process_that_it_was_sealed_for_reads_it() -> None:
    receiver, other = Receiver(), Receiver()
    one, two = sealed("rain1-token", receiver.public), sealed("rain1-token", receiver.public)
    assert receiver.unsealed(one) == receiver.unsealed(two) == "rain1-token"
    assert one != two
    assert b"rain1" not in one
    for wrong in (b"", one[:20], one[:-1], one[:-1] + bytes([one[-1] ^ 1]), bytes(32) + one[32:]):
        with pytest.raises(RainException, match="was not meant for this process, or was changed"):
            receiver.unsealed(wrong)
    with pytest.raises(RainException, match="was not meant for this process"):
        other.unsealed(one)


def test_a_private_key_stays_where_it_was_made() -> None:
    with pytest.raises(TypeError, match="stays in the process that made it"):
        pickle.dumps(Receiver())


@pytest.mark.parametrize("public", [b"", b"short", bytes(33)])
def test_what_is_no_public_key_is_refused(public: bytes) -> None:
    with pytest.raises(RainException, match="only for a process that has sent its public key"):
        sealed("rain1-token", public)
