"""Previews of results, made by executors of their own where the data lie."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from contextlib import asynccontextmanager

import cloudpickle
import pytest

from rain import Client, Output, OutputDir, RainException, blob, pickled, remote
from rain.common.ids import ID
from rain.common.limits import PREVIEW_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import DataView, ObjectData, SessionEnv
from rain.common.protocol.previews import Field, decode_preview
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.store import Store
from rain.governor.views import viewing
from rain.governor.views.viewing import Viewing
from rain.host.process_table import descendants
from tests.support.waiting import until_async


@pytest.fixture(scope="module")
def client():
    with Client.local(cpus=1) as client:
        yield client


def test_results_constants_and_what_lies_in_folders(client, session, tmp_path):
    class Point:  # a class of this function: only the pickle has it
        def __init__(self):
            self.x, self.name = 3, "<b>"

    @remote(outputs=Output("made", encode="cloudpickle"))
    def instance(ctx):
        return Point()

    @remote(outputs=Output("large", encode="pickle"))
    def array(ctx):
        import numpy

        return numpy.arange(1_000_000)

    @remote(outputs=OutputDir("tree"))
    def folder(ctx):
        os.makedirs("tree/sub")
        with open("tree/sub/value.pkl", "wb") as file:
            pickle.dump([1, 2], file)
        return ctx.stage_directory("tree")

    constant = pickled({"a": 1})
    done = [instance(), array(), folder()]
    for item in (constant, *(task.output for task in done)):
        item.keep()
    session.submit()
    session.wait_all()
    made, large, tree = (task.output for task in done)

    assert session._preview(made).fields == [Field("x", "int", "3"), Field("name", "str", "<b>")]
    found = session._preview(large)
    assert ("shape", "1,000,000") in found.summary
    assert found.histogram is not None
    assert session._preview(constant).fields == [Field("a", "int", "1")]
    inside = tree.fetch()._ask("preview", b"", "sub/value.pkl", None)
    assert decode_preview(inside).text == "[1, 2]"
    with pytest.raises(RainException, match="a directory has no preview"):
        session._preview(tree)
    assert decode_preview(large.fetch()._ask("preview", b"", None, None)) == found

    session.previews = False
    with pytest.raises(RainException, match="previews are off in this session"):
        session._preview(made)


def test_no_cpu_is_needed_and_no_task_waits(client, session, tmp_path):
    """The governor's only cpu is taken while the preview is made."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    @remote(outputs=0)
    def wait(ctx, path):
        with open(path) as file:
            file.read()

    value = pickled([7])
    value.keep()
    task = wait(str(fifo))
    session.submit()
    with open(fifo, "w"):  # as soon as the task has opened it
        assert session._preview(value).text == "[7]"
    task.wait()


def test_there_is_none_of_what_is_not_there(client, session):
    value = blob(b"x")
    with pytest.raises(RainException, match="is not finished, or its data are gone"):
        session._preview(value)
    kept = blob(b"bytes without a type")
    kept.keep()
    session.submit()
    with pytest.raises(RainException, match="has no content type"):
        session._preview(kept)


# -- one governor's part, alone ------------------------------------------------------------------------


class Rig:
    def __init__(self, folder):
        self.store = Store(str(folder))
        self.said = []
        self.viewing = Viewing("here:1", "host", str(folder), self.store, {}, self.said.append)
        self.numbers = 0

    def put(self, value):
        """The request for the preview of a value that is in the store."""
        self.numbers += 1
        id = ID(1, self.numbers)
        data = cloudpickle.dumps(value)
        self.store.put_bytes(id, Inline(data))
        env = SessionEnv("host", sys.executable, "3", sys.path, os.getcwd())
        spec = ObjectSpec(id, "value", "cloudpickle")
        return DataView(id, "preview", data=ObjectData(spec, ObjectInfo(size=len(data)), Inline(data)), env=env)


@asynccontextmanager
async def rig_in(folder):
    rig = Rig(folder)
    try:
        yield rig
    finally:
        await rig.viewing.close()
        rig.store.close()


class Stuck:
    """Its repr is C code that does not return, and that no signal of Python's interrupts."""

    def __repr__(self):
        return str(sum(iter(int, 1)))


