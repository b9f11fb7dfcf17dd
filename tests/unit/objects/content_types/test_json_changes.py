"""JSON that gives back something else than it was given is told about, or refused where something would be lost."""

from __future__ import annotations

import enum
import warnings
from typing import Any, NamedTuple

import pytest

from rain.common.errors import RainException, RainWarning
from rain.objects.content_types.codecs import decode_value, encode_value


class Pair(NamedTuple):
    a: int
    b: int


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((1, 2), "it is a tuple, which comes back as a list"),
        ({"a": [0, Pair(1, 2)]}, r"value\['a'\]\[1\] is a Pair, which comes back as a list"),
        ({1: "a"}, "it has the key 1, which comes back as '1'"),
        ([{True: 1}], r"value\[0\] has the key True, which comes back as 'true'"),
        ({None: float("nan")}, "it has the key None"),
    ],
)
def test_what_comes_back_otherwise_is_told(value: Any, told: str) -> None:
    with pytest.warns(RainWarning, match=told) as caught:
        encode_value(value, "json")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"a": [None, 2.5]}], [float("nan")], Level.LOW, [Level.LOW]])
def test_what_comes_back_equal_is_not(value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_value(value, "json")


def test_keys_that_become_one_are_refused() -> None:
    with pytest.raises(
        RainException, match=r"keys 1 and '1', which are one key in JSON: an item would be lost.*pickle"
    ):
        encode_value({"a": {1: "a", "1": "b"}}, "json")


def test_a_comparison_that_fails_changes_nothing() -> None:
    class Odd(dict[str, int]):
        def __eq__(self, other: object) -> bool:
            raise ValueError("odd")

        __hash__ = None  # type: ignore[assignment]

    assert decode_value(encode_value(Odd(a=1), "json"), "json") == {"a": 1}
