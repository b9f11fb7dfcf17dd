"""Plain functions: values in, a value out, no context."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import itertools
import os
import pydoc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import rain
from rain import (
    Client,
    DataInstance,
    PlainFunction,
    RainException,
    RainWarning,
    Session,
    TaskException,
    blob,
    pickled,
    task,
)


@task
def add(a: Any, b: Any = 10) -> Any:
    """The sum."""
    return a + b


@task(cpus=0.5, name="numbers/even")
def even(count: int) -> Iterator[int]:
    yield from range(0, 2 * count, 2)


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

    @task
    def moved(self, by: int) -> Any:
        return dataclasses.replace(self, x=self.x + by)

    def __call__(self, by: int) -> int:
        return self.x * by

    @classmethod
    def at(cls, x: int) -> Any:
        return cls(x)


class Refused(ValueError):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"{number}: {why}")
        self.number = number


def test_values_go_in_and_a_value_comes_out(session: Session) -> None:
    assert add(1).result() == 11
    assert add(add(1, 2), b=add(3, 4)).result() == 10
    assert add([1], pickled([2, 3])).result() == [1, 2, 3]
    assert session.call(sum, [add(1, 1), add(2, 2)]).result() == 6
    for value in (None, "text", "da\udcdf", b"bytes", bytearray(b"b"), (1, 2), {1: {2}}, Point(3)):
        found = session.call(lambda value: value, value).result()
        assert found == value
        assert type(found) is type(value)
    assert session.call(lambda a, b: (a, b), blob(b"raw"), blob("text")).result() == (b"raw", "text")


def test_anything_that_can_be_called_is(session: Session) -> None:
    point = Point(4)
    assert session.call(point.moved, 3).result() == point.moved(3).result() == Point(7)
    assert session.call(point, 2).result() == 8
    assert session.call(Point.at, 5).result() == session.call(Point, 5).result() == Point(5)
    assert session.call(functools.partial(divmod, 7), 2).result() == (3, 1)
    assert session.call("a-b".split, "-").result() == ["a", "b"]
    assert session.call(functools.partial(lambda a, *, b: a - b, b=1), 3).result() == 2
    cached = functools.lru_cache(lambda x: x + 1)
    assert session.call(cached, 1).result() == 2


def test_coroutines_and_generators_are_run_to_their_end(session: Session) -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def counted(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    assert session.call(later, 1).result() == 2
    assert session.call(counted, 3).result() == [0, 1, 2]
    assert even(3).result() == [0, 2, 4]


def test_classes_of_the_script_just_work(session: Session) -> None:
    @dataclasses.dataclass
    class Here:
        x: int

        def doubled(self) -> Any:
            return Here(2 * self.x)

    made = session.call(lambda here: here.doubled(), Here(2)).result()
    assert type(made) is Here
    assert made == Here(4)


def test_what_a_task_raises_is_caught_by_its_class(session: Session) -> None:
    def refuse(number: int) -> None:
        raise Refused(number, "odd")

    failing = session.call(refuse, 3)
    with pytest.raises(Refused) as caught:
        failing.result()
    assert isinstance(caught.value, TaskException)
    assert caught.value.task == failing
    assert caught.value.number == 3
    assert "raise Refused" in str(caught.value)
    error = failing.exception()
    assert type(error) is Refused
    assert isinstance(error.__cause__, TaskException)
    assert "raise Refused" in str(error.__cause__)
    assert add(1).exception() is None
    with pytest.raises(TypeError, match="unsupported operand"):
        add(1, "a").result()


def test_the_task_is_at_hand_inside(session: Session) -> None:
    def told() -> Any:
        context = rain.current_task()
        context.info.user["seen"] = True
        context.debug("called {}", context.spec.name)
        return context.spec.id

    made = session.call(told)
    assert made.result() == made.id
    assert made.info is not None
    assert made.info.user == {"seen": True}
    assert made.info.debug == "called told"
    with pytest.raises(RainException, match=r"fn\.local"):
        rain.current_task()
    assert task(told).local() == rain.ID(0, 0)


def test_inside_of_a_task_a_call_is_a_call(session: Session) -> None:
    def twice(x: int) -> Any:
        return add(add(x, x), Point(1).moved(2).x)

    assert session.call(twice, 2).result() == 7


def test_files_and_instances_pass_through(session: Session) -> None:
    def written() -> DataInstance:
        with open("t.txt", "w") as file:
            file.write("a b")
        return rain.current_task().stage_file("t.txt", "text")

    words = session.call(str.split, session.call(written))
    assert words.result() == ["a", "b"]
    assert session.call(len, session.call(lambda: b"abc")).result() == 3


def test_options_and_names(session: Session) -> None:
    assert (add(1).name, even(1).name, session.call(Point(1), 2).name) == ("add", "numbers/even", "Point")
    made = add.options(name="first", cpus=0, retries=2)(1)
    assert made.name == "first"
    assert "cpus" not in made.spec.resources
    assert [each.result() for each in add.map([1, 2], b=5)] == [6, 7]
    with pytest.raises(TypeError, match=r"options of the task are given as add\.options\(cpus=2\)"):
        add(1, cpus=2)
    assert session.call(dict, name="x", cpus=1).result() == {"name": "x", "cpus": 1}
    with pytest.raises(TypeError, match="did you mean 'cpus'"):
        task(cpu=2)(len)


def test_a_result_stays_as_long_as_there_is_a_handle(session: Session) -> None:
    made = add(1)
    session.submit()
    session.wait_all()
    assert made.result() == 11
    assert add(made, 1).result() == 12


def test_it_looks_as_the_function_does() -> None:
    assert str(inspect.signature(add)) == str(inspect.signature(add.function))
    assert add.__name__ == "add"
    assert add.__doc__ == "The sum."
    shown = pydoc.plain(pydoc.render_doc(add))
    assert "add(a: 'Any', b: 'Any' = 10)" in shown
    assert "The sum." in shown
    assert repr(Point.moved).startswith("<PlainFunction Point.moved(self")
    for wrong in (3, rain.remote(lambda ctx: b"")):
        with pytest.raises(RainException, match=r"is made of a function|makes tasks already"):
            PlainFunction(wrong)  # type: ignore[arg-type]


def test_functions_that_were_corrected_are_retried(client: Client) -> None:
    with client.new_session("retry") as session:

        def fails(x: int) -> int:
            return 1 // x

        made = session.call(fails, 0)
        assert isinstance(made.exception(), ZeroDivisionError)
        fails.__code__ = (lambda x: x + 1).__code__
        session.retry()
        assert made.result() == 1


def test_a_context_or_input_that_was_taken_for_a_value_is_named(session: Session) -> None:
    added = rain.remote(auto_encode="json")(lambda first, second=1: first + second)
    with pytest.raises(TaskException, match=r"(?s)'Context' and 'int'.*is its context: write def f\(ctx.*@rain\.task"):
        session.run(added())
    with pytest.raises(TaskException, match=r"(?s)'DataInstance' and 'int'.*auto_load=True.*@rain\.task"):
        session.run(rain.remote(auto_encode="json")(lambda ctx, x: x + 1)(blob("1")))


def test_json_that_changes_a_value_is_told_by_the_task(session: Session) -> None:
    paired = rain.remote(auto_encode="json")(lambda ctx: {"a": (1, 2)})()
    assert session.run(paired) == {"a": [1, 2]}
    assert "RainWarning: as JSON this value changes: value['a'] is a tuple" in paired.stderr()
    with pytest.raises(TaskException, match="which are one key in JSON"):
        session.run(rain.remote(auto_encode="json")(lambda ctx: {1: "a", "1": "b"})())


def test_a_list_of_tasks_gives_a_list(session: Session) -> None:
    assert session.run([add(1), add(2)]) == [11, 12]
    assert session.run([add(1)]) == [11]
    assert session.run([]) == []
    assert session.run(add(1), (add(n) for n in range(2))) == [11, [10, 11]]


def test_lengths_that_differ(session: Session) -> None:
    with pytest.warns(RainWarning, match=r"lengths of the iterables differ \(3, 2\): only the first 2 calls"):
        assert len(add.map([1, 2, 3], [1, 2])) == 2
    assert len(add.map([1, 2, 3], [1, 2], strict=False)) == 2
    assert len(add.map([1, 2], itertools.count())) == 2
    for function in (add, rain.remote(auto_encode="json")(lambda ctx, a, b: a)):
        with pytest.raises(RainException, match="strict=True asks for that"):
            function.map([1, 2, 3], iter([1]), strict=True)
        with pytest.raises(ValueError, match="invalid literal"):  # of the user's iterable, not of lengths
            function.map([1, 2, 3], map(int, ["1", "x", "3"]), strict=True)
        with pytest.raises(TypeError, match=r"\.map\(\) takes iterables, one for each argument, not 3"):
            function.map([1, 2], 3)
    before = len(session.tasks)
    strictly = task(lambda x, strict=None: (x, strict))
    assert session.run(strictly.map([1, 2], strict=False)) == [(1, False), (2, False)]
    assert len(session.tasks) == before + 2


def test_a_tree_combines_neighbours_in_order(session: Session) -> None:
    joined = task(lambda *parts, by="": by.join(parts))
    whole = joined.reduce([session.call(str, n) for n in range(10)], width=3)
    assert whole.result() == "0123456789"
    assert joined.reduce(["a", "b", "c"], by="-").result() == "a-b-c"
    summed = rain.remote(auto_load=True, auto_encode="json")(lambda ctx, *n: sum(n))
    assert session.run(summed.reduce(range(10))) == 45
    for wrong, width in (([], 2), ([1], 2), ([1, 2], 1), ([1, 2], True)):
        with pytest.raises(RainException, match="reduce"):
            joined.reduce(wrong, width=width)


def test_arguments_are_there_afterwards(session: Session) -> None:
    failing = add(pickled([1]), "a")
    with pytest.raises(TypeError) as caught:
        failing.result()
    assert "called as add(a=<pickle>, b='a')" in str(caught.value)
    args = caught.value.task.args  # type: ignore[attr-defined]
    assert args["b"] == "a"
    assert args["a"] == failing.inputs[0]
    assert rain.remote(auto_encode="json")(lambda ctx, x, *y: x)(1, 2).args == {"x": 1, "y": (2,)}
    assert rain.tasks.Concat([blob("a")]).args == {}


def draw(count: int) -> Any:
    return [rain.rng().random() for _ in range(count)]


def test_random_numbers_come_from_the_seed(client: Client) -> None:
    def drawn(seed: int | None) -> Any:
        with client.new_session("random") as session:
            session.seed = seed
            return session.run([session.call(draw, 2) for _ in range(3)])

    first, again, other, free = drawn(7), drawn(7), drawn(8), drawn(None)
    assert first == again
    assert len({number for run in (first, other, free, drawn(None)) for pair in run for number in pair}) == 24
    assert len(task(draw).local(1)) == 1
    with client.new_session("random", seed=7) as session:
        assert session.run([session.call(draw, 2) for _ in range(3)]) == first
        assert "open, seed 7, 3/3 tasks" in repr(session)
        with pytest.raises(RainException, match="seed is an integer"):
            session.seed = -1
    for wrong in ({"seed": -1}, {"seed": "7"}, {"echo": 1}):
        with pytest.raises(RainException, match=r"seed is an integer|echo is True, False or None"):
            client.new_session("wrong", **wrong)  # type: ignore[arg-type]


def test_files_are_read_when_they_are_submitted(session: Session, tmp_path: Path) -> None:
    large = os.urandom(300_000)
    (tmp_path / "a.bin").write_bytes(large)
    (tmp_path / "b.bin").write_bytes(b"small")
    (tmp_path / "c[1].txt").write_text("text")
    (tmp_path / "folder").mkdir()
    found = rain.files(tmp_path / "*.bin")
    assert [obj.label for obj in found] == [str(tmp_path / "a.bin"), str(tmp_path / "b.bin")]
    assert session.run(found) == [large, b"small"]
    assert session.call(len, found[0]).result() == 300_000
    assert session.run(rain.files(str(tmp_path / "c[1].txt"), content_type="text")) == ["text"]
    assert task(len).local(rain.files(tmp_path / "a.bin")[0]) == 300_000
    with pytest.raises(RainException, match=rf"no such file in {os.getcwd()}, the current folder of this process"):
        rain.files("no/*.fits")
    with pytest.raises(RainException, match=r"use directory\(path\)"):
        rain.files(tmp_path / "folder")
    for wrong in (3, [3], b"bytes"):
        with pytest.raises(RainException, match=r"files\(\): a path"):
            rain.files(wrong)  # type: ignore[arg-type]
    (changed,) = rain.files([tmp_path / "a.bin"])
    (tmp_path / "a.bin").write_bytes(large[1:])
    with pytest.raises(RainException, match=r"a\.bin was changed after it was given to files"):
        session.run(changed)
    (gone,) = rain.files([tmp_path / "a.bin"])
    (tmp_path / "a.bin").unlink()
    with pytest.raises(RainException, match=r"a\.bin cannot be read any more: No such file"):
        session.run(gone)
    assert add(1).result() == 11