class Ends:
    def __repr__(self):
        os._exit(3)


class Raises:
    def __repr__(self):
        raise SystemExit("no")


def test_code_that_does_not_return_is_ended_with_the_preview(tmp_path, monkeypatch):
    async def scenario():
        async with rig_in(tmp_path) as rig:
            assert decode_preview(await rig.viewing.view(rig.put([1]))).text == "[1]"  # the executor has started
            monkeypatch.setitem(viewing.SECONDS, "preview", 0.3)
            stuck = rig.put(Stuck())
            with pytest.raises(RainException, match=r"took longer than 0.3 s and was ended"):
                await rig.viewing.view(stuck)
            monkeypatch.setitem(viewing.SECONDS, "preview", 60.0)
            with pytest.raises(RainException, match=r"took longer than 0.3 s"):  # it is not tried again
                await rig.viewing.view(stuck)
            ends = rig.viewing.view(rig.put(Ends()))
            with pytest.raises(RainException, match="the executor that made it exited with status 3"):
                await ends
            raises = decode_preview(await rig.viewing.view(rig.put(Raises())))
            assert raises.text == "<its repr raises SystemExit: no>"
            assert decode_preview(await rig.viewing.view(rig.put([2]))).text == "[2]"

    asyncio.run(scenario())


def test_who_hangs_up_ends_the_executor_and_others_are_served(tmp_path):
    async def scenario():
        async with rig_in(tmp_path) as rig:
            before = set(executors())
            asker = asyncio.ensure_future(rig.viewing.view(rig.put(Stuck())))
            first = await until_async(lambda: set(executors()) - before)
            waiting = asyncio.ensure_future(rig.viewing.view(rig.put([2])))
            asker.cancel()
            assert decode_preview(await waiting).text == "[2]"
            await until_async(lambda: not first & set(executors()))

    def executors():
        return [pid for pid in descendants(os.getpid()) if name_of(pid) == "rain-executor"]

    def name_of(pid):
        try:
            with open(f"/proc/{pid}/comm") as file:
                return file.read().strip()
        except OSError:
            return ""

    asyncio.run(scenario())


def test_previews_stay_with_their_objects(tmp_path):
    async def scenario():
        async with rig_in(tmp_path) as rig:
            one, other = rig.put("x" * 100_000), rig.put([1])
            made = await rig.viewing.view(one)
            assert len(made) <= PREVIEW_BYTES_MAX
            assert await rig.viewing.view(one) is made
            rig.store.drop([one.id])
            rig.viewing.drop([one.id])
            assert rig.viewing.has(one)  # its bytes came along
            again = await rig.viewing.view(one)
            assert (again, again is made) == (made, False)
            assert await rig.viewing.view(one) is not again  # it has no object here beside which it could be kept
            await rig.viewing.view(other)
            rig.viewing.end_session(1)
            elsewhere = DataView(ID(1, 99), "preview")
            assert not rig.viewing.has(elsewhere)
            with pytest.raises(RainException, match="here:1 does not hold object 1/99"):
                await rig.viewing.view(elsewhere)

    asyncio.run(scenario())


def test_what_it_lacks_of_modules_is_asked_for(tmp_path):
    """The session's client is on another host."""
    from rain.common.protocol.messages import ModuleFound, WantModule
    from rain.common.task_configs import UserModule

    async def scenario():
        async with rig_in(tmp_path) as rig:
            request = rig.put([1])
            pickled_value = b"cfar_away\nThing\n)\x81."  # an instance of far_away.Thing
            request.data.location = Inline(b"\x80\x04" + pickled_value)
            request.env.host_id = "another host"
            rig.store.drop([request.id])
            asked = asyncio.ensure_future(rig.viewing.view(request))
            await until_async(lambda: rig.said)
            assert rig.said == [WantModule(1, "far_away")]
            source = b"class Thing:\n    def __repr__(self):\n        return 'it came'\n"
            module = UserModule("far_away", "/there/far_away.py", 1, len(source), source)
            rig.viewing.module_found(ModuleFound(1, "far_away", module))
            assert decode_preview(await asked).text == "it came"

    asyncio.run(scenario())
