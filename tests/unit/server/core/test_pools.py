"""Keys of pools: good from when a client asked for one until it closes the pool, or is gone."""

from __future__ import annotations

from rain.common.limits import POOL_SALT_BYTES, POOLS_MAX
from rain.common.protocol import messages as m
from rain.server.core import effects as do
from rain.server.core import events as ev
from tests.unit.server.rig import Rig

SALT = b"s" * POOL_SALT_BYTES


def _said(rig: Rig, event: ev.Event) -> list[do.Effect]:
    return [effect for effect in rig.step(event) if isinstance(effect, do.AllowPool | do.ForbidPool)]


def _opened(rig: Rig, client: str = "") -> int:
    answer = rig.ask(m.OpenPool, SALT, client=client)
    assert isinstance(answer, m.PoolOpened)
    return answer.pool


def test_a_pool_is_allowed_until_it_is_closed() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("one"))
    rig.step(ev.ClientJoined("other"))
    assert _said(rig, ev.ClientSaid("one", m.OpenPool(1, SALT))) == [do.AllowPool(1, SALT)]
    assert _opened(rig, "other") == 2
    assert _said(rig, ev.ClientSaid("other", m.ClosePool(7, 1))) == [], "it is another client's"
    assert _said(rig, ev.ClientSaid("one", m.ClosePool(8, 1))) == [do.ForbidPool(1)]
    assert _said(rig, ev.ClientSaid("one", m.ClosePool(9, 1))) == []
    assert _opened(rig, "other") == 3, "what comes late by the key of the first is not taken for this one's"


def test_pools_go_with_their_client() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("one"))
    for _ in range(3):
        _opened(rig, "one")
    mine = _opened(rig)
    assert _said(rig, ev.ClientGone("one")) == [do.ForbidPool(number) for number in (1, 2, 3)]
    assert rig.core.state.pools.keys() == {mine}


def test_numbers_go_round() -> None:
    rig = Rig()
    kept = _opened(rig)
    for _ in range(POOLS_MAX - 1):
        number = _opened(rig)
        rig.ask(m.ClosePool, number)
    assert number == POOLS_MAX
    assert (kept, _opened(rig)) == (1, 2)


def test_what_cannot_be_is_refused() -> None:
    rig = Rig()
    answer = rig.ask(m.OpenPool, b"short")
    assert isinstance(answer, m.Failed)
    assert "the salt of a pool has 32 bytes, not 5" in answer.message
    for _ in range(POOLS_MAX):
        _opened(rig)
    answer = rig.ask(m.OpenPool, SALT)
    assert isinstance(answer, m.Failed)
    assert "POOLS_MAX" in answer.message


def test_governors_of_a_pool_leave_when_it_is_closed_and_are_no_other_pools() -> None:
    rig = Rig()
    first, second = _opened(rig), _opened(rig)
    for name, pool in (("g1", first), ("g2", second)):
        rig.governor(name)
        rig.core.state.graph.governors[name].pool = pool
    rig.ask(m.ClosePool, first)
    rig.turn()
    assert [said.reason for said in rig.told("g1", m.Drain)] == ["its pool was closed"]
    assert not rig.told("g2", m.Drain)
    assert rig.core.state.graph.governors["g1"].pool == 0


def test_a_governor_that_registers_after_its_pool_was_closed_leaves() -> None:
    rig = Rig()
    number = _opened(rig)
    rig.ask(m.ClosePool, number)
    rig.step(ev.GovernorJoined("late", m.Register("late", "h", {"cpus": 1.0}, [], "3.11"), number))
    rig.turn()
    assert [said.reason for said in rig.told("late", m.Drain)] == ["its pool was closed"]


def test_governors_of_a_pool_leave_when_its_client_is_gone() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("one"))
    number = _opened(rig, "one")
    for name, pool in (("g1", 0), ("g2", number), ("g3", _opened(rig))):
        rig.governor(name)
        rig.core.state.graph.governors[name].pool = pool
    rig.step(ev.ClientGone("one"))
    rig.turn()
    assert [said.reason for said in rig.told("g2", m.Drain)] == ["the client that asked for its place is gone"]
    assert not rig.told("g1", m.Drain)
    assert not rig.told("g3", m.Drain)
