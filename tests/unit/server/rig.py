"""A server's core with paper peers: each step is checked, what peers are told is remembered."""

from __future__ import annotations

from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile
from rain.common.protocol import messages as m
from rain.common.protocol.families import assignments
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput
from rain.server.check import check
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.scheduling.locality import LocalityPolicy
from rain.server.scheduling.policy import SchedulingPolicy
from tests.support.graphs import parse

ENV = m.SessionEnv("laptop", "/usr/bin/python3", "3.11", [], "/home/me")
LARGE = 1 << 20
_OPTIONS = {"kind", "outputs", *TaskOptions.__struct_fields__}


class Rig:
    """One core, one client ``c`` with one session, and governors as they are asked for."""

    def __init__(
        self,
        *,
        on_failure: str = "continue",
        persistent: bool = False,
        client: str = "c",
        policy: type[SchedulingPolicy] = LocalityPolicy,
    ) -> None:
        self.core = ServerCore("server:1", "server-host", "server:2", "0.1", policy=policy, policy_name="own")
        self.now = 100.0
        self.requests = 0
        self.to_client: list[Any] = []
        self.to_governor: dict[str, list[Any]] = {}
        self.happened: list[do.Happened] = []
        self.discarded: list[str] = []
        self.broke: list[do.InternalError] = []
        self.given: dict[tuple[ID, int], tuple[str, m.TaskAssignment]] = {}
        self.client = client
        self.step(ev.ClientJoined(client))
        self.session = self.ask(m.NewSession, "test", on_failure, persistent, ENV).session_id
        self.number = 0

    # -- stepping -------------------------------------------------------------------------------

    def step(self, event: ev.Event) -> list[do.Effect]:
        effects = self.core.step(event, self.now)
        check(self.core)
        for effect in effects:
            if isinstance(effect, do.ToClient):
                self.to_client.append(effect.message)
            elif isinstance(effect, do.ToGovernor):
                self.to_governor.setdefault(effect.governor_id, []).append(effect.message)
                if isinstance(effect.message, m.Assign):
                    members = [task for family in effect.message.families for task in assignments(family)]
                    for task in [*effect.message.tasks, *members]:
                        self.given[(task.spec.id, task.attempt)] = (effect.governor_id, task)
            elif isinstance(effect, do.Logged):
                self.happened += effect.each()
            elif isinstance(effect, do.DiscardUpload):
                self.discarded.extend(effect.names)
            elif isinstance(effect, do.InternalError):
                self.broke.append(effect)
        return effects

    def turn(self) -> list[Any]:
        """End the turn; what governors were told, in order."""
        before = {name: len(said) for name, said in self.to_governor.items()}
        self.step(ev.TurnEnded())
        return [message for name, said in self.to_governor.items() for message in said[before.get(name, 0) :]]

    def ask(self, kind: Any, *fields: Any, client: str = "") -> Any:
        """Send a request and return its answer (None if it is not answered at once)."""
        self.requests += 1
        count = len(self.to_client)
        self.step(ev.ClientSaid(client or self.client, kind(self.requests, *fields)))
        answers = [said for said in self.to_client[count:] if getattr(said, "request", None) == self.requests]
        return answers[0] if answers else None

    # -- items ----------------------------------------------------------------------------------

    def id(self) -> ID:
        self.number += 1
        return ID(self.session, self.number)

    def task(
        self,
        *inputs: ID,
        outputs: int = 1,
        resources: dict[str, float] | None = None,
        kind: str = "py/",
        function: ID | None = None,
        **options: Any,
    ) -> TaskSpec:
        """A spec, not submitted."""
        return TaskSpec(
            self.id(),
            kind,
            inputs=[TaskSpecInput(id) for id in inputs],
            outputs=[self.id() for _ in range(outputs)],
            resources={"cpus": 1.0} if resources is None else resources,
            function=function,
            options=TaskOptions(**options) if options else None,
        )

    def submit(
        self, *tasks: TaskSpec, keep: list[ID] | None = None, constants: dict[ID, bytes] | None = None, **fields: Any
    ) -> Any:
        """Submit tasks with their outputs, and constants; the answer."""
        values = [m.Constant(id, Inline(value, 1)) for id, value in (constants or {}).items()]
        objects = [ObjectSpec(id) for id in constants or {}]
        objects += [ObjectSpec(id) for task in tasks for id in task.outputs]
        values += fields.get("more_constants", [])
        objects += fields.get("more_objects", [])
        return self.ask(m.Submit, self.session, list(tasks), objects, values, keep or [])

    def graph(self, text: str, keep: str = "") -> list[TaskSpec]:
        """Submit the tasks of a text (`tests.support.graphs`) with one output each, and keep those of some.

        Options of a task that are no options of Rain's (``cpus``, ``gpus``) are resources.
        """
        tasks: dict[str, TaskSpec] = {}
        for node in parse(text):
            options = {name: value for name, value in node.options.items() if name in _OPTIONS}
            resources = {name: float(value) for name, value in node.options.items() if name not in _OPTIONS} or None
            inputs = [tasks[name].outputs[0] for name in node.inputs]
            tasks[node.name] = self.task(*inputs, resources=resources, **options)
        kept = [id for name in keep.split() for id in tasks[name].outputs]
        assert isinstance(self.submit(*tasks.values(), keep=kept), m.Done)
        return list(tasks.values())

    def constant(self, value: bytes = b"value") -> ID:
        """Submit a constant."""
        id = self.id()
        assert isinstance(self.submit(constants={id: value}), m.Done)
        return id

    # -- governors ------------------------------------------------------------------------------

    def governor(self, name: str = "g1", host: str = "", executors: tuple[str, ...] = (), **resources: float) -> str:
        """A governor registers."""
        register = m.Register(name, host or name, resources or {"cpus": 2.0}, list(executors), "3.11")
        self.step(ev.GovernorJoined(name, register))
        return name

    def gone(self, name: str) -> None:
        """A governor is lost."""
        self.step(ev.GovernorGone(name, "silence"))

    def says(self, name: str, message: Any) -> None:
        """A governor says something."""
        self.step(ev.GovernorSaid(name, message))

    def where(self, task: TaskSpec) -> tuple[str, int]:
        """Governor and attempt of the last assignment of a task."""
        attempt = max(attempt for id, attempt in self.given if id == task.id)
        return self.given[(task.id, attempt)][0], attempt

    def start(self, task: TaskSpec) -> None:
        """It is seen running."""
        name, attempt = self.where(task)
        self.says(name, m.Started([(task.id, attempt)]))

    def finish(self, *tasks: TaskSpec, large: bool = False, value: bytes = b"result", seconds: float = 0.01) -> None:
        """They finish, each where it was last assigned, in one message per governor."""
        by_governor: dict[str, list[m.TaskResult]] = {}
        for task in tasks:
            name, attempt = self.where(task)
            outputs = [self.output(id, name, large, value) for id in task.outputs]
            result = m.TaskResult(task.id, attempt, TaskInfo(start_time=1.0, duration=seconds), outputs)
            by_governor.setdefault(name, []).append(result)
        for name, results in by_governor.items():
            self.says(name, m.Finished(results))

    def output(self, id: ID, name: str, large: bool, value: bytes) -> m.OutputResult:
        """An output as a governor reports it."""
        if large:
            file = LocalFile(f"/{name}/{id}", 7, LARGE, 0, 99)
            return m.OutputResult(id, ObjectInfo(size=LARGE), file)
        return m.OutputResult(id, ObjectInfo(size=len(value)), Inline(value, 99))

    def fail(self, task: TaskSpec, kind: str = "exception", text: str = "it broke", *classes: str) -> None:
        """An attempt fails."""
        name, attempt = self.where(task)
        error = TaskError(kind, text, None, list(classes))
        self.says(name, m.Finished([m.TaskResult(task.id, attempt, TaskInfo(duration=0.001), [], error)]))

    def refuse(self, task: TaskSpec, large: bool = False, value: bytes = b"returned") -> None:
        """An attempt fails because what it returned is refused; it is kept."""
        name, attempt = self.where(task)
        outputs = [self.output(id, name, large, value) for id in task.outputs]
        error = TaskError("refused", "not that")
        self.says(name, m.Finished([m.TaskResult(task.id, attempt, TaskInfo(duration=0.001), outputs, error)]))

    # -- looking --------------------------------------------------------------------------------

    def state(self, item: TaskSpec | ID) -> str:
        """State of a task or object, as `Update` tells it."""
        id = item.id if isinstance(item, TaskSpec) else item
        answer = self.ask(m.Update, self.session, [id])
        assert isinstance(answer, m.Updated), answer
        return str([*answer.tasks, *answer.objects][0].state.value)

    def error(self, task: TaskSpec) -> TaskError:
        """Why a task failed."""
        error = self.ask(m.Update, self.session, [task.id]).tasks[0].error
        assert error is not None
        return error  # type: ignore[no-any-return]

    def news(self) -> tuple[dict[ID, str], dict[ID, str]]:
        """States that the client was told of, in order, the last one of each item; then forget."""
        tasks: dict[ID, str] = {}
        objects: dict[ID, str] = {}
        for said in self.to_client:
            if isinstance(said, m.SessionUpdate):
                tasks.update((update.id, update.state.value) for update in said.tasks)
                objects.update((update.id, update.state.value) for update in said.objects)
        self.to_client.clear()
        return tasks, objects

    def told(self, name: str, kind: type) -> list[Any]:
        """What a governor was told of one kind; then forget."""
        said = self.to_governor.get(name, [])
        found = [message for message in said if isinstance(message, kind)]
        self.to_governor[name] = [message for message in said if not isinstance(message, kind)]
        return found

    def assigned(self, *names: str) -> dict[str, list[ID]]:
        """What each governor has now."""
        governors = self.core.state.graph.governors
        return {name: [task.id for task in governors[name].assigned] for name in names or tuple(governors)}
