"""Each awaitable twin does what the method does that blocks."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from rain import Client, DataObject, Session, Task, TaskCancelled, TaskException, TaskState, blob, remote, tasks
from tests.support.waiting import GUARD_S

T = GUARD_S


@remote(auto_encode="json")
def add(ctx: Any, a: int, b: int) -> int:
    print("adding")
    ctx.debug("{} and {}", a, b)
    return a + b


@remote(auto_encode="json")
def wrong(ctx: Any) -> Any:
    return {1, 2}


class Used:
    """Stands for an object, and notes which of its twins were called."""

    names: set[tuple[str, str]] = set()

    def __init__(self, item: Any) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_async"):
            kind = next(kind for kind in (Client, Session, Task, DataObject) if isinstance(self._item, kind))
            self.names.add((kind.__name__, name))
        return getattr(self._item, name)


async def of_clients(client: Client) -> None:
    used = Used(client)
    session = await used.new_session_async("twins", persistent=True, timeout=T)
    assert [summary.name for summary in await used.sessions_async(timeout=T)] == ["twins"]
    assert await used.attach_async("twins", timeout=T) is session
    info = await used.get_server_info_async(timeout=T)
    assert [governor["resources"]["cpus"] for governor in info["governors"]] == [2]
    assert await used.wait_for_governors_async(1, timeout=T) is None
    assert await used.drain_governors_async([], timeout=T) is None
    task = add(1, 1, session=session)
    await session.submit_async()
    await session.wait_async(task, T)
    assert await used.update_async([task], timeout=T) is None
    assert task.state is TaskState.FINISHED
    await session.close_async()


async def of_sessions(client: Client) -> None:
    async with await client.new_session_async() as session:
        used = Used(session)
        first, second = add(1, 1), add(2, 2)
        assert await used.run_async(first, second, timeout=T) == [2, 4]
        kept, held, idle = add(3, 3), add(4, 4), tasks.Sleep(blob("a"), 60, cpus=0)
        assert await used.keep_async(kept, timeout=T) is None
        await used.keep_all_async(timeout=T)
        assert held.output.is_kept()
        assert await used.check_async(timeout=T)
        assert await used.submit_async(timeout=T) is None
        assert await used.wait_async([kept, held], timeout=T) is None
        done, objects = await used.wait_some_async([idle, kept.output], timeout=T)
        assert (done, objects) == ([], [kept.output])
        assert (await used.fetch_async(kept, timeout=T)).load() == 6
        await used.unkeep_async([kept.output], timeout=T)
        assert not kept.output.is_kept()
        await used.update_async([kept, held.output], timeout=T)
        await used.cancel_async([idle], timeout=T)
        assert await used.wait_all_async(False, True, timeout=T) == [idle]
        await used.retry_async([idle], timeout=T)
        assert idle.state is not TaskState.CANCELLED
        await used.cancel_async(timeout=T)
        with pytest.raises(TaskCancelled):
            await idle
        assert await used.rerun_stale_async(timeout=T) == {}
        await used.forget_async(timeout=T)
        assert await used.wait_all_async(timeout=T) == []
        await used.close_async(timeout=T)
        assert not session.active


async def of_tasks(client: Client, folder: Path) -> None:
    async with await client.new_session_async() as session:
        task, idle, refused = add(1, 2), tasks.Sleep(blob("a"), 60, cpus=0), wrong()
        used = Used(task)
        assert await used.keep_outputs_async(timeout=T) is None
        assert task.output.is_kept()
        assert "not submitted" in await used.explain_async(timeout=T)
        await session.submit_async()
        assert await used.wait_async(timeout=T) is None
        assert [one.load() for one in await used.fetch_outputs_async(timeout=T)] == [3]
        assert await used.result_async(timeout=T) == 3
        assert await used.exception_async(timeout=T) is None
        assert (await used.stdout_async(timeout=T), await used.stderr_async(timeout=T)) == ("adding\n", "")
        await used.update_async(timeout=T)
        assert task.info is not None
        assert task.info.debug == "1 and 2"
        assert await used.capsule_async(folder / "capsule", timeout=T) == str(folder / "capsule")
        assert await used.unkeep_outputs_async(timeout=T) is None
        assert not task.output.is_kept()
        await Used(idle).cancel_async(timeout=T)
        with pytest.raises(TaskException):
            await refused
        (returned,) = await Used(refused).fetch_refused_async(timeout=T)
        assert returned.load() == {1, 2}


async def of_objects(client: Client) -> None:
    async with await client.new_session_async() as session:
        obj = add(1, 2).output
        used = Used(obj)
        assert await used.keep_async(timeout=T) is None
        await session.submit_async()
        assert await used.wait_async(timeout=T) is None
        assert (await used.fetch_async(timeout=T)).load() == 3
        assert await used.update_async(timeout=T) is None
        assert obj.info is not None
        assert await used.unkeep_async(timeout=T) is None
        assert not obj.is_kept()


def test_every_twin(client: Client, tmp_path: Path) -> None:
    async def every() -> None:
        await of_clients(client)
        await asyncio.gather(of_sessions(client), of_tasks(client, tmp_path), of_objects(client))

    Used.names.clear()
    asyncio.run(every())
    there = {
        (kind.__name__, name)
        for kind in (Client, Session, Task, DataObject)
        for name, value in inspect.getmembers(kind)
        if inspect.isfunction(value) and name.endswith("_async")
    }
    assert Used.names == there
