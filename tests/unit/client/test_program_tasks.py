"""`Execute` and `Program` as they are declared."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rain import (
    Input,
    InputDir,
    Output,
    OutputDir,
    Program,
    RainException,
    Session,
    Task,
    blob,
    directory,
    tasks,
)
from rain.common.task_configs import ExecuteConfig, MappedInput, MappedOutput

Execute = tasks.Execute


def config(task: Task) -> ExecuteConfig:
    found = task.spec.config
    assert isinstance(found, ExecuteConfig)
    return found


def test_words(detached: Session) -> None:
    assert config(Execute("sort -r 'a b'")).args == ["sort", "-r", "a b"]
    assert config(Execute(["cat", Path("/etc/hosts")])).args == ["cat", "/etc/hosts"]
    shell = config(Execute("a | b", shell=True))
    assert (shell.args, shell.shell) == (["a | b"], True)
    task = Execute(["cat", blob("x"), "|", "wc"], shell=True)
    assert config(task).args == ["cat arg1 | wc"]


def test_objects_as_arguments(detached: Session) -> None:
    a = blob("a")
    made = tasks.Concat([a])
    task = Execute(["diff", a, made, Input("c", path="sub/c.txt", dataobj=a, write=True), Output("x")])
    assert config(task).args == ["diff", "arg1", "arg2", "sub/c.txt", "x"]
    assert config(task).inputs == [
        MappedInput("arg1", 0),
        MappedInput("arg2", 1),
        MappedInput("sub/c.txt", 2, True),
    ]
    assert config(task).outputs == [MappedOutput("x", 0)]
    assert task.inputs.labels == ["arg1", "arg2", "c"]
    assert task.outputs.labels == ["x"]
    assert task.name is None


def test_streams(detached: Session) -> None:
    task = Execute("cat", stdin=blob("a"), stdout=True, stderr="errors")
    assert (config(task).stdin, config(task).stdout, config(task).stderr) == (0, 0, 1)
    assert config(task).inputs == []
    assert config(task).outputs == []
    assert task.inputs.labels == ["stdin"]
    assert task.outputs.labels == ["stdout", "errors"]
    typed = Execute("cat", stdout=Output("x", content_type="json"))
    assert (typed.output.label, typed.output.content_type) == ("x", "json")
    assert Execute("cat", stdout=Output()).output.label == "stdout"
    assert Execute("cat", stdout=True).output.content_type is None
    both = Input("a", path="a.txt", dataobj=blob("x"))
    shared = Execute(["cat", both], stdin=both)
    assert (config(shared).stdin, len(shared.inputs)) == (0, 1)


def test_mapped_paths(detached: Session, tmp_path: Path) -> None:
    folder = directory(tmp_path)
    task = Execute(
        "ls",
        input_paths=[Input("a", dataobj=blob("x")), InputDir("d", path="sub/d", dataobj=folder)],
        output_paths=["o.txt", Output("p", path="sub/p"), OutputDir("q"), Output(path="only/path")],
    )
    assert config(task).inputs == [MappedInput("a", 0), MappedInput("sub/d", 1)]
    assert [(item.path, item.index) for item in config(task).outputs] == [
        ("o.txt", 0),
        ("sub/p", 1),
        ("q", 2),
        ("only/path", 3),
    ]
    assert task.outputs.labels == ["o.txt", "p", "q", "only/path"]
    assert config(Execute("ls", input_paths=[blob("x"), blob("y")])).inputs == [
        MappedInput("in0", 0),
        MappedInput("in1", 1),
    ]


def test_outputs_are_merged_at_the_call(detached: Session) -> None:
    task = Execute(["touch", Output("x")], output=Output("y", content_type="text"))
    assert (task.output.label, task.output.content_type) == ("y", "text")
    assert config(task).args == ["touch", "x"]
    assert config(task).outputs == [MappedOutput("x", 0)]
    elsewhere = Execute(["touch", Output("x")], output=Output(path="z"))
    assert config(elsewhere).args == ["touch", "z"]


def test_exit_codes(detached: Session) -> None:
    assert config(Execute("a")).exit_codes == [0]
    assert config(Execute("a", exit_codes=[0, 1])).exit_codes == [0, 1]
    assert config(Execute("a", exit_codes=3)).exit_codes == [3]
    for wrong in ([], [-1], [256], ["0"], [True]):
        with pytest.raises(RainException, match="exit_codes"):
            Execute("a", exit_codes=wrong)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"args": []}, "empty"),
        ({"args": ""}, "empty"),
        ({"args": "echo 'a"}, "split"),
        ({"args": 7}, "not int"),
        ({"args": ["head", 7]}, "int"),
        ({"args": ["cat", b"x"]}, "bytes"),
        ({"args": ["a\0b"]}, "null"),
        ({"args": ["cat", Input("a")]}, "placeholders are for Program"),
        ({"args": "cat", "stdout": 7}, "stdout is True"),
        ({"args": "cat", "stdout": OutputDir("x")}, "directory"),
        ({"args": "cat", "stdin": "text"}, "blob"),
        ({"args": "cat", "input_paths": 7}, "input_paths"),
        ({"args": "cat", "input_paths": ["x"]}, "blob"),
        ({"args": "cat", "output_paths": ["a", Output("b", path="a")]}, "same path"),
        ({"args": "cat", "output_paths": ["a", "a"]}, "twice"),
        (
            {"args": "cat", "output_paths": {"a": "b"}},
            "output_paths of Execute are given in a list, not as dict",
        ),
        (
            {"args": "cat", "input_paths": {"a"}},
            "input_paths of Execute are given in a list, not as set",
        ),
        ({"args": ["cat", Output("../x")]}, "inside"),
        ({"args": "cat", "stdout": True, "output_paths": ["stdout"]}, "twice"),
    ],
    ids=str,
)
def test_wrong_programs_are_refused(detached: Session, given: dict[str, Any], text: str) -> None:
    with pytest.raises(RainException, match=text):
        Execute(**given)


def test_inputs_in_each_others_way(detached: Session) -> None:
    a, b = blob("a"), blob("b")
    with pytest.raises(RainException, match="same path"):
        Execute("ls", input_paths=[Input("a", path="x", dataobj=a), Input("b", path="x", dataobj=b)])
    with pytest.raises(RainException, match="two inputs"):
        Execute(["cat", Input("a", dataobj=a), Input("a", dataobj=b)])


def test_programs(detached: Session) -> None:
    grep = Program(
        ["grep", "-c", "rain", Input("text")], stdout=Output("count", content_type="text"), name="grep", cpus=2
    )
    task = grep(text=blob("rain"))
    assert config(task).args == ["grep", "-c", "rain", "text"]
    assert (task.name, task.spec.resources, task.inputs.labels) == ("grep", {"cpus": 2}, ["text"])
    assert (task.output.label, task.output.content_type) == ("count", "text")
    other = grep(text=tasks.Concat([]), name="other", output="n", retries=1)
    assert (other.name, other.output.label) == ("other", "n")
    assert grep.options(cpus=0)(text=blob("")).spec.resources == {}
    assert Program("true")().name is None
    assert repr(grep) == "<Program grep -c rain <text>>"


def test_placeholders_by_name(detached: Session) -> None:
    program = Program("sort", stdin="lines", input_paths=["extra", InputDir("folder")], stdout=True)
    with pytest.raises(TypeError, match="'folder'"):
        program(lines=blob("a"), extra=blob("b"))
    with pytest.raises(TypeError, match="no input or option 'line'"):
        program(line=blob("a"))
    with pytest.raises(RainException, match="takes a directory"):
        program(lines=blob("a"), extra=blob("b"), folder=blob("c"))
    same = Program(["diff", Input("a"), Input("a")])
    assert config(same(a=blob("x"))).args == ["diff", "a", "a"]


def test_a_placeholder_may_not_be_called_like_an_option() -> None:
    for name in ("name", "cpus", "timeout", "output", "session"):
        with pytest.raises(RainException, match=f"'{name}' is the name of an option"):
            Program(["cat", Input(name)])


def test_declared_content_types(detached: Session) -> None:
    program = Program(["cat", Input("a", content_type="json")])
    plain = blob(b"{}")
    program(a=plain)
    assert plain.content_type == "json"
    with pytest.raises(RainException, match="content type 'json'"):
        program(a=blob("text"))


def test_placeholders_may_have_any_label(detached: Session) -> None:
    task = Program(["cat", Input("self")])(self=blob("a"))
    assert task.inputs.labels == ["self"]


def test_what_is_no_list_and_what_is_no_path(detached: Session) -> None:
    with pytest.raises(RainException, match="exit_codes of Execute are given in a list, not as NoneType"):
        tasks.Execute("true", exit_codes=None)
    with pytest.raises(RainException, match="non-empty"):
        tasks.Execute("true", output_paths=[""])


def _operations(build: Callable[[], object]) -> int:
    """How many bytecode operations `build` takes."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        build()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "build",
    [
        lambda objects: Execute(["cat", *objects]),
        lambda objects: Execute("ls", input_paths=objects),
        lambda objects: Execute("ls", output_paths=[Output(path=f"o{number}") for number, _ in enumerate(objects)]),
        lambda objects: Program("ls", input_paths=[f"i{number}" for number, _ in enumerate(objects)]),
    ],
)
def test_building_takes_as_long_as_there_are_inputs_and_outputs(
    detached: Session, build: Callable[[list[Any]], object]
) -> None:
    few, many = ([blob("x") for _ in range(count)] for count in (50, 400))
    assert _operations(lambda: build(many)) < 12 * _operations(lambda: build(few))


@pytest.mark.parametrize(
    "text", ["a b", " a  b ", "a\tb", "a\nb", "x=1 -o:/a,b@c%d+e", "a 'b c'", "a#b", "a\\ b", "é a", "a\x0bb"]
)
def test_a_text_is_split_as_a_shell_does(session: Session, text: str) -> None:
    assert config(Execute(text)).args == shlex.split(text)
