"""What the API says on tasks: builtin tasks, programs, remote Python; with odd inputs, on a real cluster."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rain import (
    Client,
    DataInstance,
    Input,
    Output,
    RainException,
    Session,
    Task,
    TaskException,
    blob,
    directory,
    pickled,
    remote,
    tasks,
)
from tests.integration.conftest import until


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[Client]:
    """A cluster whose tasks follow each other in one executor."""
    with Client.local(cpus=1) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a small file, a large one, and an empty directory."""
    top = tmp_path / "top"
    (top / "inner" / "empty").mkdir(parents=True)
    (top / "inner" / "small").write_text("S")
    (top / "large").write_bytes(b"L" * 200_000)
    return top


# -- remote Python ---------------------------------------------------------------------------------


def test_links_are_made_after_a_task_that_left_nothing(one_cpu: Client, folder: Path) -> None:
    @remote()
    def look(ctx, given: DataInstance) -> bytes:
        return b"looked"

    @remote()
    def link(ctx, given: DataInstance) -> bytes:
        given.link("linked")
        with pytest.raises(PermissionError):
            Path("linked/inner/small").write_text("spoilt")
        return Path("linked/inner/small").read_bytes()

    with one_cpu.new_session("links") as session:
        given = directory(folder)
        for _ in range(2):
            assert session.run(look(given)) == b"looked"
            assert session.run(link(given)) == b"S"


def test_an_instance_that_outlives_its_task_says_why_it_is_empty(one_cpu: Client) -> None:
    @remote()
    def large(ctx) -> bytes:
        return b"L" * 200_000

    @remote()
    def put_by(ctx, given: DataInstance) -> bytes:
        ctx.cache["given"] = given
        return b""

    @remote()
    def use(ctx) -> bytes:
        return ctx.cache["given"].get_bytes()

    with one_cpu.new_session("cache") as session:
        assert session.run(put_by(large())) == b""

        def text() -> str:
            try:
                session.run(use())
            except TaskException as error:
                return str(error)
            return ""

        until(text, "the object is dropped")
        assert re.search(r"no longer on this governor; .*ctx\.cache", text())


def test_tasks_that_make_tasks_hear_that_they_cannot(session: Session) -> None:
    @remote()
    def other(ctx) -> bytes:
        return b"other"

    @remote()
    def nested(ctx, how: str) -> bytes:
        return {"blob": lambda: blob(b""), "call": other, "plain": lambda: other.function(ctx)}[how]()

    for how in ("blob", "call"):
        with pytest.raises(TaskException, match="a task cannot make tasks or data objects"):
            session.run(nested(how))
    assert session.run(nested("plain")) == b"other"


def test_declared_content_types_are_filled_in_for_submitted_objects_too(session: Session) -> None:
    @remote(auto_encode="json")
    def total(ctx, numbers: Input(content_type="json", load=True)) -> list[int]:
        return sum(numbers)

    @remote()
    def untyped(ctx, how: str) -> bytes:
        return ctx.pickled([1, 2]) if how == "pickle" else b"[1, 2]"

    given = tasks.Concat([blob(b"[1, "), blob(b"2]")]).output
    given.keep()
    session.submit()
    assert session.run(total(given)) == 3
    assert given.content_type is None
    wrong = untyped("pickle").output
    wrong.keep()
    session.submit()
    with pytest.raises(TaskException, match="'pickle' and 'json' do not fit together"):
        session.run(total(wrong))


def test_parameters_may_have_any_name(session: Session) -> None:
    @remote(auto_encode="json")
    def named(ctx, self: int, args: int, *, output: int = 0, **kwargs: int) -> list[int]:
        return [self, args, output, kwargs]

    assert session.run(named(self=1, args=2, output=3, function=4)) == [1, 2, 3, {"function": 4}]
    assert named.local(self=1, args=2, iterables=5) == [1, 2, 0, {"iterables": 5}]
    assert session.run(*named.map([1], [2], iterables=5)) == [1, 2, 0, {"iterables": 5}]


class OfThisModule:
    """Stands for a class of a script."""


def test_pickles_of_classes_of_the_script_say_what_to_do(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @remote(auto_load=True)
    def take(ctx, value: object) -> str:
        return type(value).__name__

    monkeypatch.setattr(OfThisModule, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "OfThisModule", OfThisModule, raising=False)
    with pytest.raises(TaskException, match=r"names the classes .* encode=\"cloudpickle\""):
        session.run(take(pickled(OfThisModule())))
    assert session.run(take(blob(OfThisModule(), encode="cloudpickle"))) == "OfThisModule"
    assert session.run(take(OfThisModule())) == "OfThisModule"


# -- what cannot be sent ---------------------------------------------------------------------------

NO_TEXT = os.fsdecode(b"caf\xe9")
"""As `os.listdir` gives a name that is not UTF-8."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: tasks.Execute(["echo", NO_TEXT]),
        lambda: tasks.Execute(["echo", blob(b""), Output(NO_TEXT)]),
        lambda: tasks.Execute("true", output_paths=[NO_TEXT]),
        lambda: tasks.Execute("true", input_paths=[Input("x", path=NO_TEXT, dataobj=blob(b""))]),
        lambda: tasks.Execute("true", env={"NAME": NO_TEXT}),
        lambda: tasks.Execute("true", name=NO_TEXT),
        lambda: tasks.Load(f"/tmp/{NO_TEXT}"),
        lambda: tasks.MakeDirectory({NO_TEXT: blob(b"")}),
        lambda: tasks.Concat([], resources={NO_TEXT: 1}),
        lambda: tasks.Concat([], user_spec={"key": [NO_TEXT]}),
        lambda: tasks.Concat([], user_spec={NO_TEXT: 1}),
        lambda: tasks.Concat([], user_spec={"key": {NO_TEXT: 1}}),
        lambda: blob(b"", label=NO_TEXT),
        lambda: blob(NO_TEXT),
        lambda: Task([(NO_TEXT, blob(b""))], 1, task_type="builtin/concat"),
    ],
)
def test_text_that_cannot_be_sent_is_refused_where_it_is_given(session: Session, make: Callable[[], object]) -> None:
    with pytest.raises(RainException, match=r"caf|surrogates"):
        make()
    assert session.run(tasks.Concat([blob(b"still "), blob(b"there")])) == b"still there"
