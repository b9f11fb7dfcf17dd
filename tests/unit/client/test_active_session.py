"""Which session is the active one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rain import RainException, Session, SessionException, blob
from rain.client import active_session
from rain.client.session import get_active_session
from tests.unit.client.fake import FakeLink


def test_none() -> None:
    with pytest.raises(RainException, match="no session is active"):
        get_active_session()
    with pytest.raises(RainException, match="no session is active"):
        blob("a")


def test_the_innermost_block_counts() -> None:
    outer, inner = Session(None, 1), Session(None, 2)
    with outer.bind_only() as bound:
        assert bound is outer
        with inner.bind_only():
            assert get_active_session() is inner
            assert blob("a")._session is inner
        assert get_active_session() is outer
        assert blob("a")._session is outer
        assert blob("a", session=inner)._session is inner


def test_the_default_counts_outside_of_blocks(link: FakeLink) -> None:
    first = link.client.new_session("first", default=True)
    assert get_active_session() is first
    with Session(None, 9).bind_only() as other:
        assert get_active_session() is other
    second = link.client.new_session("second")
    second.set_as_default()
    assert get_active_session() is second
    first.close()
    assert get_active_session() is second
    second.close()
    with pytest.raises(RainException, match="no session"):
        get_active_session()


def test_a_block_closes_its_session_and_bind_only_does_not(link: FakeLink) -> None:
    session = link.client.new_session("a")
    with session.bind_only():
        pass
    assert session.active
    with session:
        assert session.active
    assert not session.active
    with pytest.raises(SessionException, match="bind_only"), session:
        pass
    with pytest.raises(SessionException, match="closed"):
        session.set_as_default()
    with pytest.raises(SessionException, match="closed"):
        blob("a", session=session)
    session.close()


def test_the_stack_is_per_thread() -> None:
    seen: list[bool] = []

    def look() -> None:
        try:
            get_active_session()
        except RainException:
            seen.append(True)

    with Session(None, 1).bind_only():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [True]


def test_the_stack_is_per_asyncio_task() -> None:
    async def use(number: int, barrier: asyncio.Barrier) -> int:
        with Session(None, number).bind_only():
            await barrier.wait()
            return get_active_session().session_id

    async def main() -> list[int]:
        barrier = asyncio.Barrier(3)
        return await asyncio.gather(*(use(number, barrier) for number in range(3)))

    assert asyncio.run(main()) == [0, 1, 2]


def test_blocks_may_end_in_any_order() -> None:
    a, b = Session(None, 1), Session(None, 2)
    active_session.push(a)
    active_session.push(b)
    active_session.pop(a)
    assert get_active_session() is b
    active_session.pop(b)
    active_session.pop(b)


def test_an_error_inside_a_block_is_the_one_that_is_seen(link: FakeLink) -> None:
    session = link.client.new_session("a")
    from rain.common.protocol.messages import CloseSession

    link.refusals[CloseSession] = "no"
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert not session.active


def test_async_with_closes(link: FakeLink) -> None:
    async def main() -> Session:
        async with link.client.new_session("a") as session:
            assert get_active_session() is session
        return session

    assert not asyncio.run(main()).active


def test_a_closed_session_is_not_where_new_items_go() -> None:
    session = Session(None, 1)
    with session:
        session.close()
        with pytest.raises(SessionException, match="is closed"):
            get_active_session()
