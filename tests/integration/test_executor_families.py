"""Members of families in real executors: each keeps what a task has."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from typing import Any

import cloudpickle

from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import ExecutorFamily
from rain.objects.content_types.codecs import decode_value
from tests.integration.executors_rig import Rig, with_rig

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def ids(family: ExecutorFamily) -> list[int]:
    stride = len(family.outputs) + 1
    return [family.spec.id.id + place * stride for place in range(len(family.args))]


async def ended(rig: Rig, family: ExecutorFamily, executor_id: int = 1) -> list[Any]:
    """The results of all members."""
    wanted = [(executor_id, number) for number in ids(family)]
    await rig.until(lambda: all(key in rig.results for key in wanted))
    return [rig.results[key] for key in wanted]


def value_of(result: Any) -> Any:
    assert result.error is None, result.error.message
    return decode_value(result.outputs[0].location.data, "pickle")


def double(ctx, x):
    return 2 * x


@with_rig
async def test_a_range_of_members_is_told_in_few_columns(rig: Rig) -> None:
    rig.start()
    family = rig.family(double, range(500))
    rig.executors.run(1, [], [family])
    results = await ended(rig, family)
    assert [value_of(result) for result in results] == [2 * x for x in range(500)]
    assert [result.outputs[0].id.id for result in results] == [number + 1 for number in ids(family)]
    assert sum(len(message.families) for _, message in rig.batches) < 100
    assert not any(message.results for _, message in rig.batches)
    starts = [result.info.start_time for result in results]
    assert starts == sorted(starts)


@with_rig
async def test_what_members_write_raise_and_note_is_their_own(rig: Rig) -> None:
    def act(ctx, x):
        if x == 1:
            print("one")
        if x == 2:
            raise ValueError("two")
        if x == 3:
            ctx.debug("three")
        if x == 4:
            ctx.info.user["four"] = 4
        if x == 5:
            return ctx.blob(b"five", content_type="user/five")
        return ctx.spec.id.id, ctx.spec.name, ctx.info.attempts, os.listdir("."), open("file", "w").write("x")

    rig.start()
    family = rig.family(act, range(7))
    rig.executors.run(1, [], [family])
    results = await ended(rig, family)
    assert [result.stdout for result in results] == [b"", b"one\n", b"", b"", b"", b"", b""]
    assert "two" in results[2].error.message
    assert (results[3].info.debug, results[4].info.user) == ("three", {"four": 4})
    assert results[5].outputs[0].info.content_type == "user/five"
    assert [value_of(results[place]) for place in (0, 6)] == [
        (ids(family)[place], "test", 1, [], 1) for place in (0, 6)
    ]


@with_rig
async def test_a_crash_charges_one_member_and_loses_no_other(rig: Rig) -> None:
    def die(ctx, x):
        if x == 300:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    rig.start()
    first = rig.family(die, range(5))
    rig.executors.run(1, [], [first])
    await ended(rig, first)
    family = rig.family(die, range(600))
    rig.executors.run(1, [], [family])
    _, number, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert number == family.number + 300
    told = {place for place, id in enumerate(ids(family)) if (1, id) in rig.results}
    told |= {member.number - family.number for member in rig.members}
    assert told == set(range(300))


@with_rig
async def test_results_of_short_tasks_outlive_the_process_that_holds_them(rig: Rig) -> None:
    def die(ctx, fatal):
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return b""

    rig.start()
    await rig.run(die, False)
    await rig.run(die, False)  # it is known to be short
    before = [rig.task(die, False) for _ in range(5)]
    fatal = rig.task(die, True)
    rig.executors.run(1, [*before, fatal])
    _, number, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert number == fatal.number
    assert all((1, task.spec.id.id) in rig.results for task in before)


@with_rig
async def test_the_first_results_do_not_wait_for_the_range(rig: Rig) -> None:
    def nap(ctx, x):
        time.sleep(0.02)
        return x

    rig.start()
    family = rig.family(nap, range(20))
    rig.executors.run(1, [], [family])
    await rig.until(lambda: (1, ids(family)[0]) in rig.results)
    assert (1, ids(family)[-1]) not in rig.results
    await ended(rig, family)


@with_rig
async def test_an_interrupt_hits_the_member_that_runs(rig: Rig) -> None:
    def wait(ctx, path):
        if path:
            while True:
                time.sleep(0.01)

    rig.start()
    family = rig.family(wait, [None, "for ever", None, None])
    rig.executors.run(1, [], [family])
    await rig.running(family.number + 1)
    rig.executors.interrupt(1, family.number)  # too late for this one
    rig.executors.interrupt(1, family.number + 1)
    results = await ended(rig, family)
    assert [result.error and result.error.kind for result in results] == [None, "cancelled", None, None]


@with_rig
async def test_the_tail_of_a_range_is_given_back(rig: Rig) -> None:
    def wait(ctx, path):
        while path and not os.path.exists(path):
            time.sleep(0.005)

    rig.start()
    path = str(rig.folder / "go")
    family = rig.family(wait, [path, None, None, None, None])
    rig.executors.run(1, [], [family])
    await rig.running(family.number)
    rig.executors.recall(1, [family.number + place for place in (0, 2, 3, 4)])
    _, given = (await rig.until(lambda: rig.recalled))[0]
    assert sorted(given) == [family.number + place for place in (2, 3, 4)]
    open(path, "w").close()
    await rig.until(lambda: (1, ids(family)[1]) in rig.results)
    assert (1, ids(family)[2]) not in rig.results


@with_rig
async def test_what_is_just_too_large_to_travel_is_a_file(rig: Rig) -> None:
    def text(ctx, size):
        return b"x" * size

    rig.start()
    sizes = range(INLINE_BYTES_MAX - 40, INLINE_BYTES_MAX + 4)
    family = rig.family(text, sizes)
    rig.executors.run(1, [], [family])
    for size, result in zip(sizes, await ended(rig, family), strict=True):
        location = result.outputs[0].location
        assert isinstance(location, LocalFile) == (len(pickle.dumps(b"x" * size)) > INLINE_BYTES_MAX)
    result = await rig.run(text, INLINE_BYTES_MAX - 1, encode="pickle")
    assert isinstance(result.outputs[0].location, LocalFile)


@with_rig
async def test_what_a_frame_cannot_hold_goes_in_pieces(rig: Rig) -> None:
    def length(ctx, data):
        return len(data)

    rig.start()
    family = rig.family(length, [bytes(30 << 20)] * 3)
    rig.executors.run(1, [], [family])
    assert [value_of(result) for result in await ended(rig, family)] == [30 << 20] * 3
    assert rig.results[1, family.spec.id.id].id == ID(1, family.spec.id.id)
