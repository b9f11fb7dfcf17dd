"""What is done to processes when, and whether two runs gave the same."""

from __future__ import annotations

import re
from itertools import islice, pairwise

import pytest

from rain.chaos.comparing import LINES_MAX, Outcome, differences
from rain.chaos.plan import Fault, faults, parse_kinds, parse_seconds
from rain.common.errors import RainException


def test_a_seed_is_a_plan() -> None:
    def plan(seed: int) -> list[Fault]:
        return list(islice(faults(seed, ["server", "governor"], ["executor"], 4.0, 2.0), 200))

    assert plan(5) == plan(5) != plan(6)
    made = plan(5)
    gaps = [after.at_s - before.at_s for before, after in pairwise(made)]
    assert min(gaps) >= 2.0
    assert max(gaps) <= 6.0
    assert {fault.kind for fault in made} == {"server", "governor", "executor"}
    for fault in made:
        assert (0.2 <= fault.pause_s <= 2.0) if fault.kind == "executor" else fault.pause_s == 0.0


def test_which_process_it_is() -> None:
    assert [Fault(0.0, "executor", choice).number_of(3) for choice in (0.0, 0.34, 0.99, 1.0)] == [0, 1, 2, 2]


@pytest.mark.parametrize("text", ["", "0s", "-1s", "5h", "s", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(RainException, match="is no time: 5s, 500ms, 2m"):
        parse_seconds(text)


def test_kinds() -> None:
    assert parse_kinds("server, executor,") == ["server", "executor"]
    with pytest.raises(RainException, match="'guardian' is no kind of process of a cluster: server, governor"):
        parse_kinds("server,guardian")


def test_what_differs_is_told() -> None:
    calm = Outcome(0, b"one\ntook 3 s\n\xff", {"a": b"1", "b": None, "c": b"3", "d": b"4"})
    assert differences(calm, calm) == []
    faulty = Outcome(-9, b"two\ntook 4 s\n\xff", {"a": b"2", "b": b"2", "c": None, "d": b"4"})
    assert differences(calm, faulty, [re.compile("^took")]) == [
        "exit status 0 without faults, -9 with them",
        "standard output differs:",
        "-one",
        "+two",
        "file a has another content",
        "file b was written with faults only",
        "file c was not written with faults",
    ]


def test_a_long_difference_is_cut() -> None:
    one = "\n".join(f"line {number}" for number in range(100)).encode()
    found = differences(Outcome(0, one, {}), Outcome(0, b"", {}))
    assert len(found) == LINES_MAX + 2
    assert found[-1] == f"… and {100 - LINES_MAX} lines more"
