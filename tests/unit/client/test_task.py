"""Tasks as they are declared."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rain import DataObject, Input, Output, OutputDir, RainException, Session, Task, TaskState, blob
from tests.unit.client.fake import FakeLink


class Custom(Task):
    TASK_TYPE = "mine/work"


def test_inputs_and_outputs(detached: Session) -> None:
    a, b = blob("a"), blob("b")
    first = Custom([a], 1)
    task = Custom([("x", a), first, Input("z", dataobj=b)], ["one", Output("two", content_type="json"), OutputDir("d")])
    assert task.task_type == "mine/work"
    assert list(task.inputs) == [a, first.output, b]
    assert task.inputs["x"] is not None
    assert task.inputs.labels == ["x", None, "z"]
    assert task.outputs.labels == ["one", "two", "d"]
    assert [output.content_type for output in task.outputs] == [None, "json", "dir"]
    assert first.output is first.outputs["out0"]
    assert task.state is None
    assert task.info is None
    assert task.name is None
    assert repr(task) == f"<Task {task.id} mine/work not submitted>"
    assert Task([], 1, task_type="other/x", name="n").task_type == "other/x"
    assert detached.tasks[:2] == [first, task]
    assert detached.task_count == 3
    assert detached.dataobj_count == 2 + 1 + 3 + 1


def test_outputs_as_numbers_and_objects(detached: Session) -> None:
    assert Custom([], 3).outputs.labels == ["out0", "out1", "out2"]
    assert len(Custom([], 0).outputs) == 0
    mine = DataObject("mine")
    task = Custom([], [mine, "other"])
    assert task.outputs[0] is mine
    with pytest.raises(RainException, match="already an output"):
        Custom([], [mine])
    with pytest.raises(RainException, match="constant"):
        Custom([], [blob("a")])
    twice = DataObject("twice")
    with pytest.raises(RainException, match="twice"):
        Custom([], [twice, twice])


def test_labelled_inputs_by_dict_and_labeled_list(detached: Session) -> None:
    a, b = blob("a"), blob("b")
    by_dict = Custom({"x": a, "y": b}, 0)
    assert by_dict.inputs.labels == ["x", "y"]
    assert Custom(by_dict.inputs, 0).inputs.labels == ["x", "y"]


def test_output_needs_exactly_one(detached: Session) -> None:
    with pytest.raises(RainException, match=r"2 outputs \('out0', 'out1'\)"):
        _ = Custom([], 2).output
    with pytest.raises(RainException, match="no outputs"):
        _ = Custom([], 0).output


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"inputs": ["a"]}, r"wrap it as blob"),
        ({"inputs": [b"a"]}, r"wrap it as blob"),
        ({"inputs": "a"}, r"\[blob"),
        ({"inputs": [7]}, "not int"),
        ({"inputs": 7}, "not as int"),
        ({"inputs": [Input("a")]}, "dataobj"),
        ({"outputs": -1}, "-1"),
        ({"outputs": 10**12}, "TASK_OUTPUTS_MAX"),
        ({"outputs": True}, "True"),
        ({"outputs": [7]}, "not int"),
        ({"outputs": 1.5}, "float"),
        (
            {"outputs": {"a": Output(content_type="json")}},
            "outputs of Task are given in a list, not as dict",
        ),
        ({"outputs": {"a"}}, "outputs of Task are given in a list, not as set"),
        ({"inputs": {"a"}}, "inputs of Task are given in a list, not as set"),
        ({"outputs": ["a", "a"]}, "'a' is used twice"),
        ({"task_type": 7}, "executor/method"),
        ({"config": {"a": ...}}, "config"),
        ({"name": 7}, "name"),
    ],
    ids=str,
)
def test_wrong_tasks_are_refused(detached: Session, given: dict[str, Any], text: str) -> None:
    with pytest.raises(RainException, match=text):
        Task(**{"inputs": [], "outputs": 1, "task_type": "a/b", **given})
    assert detached.task_count == 0


@pytest.mark.parametrize("kind", ["nonsense", "nonsense/", "/nonsense"])
def test_the_form_of_a_type_is_judged_at_submit(link: FakeLink, kind: str) -> None:
    with link.client.new_session("types") as session:
        Custom([], 1)
        session.submit()
        task = Task([], 1, task_type=kind, name="odd")
        assert task.task_type == kind
        with pytest.raises(RainException, match=rf"'odd'.*made at .*test_task.py.*the type '{kind}'.*executor/method"):
            session.submit()


def test_a_task_without_type_is_refused(detached: Session) -> None:
    with pytest.raises(RainException, match="TASK_TYPE"):
        Task([], 1)


def test_duplicate_input_labels(detached: Session) -> None:
    with pytest.raises(RainException, match="'x' is used twice"):
        Custom([("x", blob("a")), ("x", blob("b"))], 1)


def test_objects_of_another_session(detached: Session) -> None:
    other = Session(None, 2, "other")
    strange = blob("a", session=other)
    with pytest.raises(RainException, match="belongs to session 'other'"):
        Custom([strange], 1)
    with pytest.raises(RainException, match="belongs to session 'other'"):
        detached.wait(strange)


def test_options(detached: Session) -> None:
    task = Custom([], 0, cpus=2, name="a", user_spec={"k": 1}, retries=3)
    assert task.spec.resources == {"cpus": 2}
    assert task.spec.user == {"k": 1}
    assert task.spec.options is not None
    assert task.spec.options.retries == 3
    other = Custom.options(name="b", cpus=0)([], 1)
    assert isinstance(other, Custom)
    assert (other.name, other.spec.resources) == ("b", {})
    assert Custom.options(name="b")([], 1, name="c").name == "c"
    with pytest.raises(TypeError, match="did you mean 'cpus'"):
        Custom.options(cpu=1)
    with pytest.raises(TypeError, match="nonsense"):
        Custom([], 0, nonsense=1)
    one, two = Custom([], 0), Custom([], 0)
    one.spec.resources["gpus"] = 1
    assert two.spec.resources == {"cpus": 1}


def test_pickling_a_task_outside_of_a_call(detached: Session) -> None:
    with pytest.raises(RainException, match="promise"):
        pickle.dumps(Custom([], 1))
    with pytest.raises(RainException, match="2 outputs"):
        pickle.dumps(Custom([], 2))


def test_where_it_was_made(detached: Session) -> None:
    task = Custom([], 1)  # this line
    assert "test_task.py" in task.stack
    assert "task = Custom([], 1)  # this line" in task.stack


def test_spec_and_info(link: FakeLink, session: Session) -> None:
    task = Custom([], 1, name="a")
    session.submit()
    assert task.state is TaskState.WAITING
    with pytest.raises(AttributeError):
        task.spec.name = "b"
    assert task.spec.name == "a"
    link.move(task, TaskState.RUNNING)
    assert task.state is TaskState.RUNNING
    link.finish(task, duration=0.5, governor="g:1", debug="line")
    assert task.info is not None
    assert (task.info.duration, task.info.governor, task.info.debug, task.info.attempts) == (0.5, "g:1", "line", 1)


def test_handles_are_made_anew(detached: Session) -> None:
    kept = Custom([blob("a")], 1, name="a")
    number = id(kept)
    assert detached.tasks[0] is kept
    assert id(detached.find("a")) == number
    del kept
    again = detached.find("a")
    assert isinstance(again, Task)
    assert next(iter(again.inputs)).label == "const"
    with pytest.raises(RainException, match="no task or object called 'x'"):
        detached.find("x")
    Custom([], 0, name="a")
    with pytest.raises(RainException, match="2 items"):
        detached.find("a")
    assert detached.find("const") == detached.objects[0]
