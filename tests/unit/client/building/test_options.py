"""Options and users' attributes."""

from __future__ import annotations

import http
import math
from typing import Any

import numpy as np
import pytest

from rain import RainException
from rain.client.building.options import Options
from rain.common.attributes import check_user
from rain.common.protocol.encoding import encode


def test_nothing_given() -> None:
    options = Options({})
    assert options.resources == {"cpus": 1}
    assert options.rare is None
    assert options.user == {}


def test_resources() -> None:
    assert Options({"cpus": 0}).resources == {}
    assert Options({"cpus": 0.5, "resources": {"gpus": 1}}).resources == {"cpus": 0.5, "gpus": 1}
    assert Options({"resources": {"cpus": 2}}).resources == {"cpus": 2}
    with pytest.raises(RainException, match="contradict"):
        Options({"cpus": 1, "resources": {"cpus": 2}})


def test_options_over_options() -> None:
    first = Options({"cpus": 2, "name": "a", "retries": 1})
    second = first.but({"name": "b", "resources": {"cpus": 3}})
    assert (second.name, second.resources, second.rare and second.rare.retries) == ("b", {"cpus": 3}, 1)
    assert first.name == "a"
    assert first.but({}) is first


def test_rare_ones() -> None:
    class Odd(Exception):
        pass

    rare = Options({"retry_on": [ValueError, Odd, "x.Y"], "timeout": 3, "rerun": "never", "priority": -2}).rare
    assert rare is not None
    assert rare.retry_on[0] == "builtins.ValueError"
    assert rare.retry_on[1].endswith("test_rare_ones.<locals>.Odd")
    assert rare.retry_on[2] == "x.Y"
    assert (rare.timeout, rare.rerun, rare.priority) == (3, "never", -2)
    assert Options({"retries": 0, "priority": 0, "env": {}}).rare is None


def test_numbers_of_numpy() -> None:
    options = Options({"cpus": np.float32(0.5), "retries": np.int64(3), "priority": np.int32(-1)})
    assert options.resources == {"cpus": 0.5}
    assert options.rare is not None
    assert (options.rare.retries, options.rare.priority) == (3, -1)
    assert type(options.rare.retries) is int


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": -1},
        {"cpus": 10**400},
        {"timeout": math.inf},
        {"retries": np.float64(2)},
        {"cpus": "2"},
        {"cpus": True},
        {"cpus": math.nan},
        {"resources": [1]},
        {"resources": {"gpus": "a"}},
        {"resources": {7: 1}},
        {"timeout": 0},
        {"timeout": "1"},
        {"retries": -1},
        {"retries": 1.5},
        {"retry_on": 7},
        {"rerun": "always"},
        {"priority": "high"},
        {"env": {"A": 1}},
        {"env": {"A=B": "1"}},
        {"env": ["A"]},
        {"fresh": "yes"},
        {"name": 7},
        {"session": "s"},
        {"user_spec": {"a": ...}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RainException) as caught:
        Options(wrong)
    (name,) = wrong
    words = {"resources": "resource", "name": "name", "user_spec": "user_spec"}
    assert words.get(name, name) in str(caught.value)


def test_unknown_names_are_type_errors() -> None:
    with pytest.raises(TypeError, match="'retires'; did you mean 'retries'"):
        Options({"retires": 3}, "f()")


def test_user_attributes_are_json() -> None:
    values = {"a": [1, {"b": None}], "c": (True, 1.5)}
    assert check_user(values) == values
    assert check_user(None) == {}
    found = check_user({np.str_("a"): np.float64(0.5), "b": [http.HTTPStatus.OK]})
    assert found == {"a": 0.5, "b": [200]}
    assert encode(found) == encode({"a": 0.5, "b": [200]}), "messages take no subclasses"
    with pytest.raises(RainException, match=r"user_spec\['a'\]\[1\]\['b'\] is set"):
        check_user({"a": [1, {"b": {1}}]})
    with pytest.raises(RainException, match="keys are str"):
        check_user({1: 2})
    with pytest.raises(RainException, match="64 bits"):
        check_user({"a": 1 << 70})
    with pytest.raises(RainException, match="dict"):
        check_user([1])
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RainException, match="deep"):
        check_user({"a": loop})
