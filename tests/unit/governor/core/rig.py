"""A governor's core with a shell made of paper: say what happens, read what it wants done.

``rig.step(event)`` steps the core, ends the turn and returns the effects as lines, for instance ``"start e1 py"``,
``"run e1: 1/2#1"`` (task 1/2 as number 1) or ``"> finished 1/2"`` (to the server). All invariants are checked after
each step. Task n of session s has the outputs s/n0, s/n1, ….
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline, Replica, Replicas
from rain.common.protocol import messages as m
from rain.common.protocol.families import results as results_of
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput
from rain.governor.core import GovernorCore
from rain.governor.core import effects as fx
from rain.governor.core import events as ev

HERE = "127.0.0.1:7211"
FUNCTION = 9


class Rig:
    """One core and the lines it said."""

    def __init__(self, executors: Iterable[str] = (), **resources: float) -> None:
        self.core = GovernorCore(HERE, resources or {"cpus": 1}, executors)
        self.now = 100.0
        self.attempts: dict[ID, int] = {}
        self.outputs: dict[ID, list[ID]] = {}
        self.effects: list[fx.AnyEffect] = []
        self.last: list[fx.AnyEffect] = []

    def step(self, *events: ev.AnyEvent) -> list[str]:
        """Step events, end the turn, return what is to be done."""
        self.last = []
        for event in (*events, ev.TurnEnded()):
            self.last += self.core.step(event, self.now)
            self.core.check()
        self.effects += self.last
        return [line for effect in self.last for line in describe(effect)]

    def server(self, *messages: Any) -> list[str]:
        """The server says something."""
        return self.step(*(ev.ServerSaid(message) for message in messages))

    def task(
        self,
        n: int,
        *inputs: int,
        session: int = 1,
        attempt: int = 1,
        outputs: int = 1,
        kind: str = "py/",
        rank: float = 0.0,
        function: int | None = None,
        options: TaskOptions | None = None,
        **resources: float,
    ) -> m.TaskAssignment:
        """An assignment; by default a Python task of one cpu without a function."""
        id = ID(session, n)
        made = [ID(session, 10 * n + i) for i in range(outputs)]
        self.attempts[id] = attempt
        self.outputs[id] = made
        spec = TaskSpec(
            id,
            kind,
            inputs=[TaskSpecInput(ID(session, i)) for i in inputs],
            outputs=made,
            resources=resources or {"cpus": 1},
            function=None if function is None else ID(session, function),
            options=options,
        )
        return m.TaskAssignment(spec, attempt, [ObjectSpec(output) for output in made], [rank])

    def assign(self, *tasks: m.TaskAssignment, objects: Iterable[m.ObjectData] = ()) -> list[str]:
        """The server assigns tasks."""
        return self.server(m.Assign(list(tasks), list(objects)))

    def result(
        self, n: int, session: int = 1, error: TaskError | None = None, start: float | None = None, took: float = 1.0
    ) -> m.TaskResult:
        """What an executor reports of task n."""
        id = ID(session, n)
        outputs = [] if error else [m.OutputResult(o, ObjectInfo(size=1), Inline(b"x")) for o in self.outputs[id]]
        info = TaskInfo(start_time=start, duration=took)
        return m.TaskResult(id, self.attempts[id], info, outputs, error)

    def results(self, executor: int, *tasks: int, stale: bool = False, took: float = 1.0) -> list[str]:
        """An executor reports tasks as finished, one right behind the other."""
        results = [self.result(n, start=i * took, took=took) for i, n in enumerate(tasks)]
        return self.step(ev.ExecutorResults(executor, results, stale))

    def fails(self, executor: int, n: int, kind: str = "exception", classes: list[str] | None = None) -> list[str]:
        """An executor reports task n as failed."""
        error = TaskError(kind, "it went wrong", classes=classes or [])
        return self.step(ev.ExecutorResults(executor, [self.result(n, error=error)]))

    def later(self, seconds: float) -> list[str]:
        """Time goes by."""
        self.now += seconds
        return self.step(ev.Tick())

    def learn_short(self, executor: int = 1, task: int = 999) -> None:
        """Run one short task, so that tasks of its kind are known to be short; `executor` is the one it starts."""
        self.assign(self.task(task))
        self.results(executor, task, took=0.0001)
        self.drop(10 * task)

    def drop(self, *objects: int, session: int = 1) -> list[str]:
        """The server drops objects."""
        return self.server(m.DropObjects([ID(session, o) for o in objects]))

    def cancel(self, *tasks: int, session: int = 1) -> list[str]:
        """The server cancels tasks."""
        return self.server(m.CancelTasks([(ID(session, n), self.attempts.get(ID(session, n), 1)) for n in tasks]))

    def take_back(self, *tasks: int, session: int = 1) -> list[str]:
        """The server wants tasks back."""
        return self.server(m.TakeBack([(ID(session, n), self.attempts.get(ID(session, n), 1)) for n in tasks]))

    def said(self, kind: type) -> list[Any]:
        """Messages of one kind that the last step sent to the server."""
        return [e.message for e in self.last if isinstance(e, fx.ToServer) and isinstance(e.message, kind)]


def blob(n: int, data: bytes | None = b"x", session: int = 1, *, places: int = 1) -> m.ObjectData:
    """An object as the server tells of it; with `data` None it is at `places` other governors."""
    at = [Replica(f"10.0.0.{i}:7211", "elsewhere") for i in range(places)]
    return m.ObjectData(ObjectSpec(ID(session, n)), ObjectInfo(size=1), Replicas(at) if data is None else Inline(data))


def ids(items: Iterable[Any]) -> str:
    """Ids, or pairs of id and attempt (shown when it is not 1)."""
    words = []
    for item in items:
        id, attempt = (item, 1) if isinstance(item, ID) else item
        words.append(f"{id}" if attempt == 1 else f"{id}@{attempt}")
    return " ".join(words)


def started_words(item: fx.ExecutorItem | fx.MemberItems) -> list[str]:
    """What an executor is given."""
    if isinstance(item, fx.ExecutorItem):
        return [f"{item.assignment.spec.id}#{item.number}"]
    first, stride = item.family.spec.id, len(item.family.outputs) + 1
    return [
        f"{ID(first[0], first[1] + place * stride)}#{item.number + place - item.start}"
        for place in range(item.start, item.stop)
    ]


def describe(effect: fx.AnyEffect) -> list[str]:
    """An effect as lines."""
    match effect:
        case fx.ToServer(message):
            return [f"> {line}" for line in describe_message(message)]
        case fx.Leave(reason):
            return [f"leave: {reason}"]
        case fx.Fetch(data):
            return [f"fetch {data.spec.id}"]
        case fx.CancelFetch(id):
            return [f"cancel fetch {id}"]
        case fx.PutInStore(spec):
            return [f"put {spec.id}"]
        case fx.NoteObject():
            return []  # of almost all that is fetched or made; `test_inherited` looks for it
        case fx.DropFromStore(dropped):
            return [f"delete {ids(dropped)}"]
        case fx.KeepNoted(but):
            return [f"keep what was noted{f' and {ids(but)}' if but else ''}"]
        case fx.EndSessionStore(session_id):
            return [f"delete session {session_id}"]
        case fx.StartExecutor():
            devices = "".join(f" {name}={numbers}" for name, numbers in effect.devices.items())
            return [f"start e{effect.executor_id} {effect.kind}{devices}"]
        case fx.RunOnExecutor(executor_id, items):
            words = [word for item in items for word in started_words(item)]
            return [f"run e{executor_id}: {' '.join(words)}"]
        case fx.RecallFromExecutor(executor_id, numbers):
            return [f"recall e{executor_id}: {' '.join(f'#{n}' for n in numbers)}"]
        case fx.InterruptExecutor(executor_id, number):
            return [f"interrupt e{executor_id} #{number}"]
        case fx.KillExecutor(executor_id):
            return [f"kill e{executor_id}"]
        case fx.GiveModule(executor_id, found):
            return [f"give e{executor_id} {found.name}"]
        case fx.MakePreview(executor_id, known):
            return [f"preview e{executor_id}: {known.spec.id}"]
        case fx.KeepPreview(id, data):
            return [f"keep preview {id} {data.decode()}"]
        case fx.RunBuiltin(number, assignment):
            return [f"builtin b{number}: {assignment.spec.id}"]
        case fx.CancelBuiltin(number):
            return [f"cancel b{number}"]
        case fx.ReadOutputs(request, items):
            words = [f"e{item.executor_id}#{item.number} behind {item.had.stdout}" for item in items]
            return [f"read {request}: {', '.join(words)}"]
    raise AssertionError(effect)


def describe_message(message: Any) -> list[str]:
    """A message to the server as lines."""
    match message:
        case m.Finished(results, families):
            columns = [one for family in families for one in results_of(family)]
            return [f"columns {ids((r.id, r.attempt) for r in columns)}"] * bool(columns) + [
                f"finished {ids([(r.id, r.attempt)])}"
                if r.error is None
                else f"failed {ids([(r.id, r.attempt)])} {r.error.kind}"
                for r in results
            ]
        case m.Started(tasks):
            return [f"started {ids(tasks)}"]
        case m.Stopped(tasks):
            return [f"stopped {ids(tasks)}"]
        case m.GaveBack(tasks):
            return [f"gave back {ids(tasks)}".rstrip()]
        case m.InputsMissing(tasks, objects):
            return [f"{ids(tasks)} cannot have {ids(objects)}"]
        case m.Fetched(objects):
            return [f"fetched {ids(objects)}"]
        case m.Moved(objects):
            return [f"moved {ids(id for id, _ in objects)}"]
        case m.ObjectsLost(objects):
            return [f"lost {ids(objects)}"]
        case m.TookOver(objects, more, attempts):
            runs = ", runs " + " ".join(f"{id}#{number}" for id, number in attempts) if attempts else ""
            return [f"took over {ids(one.id for one in objects)}{', and more' * more}{runs}"]
        case m.Dropped(objects):
            return [f"dropped {ids(objects)}"]
        case m.OutputRead(request, outputs):
            return [f"read {request}: {', '.join(f'{one.id} {one.stdout.decode()}' for one in outputs)}"]
        case m.Progressed(tasks):
            return [f"progressed {ids(one.id for one in tasks)}"]
        case m.WantModule(session_id, name):
            return [f"wants {name} of session {session_id}"]
        case m.Draining(reason, within_s, patient):
            return [f"draining within {within_s:g} s{', patiently' * patient}: {reason}"]
        case m.NotCopied(objects, reason):
            return [f"not copied {ids(objects)}: {reason}"]
        case m.SessionEnded(session_id):
            return [f"session {session_id} ended"]
    raise AssertionError(message)
