"""Counted resources and devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.governor.resources import Allocation, Resources, describe


def test_amounts_are_taken_and_given_back():
    resources = Resources({"cpus": 2, "mem": 1 << 30})
    allocation = resources.acquire(resources.request({"cpus": 1.5}))
    assert allocation is not None
    assert resources.free() == {"cpus": 0.5, "mem": 1 << 30}
    assert resources.acquire(resources.request({"cpus": 1})) is None
    assert resources.lacking(resources.request({"cpus": 1, "mem": 1})) == ["cpus"]
    resources.release(allocation)
    assert resources.free() == resources.total()


def test_fractions_add_up_exactly():
    resources = Resources({"cpus": 1})
    tenth = resources.request({"cpus": 0.1})
    allocations = [resources.acquire(tenth) for _ in range(10)]
    assert None not in allocations
    assert resources.acquire(tenth) is None
    assert resources.free() == {"cpus": 0.0}


def test_equal_requests_have_one_shape():
    resources = Resources({"cpus": 1})
    assert resources.request({"cpus": 1, "gpus": 0}) is resources.request({"cpus": 1.0})
    assert resources.request({}).units == {}


def test_what_can_never_be_had():
    resources = Resources({"cpus": 2})
    assert resources.beyond(resources.request({"cpus": 3, "gpus": 1})) == ["cpus", "gpus"]
    assert resources.beyond(resources.request({"cpus": 2})) == []


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "2"])
def test_wrong_amounts_are_refused(amount):
    with pytest.raises(RainException, match="'cpus'"):
        Resources({"cpus": 1}).request({"cpus": amount})


def test_devices_are_distinct():
    resources = Resources({"gpus": 3})
    one, two = resources.request({"gpus": 1}), resources.request({"gpus": 2})
    first, second = resources.acquire(one), resources.acquire(two)
    assert first is not None
    assert second is not None
    assert (first.devices, second.devices) == ({"gpus": [0]}, {"gpus": [1, 2]})
    resources.release(first)
    again = resources.acquire(one, {"gpus": [0]})
    assert again is not None
    assert resources.acquire(one, {"gpus": [0]}) is None


def test_shares_of_a_device_fill_the_fullest_one():
    resources = Resources({"gpus": 2})
    half, most = resources.request({"gpus": 0.5}), resources.request({"gpus": 0.6})
    allocations = [resources.acquire(half), resources.acquire(most), resources.acquire(half)]
    assert [allocation.devices["gpus"] for allocation in allocations if allocation] == [[0], [1], [0]]
    # 0.4 is free, on a device that half would not fit on.
    assert resources.lacking(half) == ["gpus"]
    assert resources.acquire(resources.request({"gpus": 0.4})) is not None


def test_a_share_does_not_break_up_what_whole_devices_need():
    resources = Resources({"gpus": 2})
    allocation = resources.acquire(resources.request({"gpus": 1.5}))
    assert allocation is not None
    assert allocation.devices == {"gpus": [0, 1]}
    assert resources.lacking(resources.request({"gpus": 1})) == ["gpus"]


def test_amounts_for_people():
    assert describe({"cpus": 2.0, "gpus": 0.5}) == "cpus: 2, gpus: 0.5"
    assert describe({}) == "nothing"


amounts = st.fixed_dictionaries(
    {}, optional={"cpus": st.sampled_from([0, 0.1, 0.5, 1, 2]), "gpus": st.sampled_from([0.3, 0.5, 1, 1.5, 2])}
)


@given(st.lists(st.tuples(amounts, st.integers(0, 5))))
def test_any_order_of_taking_and_giving_back(steps):
    resources = Resources({"cpus": 3, "gpus": 2.5})
    held: list[Allocation] = []
    for request, give_back in steps:
        allocation = resources.acquire(resources.request(request))
        if allocation is not None:
            held.append(allocation)
        if give_back < len(held):
            resources.release(held.pop(give_back))
        resources.check(held)
    for allocation in held:
        resources.release(allocation)
    assert resources.free() == resources.total()
