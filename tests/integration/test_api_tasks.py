"""What the API says on tasks: builtin tasks, programs, remote Python; with odd inputs, on a real cluster."""

from __future__ import annotations

import ctypes
import functools
import linecache
import logging
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from rain import (
    Client,
    DataInstance,
    Input,
    InputDir,
    Output,
    OutputDir,
    RainException,
    Remote,
    Session,
    Task,
    TaskException,
    blob,
    directory,
    pickled,
    remote,
    tasks,
)
from rain.common.limits import TASK_OUTPUT_BYTES_MAX
from tests.privileges import LENT_IS_SAFE
from tests.support.waiting import GUARD_S, until


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


@pytest.mark.skipif(not LENT_IS_SAFE, reason="root may write where there are no user namespaces; that is noticed")
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


def test_declared_content_types_are_filled_in_for_submitted_objects_too(session: Session, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)

    @remote(auto_encode="json")
    def total(ctx, numbers: Input(content_type="json", load=True)) -> list[int]:
        return sum(numbers)

    @remote()
    def untyped(ctx, gate: str) -> bytes:
        open(gate).close()  # it is not finished before the test says so
        return ctx.pickled([1, 2])

    given = tasks.Concat([blob(b"[1, "), blob(b"2]")]).output
    given.keep()
    session.submit()
    assert session.run(total(given)) == 3
    assert given.content_type is None
    wrong = untyped(gate).output
    wrong.keep()
    session.submit()
    reader = total(wrong)
    open(gate, "w").close()
    with pytest.raises(TaskException, match="'pickle' and 'json' do not fit together"):
        session.run(reader)


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


def test_objects_arrive_wherever_they_are(session: Session) -> None:
    held = tasks.Concat([blob("he"), blob("ld")])
    model = Model(blob("attribute"))

    @remote(auto_encode="json")
    def collect(ctx, given: list, model: Model, *rest: Input(load=True), **named: Input(load=True)) -> list:
        texts = [item.get_str() for item in given] + [model.weights.get_str(), held.get_str()]
        return [*texts, rest, named, len(ctx.spec.inputs)]

    assert len(collect(map(blob, ["a", "b"]), model).inputs) == 4
    made = collect((blob(str(n)) for n in range(2)), model, [pickled(1)], pickled(2), key={"a": pickled(3)})
    assert session.run(made) == ["0", "1", "attribute", "held", [[1], 2], {"key": {"a": 3}}, 7]
    assert session.run(remote(auto_encode="json")(model.read)()) == "attribute"
    assert session.run(Remote(functools.partial(_appended, end=blob("!")))("partial")) == "partial!"


