"""Views of objects for clients that look into data: made by executors of their own, beside those that run tasks.

Theory of operation
-------------------
Neither governor nor server loads a value. Data that have to be loaded to be shown (a pickle's value, a table that is
sorted) are loaded by an executor: forked on demand, one for each session and kind of view, so that it has the session's
paths and keeps its results between questions. It belongs to no task: it holds no cpus, its memory is limited, and it is
killed when its time is over or when the asking client hangs up. Previews are kept beside their objects, and dropped
with them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import (
    PREVIEW_S,
    VIEW_BYTES_MAX,
    VIEW_EXECUTORS_MAX,
    VIEW_IDLE_S,
    VIEW_S,
)
from rain.common.location import Inline, Stored, file_on
from rain.common.protocol.messages import (
    DataView,
    ExecutorInput,
    ExecutorTask,
    ModuleFound,
    Results,
    TaskResult,
    WantModule,
)
from rain.common.protocol.surroundings import EXECUTORS_VARIABLE, SURROUNDINGS
from rain.common.spec import TaskSpec, TaskSpecInput
from rain.common.task_configs import VIEW, ViewConfig
from rain.governor.core.events import ExecutorExited
from rain.governor.core.records import PY
from rain.governor.pools.pool import PoolEvents
from rain.governor.pools.python_executors import PythonExecutors
from rain.governor.pools.setups import if_here, setup_of
from rain.governor.views.previews import Previews
from rain.host.gpus import VARIABLE as GPUS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rain.common.protocol.messages import ObjectData
    from rain.governor.store import Store

log = logging.getLogger("rain.governor.viewing")

PREVIEW = "preview"
SECONDS = {PREVIEW: PREVIEW_S}
"""How long a kind of view may take; others `VIEW_S`."""
_TRIES = 2


class NotHeld(RainException):
    """This governor has no access to the object."""


class TookTooLong(RainException):
    """A view was not made in the time that it may take."""


class _Outdated(Exception):
    """A module that the executor has imported has changed since."""


class _Viewer:
    """One executor that makes views of one kind for one session."""

    def __init__(self, executor_id: int, key: tuple[int, str]) -> None:
        self.id = executor_id
        self.key = key
        self.number = 0
        self.answer: asyncio.Future[TaskResult] | None = None
        self.idle_since = 0.0


class Viewing:
    """All views that one governor has made.

    Parameters
    ----------
    governor_id, host_id : str
    work_dir : str
        In which its executors get folders.
    store : Store
    commands : mapping of str to sequence of str
        The command of each type of executors in other languages.
    say : callable
        Says something to the server.
    """

    def __init__(
        self,
        governor_id: str,
        host_id: str,
        work_dir: str,
        store: Store,
        commands: Mapping[str, Sequence[str]],
        say: Callable[[WantModule], None],
    ) -> None:
        self._governor_id = governor_id
        self._host_id = host_id
        self._work_dir = work_dir
        self._store = store
        self._say = say
        self._programs = {kind: command[0] for kind, command in commands.items()}
        self._loop = asyncio.get_running_loop()
        self._pool: PythonExecutors | None = None
        self._executor_ids = 0
        self._viewers: dict[int, _Viewer] = {}
        self._turns: dict[tuple[int, str], asyncio.Lock] = {}
        self._room = asyncio.Semaphore(VIEW_EXECUTORS_MAX)
        self._previews = Previews()
        self._modules: dict[tuple[int, str], list[int]] = {}
        self._closed = False

    # -- asking ---------------------------------------------------------------------------------

    def has(self, request: DataView) -> bool:
        """Whether the object can be had here."""
        return self._location(request) is not None

    def _location(self, request: DataView) -> Stored | None:
        held = self._store.get(request.id)
        if held is not None:
            return held.location
        if request.data is None:
            return None
        location = request.data.location
        return location if isinstance(location, Inline) else file_on(self._host_id, location)

    async def view(self, request: DataView) -> bytes:
        """What an executor says of an object.

        Raises
        ------
        RainException
            If it cannot be made, with the reason.
        """
        data, location = request.data, self._location(request)
        if data is None or location is None or self._closed:
            raise NotHeld(f"{self._governor_id} does not hold object {request.id}")
        kept = request.what == PREVIEW and request.path is None
        preview = self._previews.get(request.id) if kept else None
        if preview is not None:
            return preview
        try:
            result = await self._made(request, data, location)
        except TookTooLong as error:
            if kept and request.id in self._store:
                self._previews.keep(request.id, str(error))
            raise
        if result.error is not None:
            raise RainException(result.error.message)
        answer = b"".join(output.location.data for output in result.outputs if isinstance(output.location, Inline))
        if len(answer) > VIEW_BYTES_MAX:
            raise RainException(f"the view has {len(answer)} bytes, over the limit VIEW_BYTES_MAX ({VIEW_BYTES_MAX})")
        if kept and request.id in self._store:
            self._previews.keep(request.id, answer)
        return answer

    async def _made(self, request: DataView, data: ObjectData, location: Stored) -> TaskResult:
        key = (request.id.session_id, request.what)
        turn = self._turns.setdefault(key, asyncio.Lock())
        value = ExecutorInput(data.spec, data.info, data.spec.label, location)
        async with turn, self._room:
            if self._closed:
                raise NotHeld("the governor ends")
            for _ in range(_TRIES):
                async with self._viewer(key, request) as viewer:
                    with suppress(_Outdated):
                        return await self._asked(viewer, request, value)
                    self._end(viewer)
        raise RainException("it was not made, because modules of the user that it needs keep changing")

    async def _asked(self, viewer: _Viewer, request: DataView, value: ExecutorInput) -> TaskResult:
        seconds = SECONDS.get(request.what, VIEW_S)
        viewer.number += 1
        viewer.answer = self._loop.create_future()
        config = ViewConfig(request.what, request.asked, request.path)
        spec = TaskSpec(ID(request.id.session_id, 0), VIEW, config, [TaskSpecInput(request.id)])
        assert self._pool is not None
        self._pool.run(viewer.id, [ExecutorTask(viewer.number, 1, spec, [value], [])])
        try:
            async with asyncio.timeout(seconds):
                return await viewer.answer
        except TimeoutError:
            raise TookTooLong(
                f"it took longer than {seconds:g} s and was ended; the value is as it was. Loading it takes so long, "
                "or code of its class (__repr__, __setstate__) does not return"
            ) from None

    @asynccontextmanager
    async def _viewer(self, key: tuple[int, str], request: DataView) -> AsyncIterator[_Viewer]:
        """An executor for these views; if this context is left by an exception, the executor is killed."""
        viewer = next((one for one in self._viewers.values() if one.key == key), None) or self._start(key, request)
        done = False
        try:
            yield viewer
            done = True
        finally:
            viewer.answer = None
            viewer.idle_since = self._loop.time()
            if not done:
                self._end(viewer)

    def _start(self, key: tuple[int, str], request: DataView) -> _Viewer:
        if len(self._viewers) >= VIEW_EXECUTORS_MAX:
            idle = [one for one in self._viewers.values() if one.answer is None]
            if idle:
                self._end(min(idle, key=lambda one: one.idle_since))
        if self._pool is None:
            events = PoolEvents(self._results, _nothing, self._exited, self._module_wanted, _nothing)
            self._pool = PythonExecutors(events, self._work_dir)
        self._executor_ids += 1
        viewer = self._viewers[self._executor_ids] = _Viewer(self._executor_ids, key)
        here = if_here(request.env, self._host_id)
        folder = os.path.join(self._work_dir, f"viewer-{viewer.id}")
        env = {GPUS_VARIABLE: "", "MPLBACKEND": "agg"}
        if request.what == SURROUNDINGS:
            env[EXECUTORS_VARIABLE] = json.dumps(self._programs)
        setup = setup_of(viewer.id, key[0], self._governor_id, folder, self._store, here, env, {"cpus": 1.0})
        self._pool.start(viewer.id, PY, setup, here)
        return viewer

    def _end(self, viewer: _Viewer) -> None:
        """Kill an executor."""
        if self._viewers.pop(viewer.id, None) is not None and self._pool is not None:
            self._pool.kill(viewer.id)

    # -- what the pool tells --------------------------------------------------------------------

    def _results(self, executor_id: int, message: Results) -> None:
        viewer = self._viewers.get(executor_id)
        if viewer is None:
            return
        for result in message.results:
            if viewer.answer is not None and not viewer.answer.done():
                viewer.answer.set_result(result)
        if message.stale and viewer.answer is not None and not viewer.answer.done():
            viewer.answer.set_exception(_Outdated())

    def _exited(self, event: ExecutorExited) -> None:
        viewer = self._viewers.pop(event.executor_id, None)
        if viewer is not None and viewer.answer is not None and not viewer.answer.done():
            viewer.answer.set_exception(RainException(f"the executor that made it {event.reason.splitlines()[0]}"))

    def _module_wanted(self, executor_id: int, name: str) -> None:
        viewer = self._viewers.get(executor_id)
        if viewer is None:
            return
        key = (viewer.key[0], name)
        if key not in self._modules:
            self._modules[key] = []
            self._say(WantModule(*key))
        self._modules[key].append(executor_id)

    def module_found(self, message: ModuleFound) -> None:
        """The server's answer; the core, which may have asked too, gets it as well."""
        for executor_id in self._modules.pop((message.session_id, message.name), ()):
            if self._pool is not None:
                self._pool.give(executor_id, message)

    def server_gone(self) -> None:
        """What the server was asked for will not be answered: the executors that wait for it go on without."""
        for session_id, name in list(self._modules):
            self.module_found(ModuleFound(session_id, name))

    # -- ends -----------------------------------------------------------------------------------

    def keep(self, id: ID, preview: bytes) -> None:
        """The executor that made an object has made its preview."""
        if id in self._store:
            self._previews.keep(id, preview)

    def drop(self, ids: Iterable[ID]) -> None:
        """These objects are dropped, and their previews with them."""
        self._previews.drop(ids)

    def end_session(self, session_id: int) -> None:
        """A session is over: end its executors, drop its previews."""
        for viewer in [one for one in self._viewers.values() if one.key[0] == session_id]:
            answer = viewer.answer
            self._end(viewer)
            if answer is not None and not answer.done():
                answer.set_exception(RainException("its session is over"))
        self._previews.drop_session(session_id)
        for key in [key for key, turn in self._turns.items() if key[0] == session_id and not turn.locked()]:
            del self._turns[key]

    def look(self) -> None:
        """Called now and then: end executors that have not been used for a while."""
        now = self._loop.time()
        for viewer in list(self._viewers.values()):
            if viewer.answer is None and now - viewer.idle_since > VIEW_IDLE_S:
                self._end(viewer)

    async def close(self) -> None:
        """End all; returns when all executors are gone."""
        self._closed = True
        for viewer in list(self._viewers.values()):
            if viewer.answer is not None and not viewer.answer.done():
                viewer.answer.set_exception(RainException("the governor ends"))
        self._viewers.clear()
        if self._pool is not None:
            await self._pool.close()


def _nothing(executor_id: int, told: list[Any], *_: Any) -> None:
    """A viewer has one request at a time, so that none is recalled; and it runs no task that could progress."""
