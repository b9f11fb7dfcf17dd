"""The registry of executor pools: which pool is asked for which executor."""

from __future__ import annotations

import asyncio
from typing import Any

from rain.common.ids import ID
from rain.governor.pools.pool import Pools


class PaperPool:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.executors: dict[int, str] = {}
        self.calls: list[tuple[Any, ...]] = []

    def start(self, executor_id: int, kind: str, setup: Any, here: Any = None) -> None:
        self.executors[executor_id] = kind

    def seen(self) -> dict[int, int]:
        return dict.fromkeys(self.executors, 0)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))

    async def close(self) -> None:
        self.executors.clear()


def test_each_executor_is_of_the_pool_of_its_type() -> None:
    ours, theirs = PaperPool(), PaperPool()
    pools = Pools({"py": ours, "program": ours, "cpp": theirs})
    assert pools.kinds == ["cpp", "program", "py"]
    for executor_id, kind in enumerate(["py", "cpp", "program"], start=1):
        pools.start(executor_id, kind, None, None)
    assert (ours.executors, theirs.executors) == ({1: "py", 3: "program"}, {2: "cpp"})
    assert pools.seen() == {1: 0, 2: 0, 3: 0}
    pools.of(2).interrupt(2, 7)
    pools.forget(2)
    pools.kill_all()
    assert theirs.calls == [("interrupt", 2, 7)]
    assert ours.calls == [("kill", 1), ("kill", 3)]


def test_all_pools_are_told_once() -> None:
    ours, theirs = PaperPool(), PaperPool()
    pools = Pools({"py": ours, "program": ours, "cpp": theirs})
    pools.drop([ID(1, 2)])
    pools.note_oom_kills()
    assert ours.calls == theirs.calls == [("drop", [ID(1, 2)]), ("note_oom_kills",)]
    pools.start(1, "py", None, None)
    asyncio.run(pools.close())
    assert pools.seen() == {}


def test_what_is_said_of_an_executor_that_is_gone_goes_to_a_pool_that_does_not_know_it() -> None:
    pool = PaperPool()
    Pools({"py": pool}).of(99).kill(99)
    assert pool.calls == [("kill", 99)]