class Model:
    """Something that holds a data object."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def read(self, ctx: Any) -> str:
        return self.weights.get_str()


def _appended(ctx: Any, text: str, end: DataInstance) -> str:
    return text + end.get_str()


def test_functions_of_notebook_cells(session: Session) -> None:
    source = "def halved(ctx, n):\n    return whole // n\n"
    name = "<ipython-input-7-0123456789ab>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    cell = {"__name__": "__main__", "whole": 8}
    exec(compile(source, name, "exec"), cell)
    halved = remote(auto_encode="json")(cell["halved"])
    assert session.run(halved(4)) == 2
    cell["whole"] = 16
    assert session.run(halved(4)) == 4
    with pytest.raises(TaskException, match=r"return whole // n\n[\s~^]+ZeroDivisionError"):
        session.run(halved(0))


def test_a_module_beside_the_script_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "beside_the_script.py"
    module.write_text("FACTOR = 2\n\ndef scaled(n):\n    return n * FACTOR\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Client.local(cpus=1) as client, client.new_session("modules") as session:
        import beside_the_script

        @remote(auto_encode="json")
        def use(ctx, n: int) -> list[int]:
            return [beside_the_script.scaled(n), os.getpid()]

        first, again = session.run(use(1)), session.run(use(1))
        assert first == again
        assert first[0] == 2
        module.write_text("FACTOR = 300\n\ndef scaled(n):\n    return n * FACTOR\n")
        changed = session.run(use(1))
        assert changed[0] == 300
        assert changed[1] != first[1]


def test_an_executor_is_reused_and_fresh_ones_are_new(one_cpu: Client) -> None:
    @remote(auto_encode="json")
    def look(ctx) -> list[int]:
        ctx.cache["runs"] = ctx.cache.get("runs", 0) + 1
        same = ctx.cache.setdefault("function", ctx.function) is ctx.function
        return [os.getpid(), ctx.cache["runs"], same, os.listdir(".")]

    with one_cpu.new_session("reuse") as session:
        first, second = session.run(look()), session.run(look())
        assert second == [first[0], first[1] + 1, True, []]
        fresh = session.run(look.options(fresh=True)())
        assert fresh[0] != first[0]
        assert fresh[1] == 1


def test_what_c_code_children_and_logging_write_is_captured(session: Session) -> None:
    @remote()
    def write(ctx) -> bytes:
        libc = ctypes.CDLL(None)
        libc.puts(b"from C, not flushed")
        print("from Python")
        logging.getLogger("any").warning("logged")
        subprocess.run("echo child; echo problem >&2", shell=True, check=True)
        return b""

    @remote()
    def silent(ctx) -> bytes:
        return b""

    written, nothing = write(), silent()
    session.run(written, nothing)
    assert sorted(written.stdout().splitlines()) == ["child", "from C, not flushed", "from Python"]
    assert "logged" in written.stderr()
    assert "problem" in written.stderr()
    assert nothing.stdout() == nothing.stderr() == ""


def test_output_of_running_tasks(session: Session, tmp_path: Path) -> None:
    @remote(auto_encode="json")
    def talk(ctx, gate: str) -> int:
        if not os.path.exists(gate + "-was-here"):
            open(gate + "-was-here", "x").close()
            print("lost", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        print("so far")
        print("problem", file=sys.stderr)
        while not os.path.exists(gate):
            time.sleep(0.001)
        print("x" * 200_000)
        return 0

    task, waiting = talk(str(tmp_path / "gate")), tasks.Concat([blob("a")])
    session.submit()
    until(lambda: task.stdout() == "so far\n", "the second attempt's output")
    assert task.stderr() == "problem\n"
    assert waiting.stdout() == ""
    (tmp_path / "gate").touch()
    session.wait_all()
    assert task.stdout() == "x" * (TASK_OUTPUT_BYTES_MAX - 1) + "\n"


def test_attempts_tell_how_their_processes_ended(session: Session, tmp_path: Path) -> None:
    @remote(auto_encode="json")
    def third_time(ctx, folder: str) -> int:
        before = len(os.listdir(folder))
        open(f"{folder}/{before}", "x").close()
        print(f"try {before}", file=sys.stderr, flush=True)
        if before < 2:
            os.kill(os.getpid(), (signal.SIGSEGV, signal.SIGKILL)[before])
        return os.getpid()

    task = third_time(str(tmp_path))
    task.output.keep()
    program = tasks.Execute(["sh", "-c", "echo no room >&2; exit 3"])
    killed = tasks.Execute(["sh", "-c", "kill -KILL $$"])
    session.submit()
    session.wait_all(raise_on_failure=False)
    first, second, last = task.attempts
    assert [one.number for one in task.attempts] == [1, 2, 3]
    assert (first.kind, second.kind, last.kind) == ("crash", "crash", "")
    assert last.duration is not None
    assert first.host == second.host == platform.node()
    assert first.end is not None
    assert second.end is not None
    assert (first.end.signal, first.end.sender, first.end.executor) == ("SIGSEGV", "", "py")
    assert (second.end.signal, second.end.status) == ("SIGKILL", None)
    assert second.end.sender in ("another process", "")  # empty where the kernel does not count
    assert "try 1" in second.reason
    assert 0 < first.end.process != second.end.process
    assert first.end.process != task.output.fetch().load()
    assert first.end.disk_left_bytes
    assert first.end.memory_left_bytes
    (exited,) = program.attempts
    assert exited.end is not None
    assert (exited.kind, exited.end.status, exited.end.signal) == ("exit", 3, "")
    (ended,) = killed.attempts
    assert ended.end is not None
    assert ended.end.signal == "SIGKILL"
    with pytest.raises(TaskException) as failure:
        program.wait()
    assert f"attempt 1 on {platform.node()} (" in str(failure.value)
    assert "exited with status 3; " in str(failure.value)


def test_arrays_are_mapped_and_writable_ones_are_private(session: Session) -> None:
    @remote(auto_encode="json")
    def look(ctx, given: DataInstance) -> list[Any]:
        mapped, own = given.load(writable=False), given.load()
        own[0] = 7.0
        shared = given.load(cache=True) is given.load(cache=True)
        return [mapped.flags.writeable, mapped.flags.owndata, mapped[0], given.load()[0], shared]

    assert session.run(look(pickled(numpy.ones(100_000)))) == [False, False, 1.0, 1.0, True]


def test_inputs_pass_through_with_type_and_attributes(session: Session) -> None:
    @remote(outputs=["same", "other"])
    def through(ctx, given: DataInstance) -> list[Any]:
        given.info.user["seen"] = 1
        return {"other": ctx.blob("b"), "same": given}

    made = through(blob(b"[1]", content_type="json"))
    assert session.run(made) == [[1], "b"]
    session.update([made, *made.outputs])
    assert made.outputs["same"].info.user == {"seen": 1}
    assert made.outputs["other"].info.user == {}
    assert made.outputs["same"].content_type == "json"
    assert made.outputs["same"].spec.content_type is None


# -- programs --------------------------------------------------------------------------------------


def test_every_parameter_of_execute(session: Session, folder: Path) -> None:
    made = tasks.Execute(
        [
            *("cat", "-", blob("argument "), Input("named", path="deep/file", dataobj=blob("named "))),
            *("&&", "cp", "in/large", Output("copy"), ";", "echo", "$WORD", ">&2;", "exit", "3"),
        ],
        stdout=Output("told", content_type="text"),
        stdin=tasks.Concat([blob("stdin ")]),
        input_paths=[InputDir("in", dataobj=directory(folder))],
        output_paths=[Output("inside", path="in/inner/small"), OutputDir("whole", path="in/inner")],
        shell=True,
        stderr="problems",
        exit_codes=(0, 3),
        env={"WORD": "env"},
    )
    assert made.inputs.labels == ["arg2", "named", "in", "stdin"]
    assert made.outputs.labels == ["copy", "inside", "whole", "told", "problems"]
    copy, inside, whole, told, problems = session.run(made)
    assert (len(copy), inside, told, problems) == (200_000, b"S", "stdin argument named ", b"env\n")
    whole.write(folder.parent / "whole")
    assert sorted(path.name for path in (folder.parent / "whole").iterdir()) == ["empty", "small"]


@pytest.mark.skipif(not LENT_IS_SAFE, reason="root may write where there are no user namespaces; that is noticed")
def test_lent_files_cannot_be_written_and_writable_ones_are_copies(session: Session, folder: Path) -> None:
    given = directory(folder)
    lent = tasks.Execute(
        "chmod u+w in/large; echo x >> in/large; echo x >> in/inner/small; test ! -L in/inner",
        shell=True,
        input_paths=[InputDir("in", dataobj=given)],
    )
    session.run(lent)
    assert lent.stderr().count("cannot create") == 2
    own = tasks.Execute(
        "echo more >> in/inner/small; rm in/large",
        shell=True,
        input_paths=[InputDir("in", dataobj=given, write=True)],
        output_paths=[OutputDir("in"), Output("small", path="in/inner/small")],
    )
    changed, small = session.run(own)
    assert (small, changed.size) == (b"Smore\n", 6)
    assert session.run(tasks.SliceDirectory(given, "inner/small")) == b"S"


# -- several governors -----------------------------------------------------------------------------


def test_objects_go_from_governor_to_governor(folder: Path) -> None:
    @remote(outputs=[OutputDir("made"), Output("where", content_type="text")])
    def make(ctx, given: DataInstance) -> list[Any]:
        given.write("copy")
        return ctx.stage_directory("copy"), ctx.info.governor

    @remote(auto_encode="json")
    def sizes(ctx, parts: list) -> list[int]:
        for number, part in enumerate(parts):
            part.link(f"part{number}")
        return [os.path.getsize(f"part{number}/large") for number in range(len(parts))]

    with Client.local(cpus=1, governors=2) as client, client.new_session("two") as session:
        given = directory(folder)
        made = list(make.map([given] * 6))
        whole = sizes([task.outputs["made"] for task in made])
        assert session.run(whole) == [200_000] * 6
        # What came from elsewhere is told, with its place and time.
        moves = [move for task in (*made, whole) for move in (task.info and task.info.transfers) or ()]
        assert given.id in {move.id for move in moves}, "the server gave it"
        for move in moves:
            assert move.id in {given.id, *(task.outputs["made"].id for task in made)}
            assert move.size >= 200_000
            assert 0 <= time.time() - move.start_time - move.duration < GUARD_S
            assert ":" in move.source


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
