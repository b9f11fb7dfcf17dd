"""What a submit may not be, and that nothing of a refused one is taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile, Upload
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskOptions, TaskSpec, TaskSpecInput
from rain.server.core import events as ev
from rain.server.core.lifecycle.cut import NUMBERS_MAX
from tests.unit.server.rig import Rig


class Parts:
    """A sound submit, to be spoilt: ``const -> task 2 -> 3 -> task 4 -> 5``."""

    def __init__(self, session: int) -> None:
        def id(number: int) -> ID:
            return ID(session, number)

        self.id = id
        self.tasks = [
            TaskSpec(id(2), "py/", inputs=[TaskSpecInput(id(1))], outputs=[id(3)], resources={"cpus": 1.0}),
            TaskSpec(id(4), "py/", inputs=[TaskSpecInput(id(3))], outputs=[id(5)], resources={"cpus": 1.0}),
        ]
        self.objects = [ObjectSpec(id(1)), ObjectSpec(id(3)), ObjectSpec(id(5))]
        self.constants = [m.Constant(id(1), Inline(b"value", 1))]
        self.keep: list[ID] = []

    def send(self, rig: Rig) -> Any:
        return rig.ask(m.Submit, rig.session, self.tasks, self.objects, self.constants, self.keep)


def _options(**fields: Any) -> Callable[[Parts], None]:
    def spoil(parts: Parts) -> None:
        parts.tasks[0].options = TaskOptions(**fields)

    return spoil


def _set(path: str, value: Any) -> Callable[[Parts], None]:
    """Set one thing, e.g. ``tasks.0.task_type``; a callable value gets the parts."""

    def spoil(parts: Parts) -> None:
        *way, last = path.split(".")
        target: Any = parts
        for name in way:
            target = target[int(name)] if name.isdigit() else getattr(target, name)
        made = value(parts) if callable(value) else value
        if last.isdigit():
            target[int(last)] = made
        elif last == "append":
            target.append(made)
        else:
            setattr(target, last, made)

    return spoil


BAD: list[tuple[str, Callable[[Parts], None], str]] = [
    ("task of another session", _set("tasks.0.id", ID(99, 2)), "is not of session"),
    ("object of another session", _set("objects.0.id", ID(99, 1)), "is not of session"),
    ("number too large", _set("tasks.0.id", lambda p: p.id(NUMBERS_MAX + 1)), "NUMBERS_MAX"),
    ("negative number", _set("tasks.0.id", lambda p: p.id(-1)), "NUMBERS_MAX"),
    ("task twice", _set("tasks.1.id", lambda p: p.id(2)), "submitted before"),
    ("task and object share a number", _set("tasks.1.id", lambda p: p.id(3)), "submitted before"),
    ("object twice", _set("objects.append", lambda p: ObjectSpec(p.id(3))), "submitted before"),
    ("unknown input", _set("tasks.0.inputs", lambda p: [TaskSpecInput(p.id(77))]), "does not exist"),
    ("input of another session", _set("tasks.0.inputs", [TaskSpecInput(ID(99, 1))]), "of another session"),
    ("input made later", _set("tasks.0.inputs", lambda p: [TaskSpecInput(p.id(5))]), "does not precede"),
    ("own output as input", _set("tasks.0.inputs", lambda p: [TaskSpecInput(p.id(3))]), "does not precede"),
    ("unknown output", _set("tasks.0.outputs", lambda p: [p.id(77)]), "not among the new objects"),
    ("output of two tasks", _set("tasks.1.outputs", lambda p: [p.id(3)]), "output of both"),
    ("constant as output", _set("tasks.1.outputs", lambda p: [p.id(1)]), "is a constant"),
    ("output listed twice", _set("tasks.1.outputs", lambda p: [p.id(5), p.id(5)]), "output of both"),
    ("object that nobody makes", _set("objects.append", lambda p: ObjectSpec(p.id(8))), "neither a constant"),
    ("constant twice", _set("constants.append", lambda p: p.constants[0]), "given twice"),
    ("unknown constant", _set("constants.append", lambda p: m.Constant(p.id(9), Inline(b"x"))), "not among the new"),
    ("function that is no constant", _set("tasks.1.function", lambda p: p.id(3)), "not a constant"),
    ("unknown function", _set("tasks.1.function", lambda p: p.id(66)), "does not exist"),
    ("type without method", _set("tasks.0.task_type", "py"), "executor/method"),
    ("type without executor", _set("tasks.0.task_type", "/x"), "executor/method"),
    ("data type", _set("objects.0.data_type", "file"), "data type"),
    ("size hint", _set("objects.0.size_hint", -1), "size_hint"),
    ("long label", _set("objects.0.label", "x" * 100_000), "NAME_CHARS_MAX"),
    ("long name", _set("tasks.0.name", "x" * 100_000), "NAME_CHARS_MAX"),
    ("negative resource", _set("tasks.0.resources", {"cpus": -1.0}), "asks for -1.0 cpus"),
    ("resource that is no number", _set("tasks.0.resources", {"cpus": float("nan")}), "asks for nan"),
    ("infinite resource", _set("tasks.0.resources", {"cpus": float("inf")}), "asks for inf"),
    ("unnamed resource", _set("tasks.0.resources", {"": 1.0}), "resource named"),
    ("many resources", _set("tasks.0.resources", {str(i): 1.0 for i in range(100)}), "RESOURCES_MAX"),
    ("timeout", _options(timeout=0.0), "timeout"),
    ("retries", _options(retries=-1), "RETRIES_MAX"),
    ("rerun", _options(rerun="always"), "rerun"),
    ("priority", _options(priority=1 << 40), "PRIORITY_MAX"),
    ("environment", _options(env={"A=B": "c"}), "environment"),
    ("keep of the unknown", _set("keep", lambda p: [p.id(55)]), "cannot be kept"),
]


@pytest.mark.parametrize(("spoil", "text"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_refused_as_a_whole(spoil: Callable[[Parts], None], text: str) -> None:
    rig = Rig()
    parts = Parts(rig.session)
    spoil(parts)
    answer = parts.send(rig)
    assert isinstance(answer, m.Failed)
    assert text in answer.message
    session = rig.core.state.graph.sessions[rig.session]
    assert not session.tasks
    assert not session.objects
    assert any(one.type == "ClientInvalidRequest" for one in rig.happened)
    assert isinstance(Parts(rig.session).send(rig), m.Done), "the same ids are still free"


def test_ids_are_used_once_even_when_their_records_are_gone() -> None:
    rig = Rig()
    rig.governor()
    parts = Parts(rig.session)
    specs = copy.deepcopy(parts.tasks)
    parts.send(rig)
    rig.turn()
    rig.finish(*specs)
    rig.turn()
    session = rig.core.state.graph.sessions[rig.session]
    assert not session.tasks
    assert "submitted before" in Parts(rig.session).send(rig).message


def test_later_submits_use_constants_and_what_is_kept() -> None:
    rig = Rig()
    rig.governor()
    constant = rig.constant()
    kept, loose = rig.task(), rig.task()
    rig.submit(kept, loose, keep=kept.outputs)
    assert isinstance(rig.submit(rig.task(constant), rig.task(kept.outputs[0])), m.Done)
    assert "not kept" in rig.submit(rig.task(loose.outputs[0])).message
    rig.turn()
    rig.finish(kept, loose)
    rig.turn()
    assert isinstance(rig.submit(rig.task(constant), rig.task(kept.outputs[0])), m.Done)
    assert "is gone" in rig.submit(rig.task(loose.outputs[0])).message


def test_what_needs_a_failed_task_fails_at_once() -> None:
    rig = Rig()
    rig.governor()
    bad = rig.task()
    rig.submit(bad, keep=bad.outputs)
    rig.turn()
    rig.fail(bad, text="boom")
    late = rig.task(bad.outputs[0])
    later = rig.task(late.outputs[0])
    assert isinstance(rig.submit(late, later), m.Done)
    assert rig.state(late) == rig.state(later) == "failed"
    assert "boom" in rig.error(later).message
    assert rig.error(later).cause == bad.id
    (line,) = rig.ask(m.GetServerInfo, True).sessions
    assert line.tasks == {"failed": 1, "not run": 2}


def test_a_submit_in_pieces() -> None:
    rig = Rig()
    parts = Parts(rig.session)
    piece = m.Submit(9, rig.session, parts.tasks[:1], parts.objects, parts.constants, [], True)
    rig.step(ev.ClientSaid("c", piece))
    session = rig.core.state.graph.sessions[rig.session]
    assert not session.tasks
    assert isinstance(rig.ask(m.Submit, rig.session, parts.tasks[1:], [], [], []), m.Done)
    assert len(session.tasks) == 2


def test_pieces_that_are_never_completed_leave_nothing() -> None:
    rig = Rig()
    constant = m.Constant(ID(rig.session, 1), Upload("upload-1", 5, 1, LocalFile("/x", 1, 5, 0)))
    piece = m.Submit(9, rig.session, [], [ObjectSpec(ID(rig.session, 1))], [constant], [], True)
    rig.step(ev.ClientSaid("c", piece))
    rig.ask(m.CloseSession, rig.session)
    assert rig.discarded == ["upload-1"]


def test_uploads_live_as_long_as_their_session() -> None:
    rig = Rig()
    rig.governor()
    id = rig.id()
    constant = m.Constant(id, Upload("upload-1", 1 << 20, 1, LocalFile("/server/upload-1", 1, 1 << 20, 0)))
    task = rig.task(id)
    rig.submit(task, more_objects=[ObjectSpec(id)], more_constants=[constant])
    rig.turn()
    data = rig.told("g1", m.Assign)[0].objects[0]
    assert (data.location.replicas[0].address, data.location.replicas[0].file.path) == ("server:1", "/server/upload-1")
    rig.finish(task)
    rig.turn()
    assert id in rig.told("g1", m.DropObjects)[0].objects, "no governor needs it now"
    assert isinstance(rig.submit(rig.task(id)), m.Done)
    assert not rig.discarded
    rig.ask(m.CloseSession, rig.session)
    assert rig.discarded == ["upload-1"]


def test_a_refused_submit_discards_its_uploads() -> None:
    rig = Rig()
    constant = m.Constant(ID(rig.session, 1), Upload("upload-1", 5, 1, LocalFile("/x", 1, 5, 0)))
    assert isinstance(rig.submit(more_constants=[constant]), m.Failed)
    assert rig.discarded == ["upload-1"]


def test_an_upload_that_did_not_arrive() -> None:
    rig = Rig()
    id = rig.id()
    constant = m.Constant(id, Upload("upload-1", 5, 1))
    assert "did not arrive" in rig.submit(more_objects=[ObjectSpec(id)], more_constants=[constant]).message


def test_a_piece_whose_upload_cannot_be_taken_refuses_the_whole_submit_once() -> None:
    rig = Rig()
    rig.governor()
    values = [rig.id() for _ in range(3)]
    user = rig.task(values[1])
    pieces = [
        m.Submit(77, rig.session, [], [ObjectSpec(id)], [m.Constant(id, Upload(f"upload-{number}", 1 << 20))], [], True)
        for number, id in enumerate(values)
    ]
    pieces.append(m.Submit(77, rig.session, [user], [ObjectSpec(user.outputs[0])], [], []))
    for number, piece in enumerate(pieces):
        if piece.constants and number != 1:
            piece.constants[0].location.file = LocalFile(f"/kept/{number}", 1, 1 << 20, 0)
        rig.step(ev.ClientSaid(rig.client, piece, "it arrived with 3 bytes" if number == 1 else ""))
    answers = [said for said in rig.to_client if getattr(said, "request", None) == 77]
    assert answers == [m.Failed(77, "rain", "it arrived with 3 bytes")]
    assert sorted(rig.discarded) == ["upload-0", "upload-1", "upload-2"]
    assert not [said for said in rig.turn() if isinstance(said, m.Assign)]
    # Nothing of it was taken: the same ids can be submitted.
    assert isinstance(rig.submit(constants=dict.fromkeys(values, b"x")), m.Done)


def test_a_retry_whose_upload_cannot_be_taken() -> None:
    rig = Rig()
    id = rig.id()
    constant = m.Constant(id, Upload("upload", 1 << 20))
    retry = m.Retry(78, rig.session, None, [ObjectSpec(id)], [constant])
    rig.step(ev.ClientSaid(rig.client, retry, "it did not arrive"))
    assert rig.to_client[-1] == m.Failed(78, "rain", "it did not arrive")
    assert rig.discarded == ["upload"]
