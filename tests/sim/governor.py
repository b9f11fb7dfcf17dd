"""A governor in the simulator: the real core, with a store, executors and transfers of paper around it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_RETURN_S, PREVIEWED_TASKS_MAX
from rain.common.location import Inline, LocalFile, Replicas
from rain.common.protocol import messages as m
from rain.common.protocol.messages import ObjectData, OutputResult, TaskAssignment, TaskResult
from rain.common.spec import ObjectInfo, TaskError, TaskInfo
from rain.common.task_configs import COMPANION
from rain.governor.core import GovernorCore
from rain.governor.core import effects as do
from rain.governor.core import events as ev
from rain.governor.results import results_in
from rain.governor.states import Stage
from tests.sim import plan
from tests.sim.armed import ARMED
from tests.sim.left_stores import LeftStore, Notes, Taken
from tests.sim.network import PeerSide
from tests.support.members import apart, as_columns, is_plain, joined

if TYPE_CHECKING:
    from tests.sim.world import World

TICK_S = LOOK_S = 0.1
PING_S = 2.5
REMOVED_LATELY_MAX = 5
_SAID = msgspec.msgpack.Decoder(tuple[int, int, list[m.GovernorToServer]])
QUIET = (ev.Tick, ev.TurnEnded)
"""Events that mostly lead to nothing."""


def is_quiet(core: GovernorCore, event: ev.AnyEvent, effects: list[Any]) -> bool:
    """Whether a step left all records as they were: nothing came of it, and a departure cannot have gone on."""
    return not effects and type(event) in QUIET and core._state.departure.stage is Stage.STAYING


def random_returns(random: Random) -> float:
    """Whether a host starts another governor in the place of one that died."""
    return random.choice([0.0, GOVERNOR_RETURN_S])


class PaperExecutor:
    """A process that runs what it was given, one after the other."""

    def __init__(self, start: do.StartExecutor) -> None:
        self.start = start
        self.queue: list[tuple[do.ExecutorItem, list[bytes]]] = []
        self.functions: dict[ID, None] = {}
        self.members: set[int] = set()  # numbers of members of families
        self.running: tuple[do.ExecutorItem, list[bytes]] | None = None
        self.up = False
        self.dead = False
        self.run = 0
        self.results: list[Any] = []  # of tasks, and of members of families
        self.made: dict[ID, bytes] = {}  # small outputs, which it hands on
        self.preview: ID | None = None


class SimGovernor:
    """One governor process; a new one takes its place when it died, with or without what that one left."""

    def __init__(self, world: World, host: str, resources: dict[str, float], left: LeftStore | None = None) -> None:
        self.world = world
        self.host = host
        self.resources = resources
        self.random: Random = world.random
        self.previews = Random(f"{world.seed} {host}")  # dice of their own
        self.columns = Random(f"{world.seed} {host} columns")
        self.given_up = Random(f"{world.seed} {host} given up")
        self.stays: set[ID] = set()  # what stayed in the store when the server was lost, though it was not noted
        self.past_tasks = Random(f"{world.seed} {host} past").choice([0, PREVIEWED_TASKS_MAX + 1])
        self.alive = True
        self.store: dict[ID, tuple[bytes, LocalFile | None]] = {}
        world.stores += 1
        taken = None if left is None else left.taken(self.previews)
        self.notes = Notes([f"store-{world.stores}", *(taken.names if taken else [])])
        self.unread: set[ID] = set()
        self.removed: dict[ID, tuple[bytes, LocalFile]] = {}  # lately
        self.returns_s = random_returns(self.previews)
        self.executors: dict[int, PaperExecutor] = {}
        self.core = GovernorCore(host, resources)
        self.side: PeerSide | None = None
        self.turn_due = False
        self.tick_at = inf
        self.files = 0
        self.builtins: dict[int, do.RunBuiltin] = {}
        self._do: dict[type, Callable[[Any], None]] = {
            do.ToServer: self._say,
            do.Leave: lambda effect: self._leave(),
            do.Fetch: self._fetch,
            do.CancelFetch: lambda effect: None,
            do.NoteObject: self._note,
            do.KeepNoted: self._keep_noted,
            do.PutInStore: self._put,
            do.DropFromStore: self._drop,
            do.EndSessionStore: self._end_session,
            do.StartExecutor: self._start,
            do.RunOnExecutor: self._run,
            do.RecallFromExecutor: self._recall,
            do.InterruptExecutor: self._interrupt,
            do.KillExecutor: self._kill,
            do.MakePreview: self._make_preview,
            do.KeepPreview: self._keep_preview,
            do.ReadOutputs: self._read_outputs,
            do.RunBuiltin: self._run_builtin,
            do.CancelBuiltin: self._cancel_builtin,
        }
        self.outbox: list[Any] = []
        world.inherited += bool(taken and taken.objects)
        self.connect(taken)
        self._ping()

    # -- conversation ---------------------------------------------------------------------------

    def _say(self, effect: do.ToServer) -> None:
        assert not self.core._state.away or self.side is None or self.side.open, "what runs on is told to no server"
        self.outbox.append(effect.message)

    def connect(self, taken: Taken | None = None, own: bool = False) -> None:
        self.side = self.world.server.open_governor(self)
        self.side.on_messages = self._said
        register = m.Register(self.host, self.world.machine_of(self.host), self.resources, [], "3.11")
        names = self.notes.names
        register.store, register.before, register.returns_s = names[0], names[1:], self.returns_s
        self.side.send([register])
        if taken is not None:
            self._inherit(taken, own)

    def _inherit(self, taken: Taken, own: bool) -> None:
        for known, value, file in taken.objects if not own else ():
            self.store[known.spec.id] = (value, file)
            self.notes.note(known, file)
            self.unread.add(known.spec.id)
        self.step(ev.Inherited([ev.Heirloom(known, file.size, file.checksum) for known, _, file in taken.objects]))

    def remains(self) -> LeftStore:
        """What it leaves when it dies; at times files are still there that were to go."""
        files = [(value, file) for value, file in self.store.values() if file is not None]
        if self.previews.random() < 0.3:
            files += [self.removed[id] for id in self.removed if id not in self.store]
        return self.notes.remains(files, self.previews)

    def _note(self, effect: do.NoteObject) -> None:
        id = effect.known.spec.id
        assert id in self.store, "what is not here is noted"
        self.notes.note(effect.known, self.store[id][1])

    def _said(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, m.Assign) and self.world.faulty and self.random.random() < 0.03:
                self._lose_an_input(message)
            self.step(ev.ServerSaid(message))
        # A session that has had many tasks gets no previews, and what is kept of members stays in columns.
        for session in self.core._state.sessions.values():
            session.tasks_seen = max(session.tasks_seen, self.past_tasks)

    def reset(self) -> None:
        """The server knows nothing of the conversation."""
        assert self.side is not None
        if self.alive and self.side.open:
            self.side.close()  # nothing that was on its way on the old connection is read any more
            kept = [message for packet in self.side.channel.unacknowledged() for message in _SAID.decode(packet)[2]]
            unheard = results_in([*kept, *self.outbox])
            self.outbox.clear()
            self.stays = set()
            self.step(ev.ServerGone(self.given_up.random() < 0.3, unheard))
            noted = self.notes.noted
            assert self.store.keys() <= noted.keys() | self.stays, "what was not noted survived"
            self.world.came_again += bool(self.store)
            if self.given_up.random() < 0.5:
                self._come_back()
            else:  # what it runs may end before it has registered again
                self.world.clock.after(self.given_up.random(), self._come_back)

    def _come_back(self) -> None:
        if self.alive:
            noted = self.notes.noted
            there = [(noted[id], value, file) for id, (value, file) in self.store.items() if file and id in noted]
            self.world.stores += 1
            self.notes = Notes([f"store-{self.world.stores}", *self.notes.names])
            for known, _, file in there:
                self.notes.note(known, file)
            self.connect(Taken(self.notes.names[1:], there), own=True)

    def die(self) -> None:
        self.alive = False
        assert self.side is not None
        self.side.close()
        for executor in self.executors.values():
            executor.dead = True
        self.executors.clear()

    def _leave(self) -> None:
        """It has been told to end: what it still had to say leaves, then the process is gone."""
        side = self.side
        assert side is not None
        side.send(self.outbox)
        self.outbox = []
        self.die()
        self.world.faults.left(self, side)

    def _ping(self) -> None:
        if self.alive and self.side is not None:
            if self.side.open:
                self.side.ping()
            self.world.clock.after(PING_S, self._ping)

    # -- stepping -------------------------------------------------------------------------------

    def step(self, event: ev.AnyEvent) -> None:
        if not self.alive:
            return
        self._apply(event)
        if not self.turn_due:
            self.turn_due = True
            self.world.clock.after(self.world.turn_delay(), self._turn_ended)

    def _apply(self, event: ev.AnyEvent) -> None:
        world = self.world
        ARMED.on = True
        try:
            effects = self.core.step(event, world.clock.now)
        finally:
            ARMED.on = False
        if world.checks and (world.quiet_steps or not is_quiet(self.core, event, effects)):
            self.core.check()
        for effect in effects:
            self._do[type(effect)](effect)

    def _turn_ended(self) -> None:
        self.turn_due = False
        if self.alive:
            self._apply(ev.TurnEnded())
            self._judge_departure()
            self._judge_told()
            assert self.side is not None
            self.side.send(self.outbox)
            self.outbox = []
            self._wait()

    def _judge_told(self) -> None:
        """What tasks made is here when it is told, or is told as lost."""
        lost = {id for message in self.outbox if isinstance(message, m.ObjectsLost) for id in message.objects}
        for result in results_in(self.outbox).results:
            gone = [output.id for output in result.outputs if output.id not in self.store and output.id not in lost]
            assert not gone or result.id.session_id not in self.core._state.sessions, f"{gone} is told and is not here"

    def _judge_departure(self) -> None:
        if self.core._state.departure.stage in (Stage.DRAINING, Stage.HANDING_BACK):
            load = self.core.load()
            assert not load["tasks_waiting"] + load["tasks_ready"], "what has not begun stays with one that leaves"

    def _wait(self) -> None:
        """Let time pass until the core's next deadline; of the ticks before it nothing would come."""
        due_at, now = self.core.due_at(), self.world.clock.now
        if due_at < inf and self.tick_at > (tick_at := max(due_at, now + TICK_S)):
            self.tick_at = tick_at
            self.world.clock.after(tick_at - now, self._tick, tick_at)

    def _tick(self, tick_at: float) -> None:
        if self.tick_at == tick_at:  # else there was an earlier one to wait for
            self.tick_at = inf
            self.step(ev.Tick())

    # -- store ----------------------------------------------------------------------------------

    def _forget(self, id: ID) -> None:
        self.store.pop(id, None)
        self.notes.forget(id)
        self.unread.discard(id)

    def _put(self, effect: do.PutInStore) -> None:
        self._forget(effect.spec.id)
        self.store[effect.spec.id] = (effect.location.data, None)

    def _drop(self, effect: do.DropFromStore) -> None:
        early = self._in_use().intersection(effect.ids)
        assert not early, f"{self.host} removes what its executors need: {early}"
        for id in effect.ids:
            self._remove(id)

    def _keep_noted(self, effect: do.KeepNoted) -> None:
        self.stays.update(effect.but)
        for id in self.store.keys() - self.notes.noted.keys() - self.stays:
            self._forget(id)

    def _end_session(self, effect: do.EndSessionStore) -> None:
        for id in [id for id in self.store if id.session_id == effect.session_id]:
            self._remove(id)

    def _remove(self, id: ID) -> None:
        """The index says that the object is gone, and its file goes: neither at once."""
        value, file = self.store.get(id, (b"", None))
        if id in self.notes.noted and file is not None:
            self.removed[id] = (value, file)
            while len(self.removed) > REMOVED_LATELY_MAX:
                del self.removed[next(iter(self.removed))]
        self._forget(id)

    def _in_use(self) -> set[ID]:
        """Inputs of what was given to executors."""
        queues = [executor.queue for executor in self.executors.values()]
        running = [executor.running for executor in self.executors.values() if executor.running is not None]
        items = [item for queue in (*queues, running) for item, _ in queue]
        return {wanted.id for item in items for wanted in item.assignment.spec.inputs}

    def _fetch(self, effect: do.Fetch) -> None:
        self.world.clock.after(self.world.network.delay() * 2, self._fetched, effect.data)

    def _fetched(self, data: ObjectData) -> None:
        if not self.alive:
            return
        id = data.spec.id
        assert isinstance(data.location, Replicas)
        if not data.location.replicas:
            there = id in self.store and (id not in self.unread or self._compare(id))
            self.step(ev.FetchDone(id) if there else ev.FetchFailed(id, "it is damaged"))
            return
        broken = self.world.faulty and self.random.random() < 0.1
        for place in () if broken else data.location.replicas:
            value = self.world.read(self.host, place, id)
            if value is not None and plan.checksum(value) == data.location.checksum:
                self._forget(id)
                self.store[id] = (value, self._file(id, data.info.size or 0, data.location.checksum))
                self.step(ev.FetchDone(id))
                return
        self.step(ev.FetchFailed(id, f"tried {[place.address for place in data.location.replicas]}"))

    def is_whole(self, id: ID) -> bool:
        """Whether what is here is what its checksum says."""
        value, file = self.store[id]
        return file is None or plan.checksum(value) == file.checksum

    def compare_asked(self, id: ID) -> None:
        """A reader has asked for what came from a dead governor."""
        if self.alive and id in self.unread:
            self._compare(id)

    def _compare(self, id: ID) -> bool:
        """Read what came from a dead governor; whether it is as it was."""
        if not self.is_whole(id) or (self.world.faulty and self.previews.random() < 0.2):
            self._forget(id)
            self.world.objects_lost += 1
            self.step(ev.ObjectLost(id, "its checksum is wrong"))
            return False
        self.unread.discard(id)
        file = self.store[id][1]
        assert file is not None
        self.step(ev.ObjectMoved(id, file))
        return id in self.store

    def read_something(self) -> None:
        """Another process asks for what came from a dead governor."""
        if self.unread:
            self._compare(self.previews.choice(sorted(self.unread)))

    def _file(self, id: ID, size: int, checksum: int | None = None) -> LocalFile:
        self.files += 1
        return LocalFile(f"{self.host}/{id}/{self.files}", self.files, size, 0, checksum)

    def _lose_an_input(self, message: m.Assign) -> None:
        """A file is lost while a task that needs it is on its way here."""
        inputs = [wanted.id for task in message.tasks for wanted in task.spec.inputs]
        self._lose([id for id in inputs if id in self.store and self.store[id][1] is not None])

    def lose_something(self) -> None:
        """A file is found to be damaged."""
        self._lose([id for id, (_, file) in self.store.items() if file is not None])

    def _lose(self, files: list[ID]) -> None:
        if files:
            id = self.random.choice(files)
            if id not in self._in_use():
                self._forget(id)
                self.world.objects_lost += 1
                self.step(ev.ObjectLost(id, "its checksum is wrong"))

    def move_something(self) -> None:
        """A file is spilled."""
        files = [id for id, (_, file) in self.store.items() if file is not None]
        if files:
            id = self.random.choice(files)
            if id in self.unread and not self._compare(id):
                return
            value, old = self.store[id]
            assert old is not None
            file = self._file(id, old.size, old.checksum)
            self.store[id] = (value, file)
            self.notes.moved(id, file)
            self.unread.discard(id)
            self.step(ev.ObjectMoved(id, file))

    # -- executors ------------------------------------------------------------------------------

    def _start(self, effect: do.StartExecutor) -> None:
        executor = self.executors[effect.executor_id] = PaperExecutor(effect)
        self.world.clock.after(0.002 + 0.02 * self.random.random(), self._up, effect.executor_id, executor)

    def _up(self, id: int, executor: PaperExecutor) -> None:
        if not executor.dead:
            executor.up = True
            self._next(id, executor)

    def _run(self, effect: do.RunOnExecutor) -> None:
        executor = self.executors[effect.executor_id]
        for given in effect.items:
            if isinstance(given, do.MemberItems):
                executor.members.update(range(given.number, given.number + given.stop - given.start))
        for item in [one for given in effect.items for one in apart(given)]:
            spec = item.assignment.spec
            awaited = {known.id for known in item.inputs if isinstance(known, do.Awaited)}
            values = [b"" if wanted.id in awaited else self.store[wanted.id][0] for wanted in spec.inputs]
            present = {wanted.id for wanted in spec.inputs} - awaited
            assert not self.unread.intersection(present), f"{spec.id}: inputs are unread"
            if item.function is not None:
                if item.function_cached:
                    assert spec.function in executor.functions, f"{spec.id}: the function was never sent"
                else:
                    assert spec.function in self.store, f"{spec.id}: the function is not here"
                    executor.functions[spec.function] = None
            executor.queue.append((item, values))
        self._next(effect.executor_id, executor)

    def _next(self, id: int, executor: PaperExecutor) -> None:
        if not executor.up or executor.dead or executor.running is not None or not executor.queue:
            return
        if executor.preview is not None:
            return
        executor.running = executor.queue.pop(0)
        executor.run += 1
        item, values = executor.running
        for place, known in enumerate(item.inputs):
            if isinstance(known, do.Awaited):
                self.world.awaited += 1
                if known.id not in executor.made or self.random.random() < 0.05:
                    executor.running = None
                    self._report(id, executor)
                    self.step(ev.ExecutorRecalled(id, [item.number], unasked=True))
                    self._next(id, executor)
                    return
                values[place] = executor.made[known.id]
        if item.assignment.spec.task_type == COMPANION:
            self._look_later(id, executor)
            self.world.clock.after(0.001 + 0.05 * self.random.random(), self._companion_up, id, executor, executor.run)
            return
        self.world.executed(item.assignment, self.host)
        seconds = plan.script_of(item.assignment.spec.config)[3] / 1000 * (0.5 + self.random.random())
        self.world.clock.after(seconds, self._done, id, executor, executor.run)
        if self.random.random() < 0.3:
            self.step(ev.ExecutorSeen(id, item.number))
        elif seconds > LOOK_S / 100:
            self._look_later(id, executor)

    def _look_later(self, id: int, executor: PaperExecutor) -> None:
        self.world.clock.after(LOOK_S * self.random.random(), self._look, id, executor, executor.run)

    def _look(self, id: int, executor: PaperExecutor, run: int) -> None:
        """It is looked which task the executor is on, twice in a row."""
        for again in (False, True):
            if not executor.dead and executor.run == run and executor.running is not None:
                self.step(ev.ExecutorSeen(id, executor.running[0].number, again))

    def _companion_up(self, id: int, executor: PaperExecutor, run: int) -> None:
        if executor.dead or executor.run != run or executor.running is None:
            return
        assignment = executor.running[0].assignment
        if self.world.faulty and self.random.random() < 0.02:
            self.world.killed(assignment.spec.id)
            self._exit(id, executor, "was killed by signal SIGSEGV")
            return
        ready = m.NodeReady(assignment.spec.id, assignment.attempt, f"{self.host}:9", b"print", b"key")
        self.step(ev.CompanionReady(id, ready))

    def _done(self, id: int, executor: PaperExecutor, run: int) -> None:
        if executor.dead or executor.run != run or executor.running is None:
            return
        item, values = executor.running
        result = self._outcome(item.assignment, values)
        if result is None:
            self._report(id, executor)
            self._exit(id, executor, "was killed by signal SIGSEGV")
            return
        executor.running = None
        for spec in item.assignment.outputs:
            executor.made.pop(spec.id, None)
        executor.made.update(
            (output.id, output.location.data) for output in result.outputs if isinstance(output.location, Inline)
        )
        if item.number in executor.members and self.columns.random() < 0.9 and is_plain(result):
            executor.results.append(as_columns(result))
        else:
            executor.results.append(result)
        if executor.queue and self.random.random() < 0.5:
            self._next(id, executor)
            return
        self._report(id, executor)
        self._next(id, executor)

    def _report(self, id: int, executor: PaperExecutor) -> None:
        told, executor.results = executor.results, []
        while told:
            columns = type(told[0]) is m.FamilyResults
            count = next((i for i, one in enumerate(told) if (type(one) is m.FamilyResults) is not columns), len(told))
            part, told = told[:count], told[count:]
            stale = not told and self.random.random() < 0.02
            if columns:
                self.step(ev.ExecutorResults(id, [], stale, joined(part)))
                continue
            for result in part:
                self._adopt(result)
            self.step(ev.ExecutorResults(id, part, stale))

    def _outcome(self, assignment: TaskAssignment, values: list[bytes]) -> TaskResult | None:
        """The result of a run; None for a crash."""
        spec = assignment.spec
        behaviour, times = self.world.behaviour(spec.id)
        info = TaskInfo(start_time=self.world.clock.now, duration=plan.script_of(spec.config)[3] / 1000)
        runs = self.world.executions[spec.id]
        if behaviour in (plan.CRASH, plan.POISON) and runs <= times:
            return None
        if behaviour == plan.FAIL or (behaviour == plan.FLAKY and runs <= times):
            error = TaskError("exception", f"{spec.id} raised", None, ["builtins.ValueError", "builtins.Exception"])
            return TaskResult(spec.id, assignment.attempt, info, [], error, b"out", b"err")
        outputs = []
        for output, value in zip(spec.outputs, plan.outputs_of(spec, values), strict=True):
            checksum = plan.checksum(value)
            size = plan.script_of(spec.config)[2]
            if size:
                file = self._file(output, size, checksum)
                outputs.append(OutputResult(output, ObjectInfo(size=size), file))
            else:
                about = ObjectInfo(size=len(value), content_type="pickle", encoded=True)
                outputs.append(OutputResult(output, about, Inline(value, checksum)))
            self.world.produced[output] = value
        return TaskResult(spec.id, assignment.attempt, info, outputs)

    def _adopt(self, result: TaskResult) -> None:
        for output in result.outputs:
            location = output.location
            self._forget(output.id)
            self.store[output.id] = (
                self.world.produced[output.id],
                location if isinstance(location, LocalFile) else None,
            )

    def _make_preview(self, effect: do.MakePreview) -> None:
        executor, id = self.executors[effect.executor_id], effect.known.spec.id
        assert executor.running is None, "a preview is made while a task runs"
        assert not executor.queue, "a preview is made while a task waits"
        assert id in self.store
        executor.preview = id
        seconds = self.previews.choice([0.0002, 0.003, 0.05, None, None])  # None: a repr that does not return
        if seconds is not None:
            self.world.clock.after(seconds, self._preview_made, effect.executor_id, executor)

    def _preview_made(self, number: int, executor: PaperExecutor) -> None:
        if executor.dead or executor.preview is None:
            return
        id, executor.preview = executor.preview, None
        how = self.previews.random()
        if how < 0.1:
            self._exit(number, executor, "was killed by signal SIGSEGV")
            return
        answer = m.OwnPreview(id) if how < 0.2 else m.OwnPreview(id, b"", how < 0.3, bool(executor.queue))
        if how >= 0.3 and not executor.queue:
            answer.data = self.store.get(id, (b"gone", None))[0]
        self.step(ev.PreviewMade(number, answer))
        self._next(number, executor)

    def _keep_preview(self, effect: do.KeepPreview) -> None:
        self.world.previews_kept += 1
        assert effect.data == self.store[effect.id][0], "the preview of another value"

    def _recall(self, effect: do.RecallFromExecutor) -> None:
        self.world.clock.after(
            0.0005, self._recalled, effect.executor_id, self.executors[effect.executor_id], effect.numbers
        )

    def _recalled(self, id: int, executor: PaperExecutor, numbers: list[int]) -> None:
        if executor.dead:
            return
        given = [item.number for item, _ in executor.queue if item.number in numbers]
        executor.queue = [entry for entry in executor.queue if entry[0].number not in given]
        self._report(id, executor)
        self.step(ev.ExecutorRecalled(id, given))

    def _interrupt(self, effect: do.InterruptExecutor) -> None:
        if self.random.random() < 0.7:
            executor = self.executors[effect.executor_id]
            self.world.clock.after(0.001, self._interrupted, effect.executor_id, executor, effect.number)

    def _interrupted(self, id: int, executor: PaperExecutor, number: int) -> None:
        running = executor.running
        if executor.dead or running is None or (number and running[0].number != number):
            return
        assignment = running[0].assignment
        executor.running = None
        executor.run += 1
        error = TaskError("exception", "KeyboardInterrupt", None, ["builtins.KeyboardInterrupt"])
        executor.results.append(TaskResult(assignment.spec.id, assignment.attempt, TaskInfo(duration=0.0), [], error))
        self._report(id, executor)
        self._next(id, executor)

    def _kill(self, effect: do.KillExecutor) -> None:
        executor = self.executors[effect.executor_id]
        self.world.clock.after(0.003, self._exit, effect.executor_id, executor, "was killed by signal SIGKILL")

    def _exit(self, id: int, executor: PaperExecutor, reason: str, signal: int = 0) -> None:
        if executor.dead:
            return
        executor.dead = True
        del self.executors[id]
        number = executor.running[0].number if executor.running is not None else 0
        self.step(ev.ExecutorExited(id, reason, number, b"", b"last words", signal=signal))

    def _read_outputs(self, effect: do.ReadOutputs) -> None:
        self.world.clock.after(0.001, self._outputs_read, effect)

    def _outputs_read(self, effect: do.ReadOutputs) -> None:
        found = []
        for item in effect.items:
            executor = self.executors.get(item.executor_id)
            if executor is not None and executor.running is not None and executor.running[0].number == item.number:
                found.append(m.TaskOutput(item.id, item.attempt, f"{item.id}#{item.attempt}".encode(), running=True))
        self.step(ev.OutputsRead(effect.request, found))

    def crash_some_executor(self) -> None:
        """An executor is killed by somebody else (the kernel, when memory is short)."""
        running = [(id, executor) for id, executor in self.executors.items() if executor.running is not None]
        if running:
            id, executor = self.random.choice(running)
            assert executor.running is not None
            self.world.killed(executor.running[0].assignment.spec.id)
            self._exit(id, executor, "was killed by signal SIGKILL")

    def terminate_all(self, soon: float) -> None:
        """A batch system ends the job: executors die of SIGTERM, and the governor hears of it a moment later."""
        for id, executor in list(self.executors.items()):
            self._exit(id, executor, "was killed by signal SIGTERM", 15)
        self.world.clock.after(soon, self.step, ev.LeaveAsked("SIGTERM", 1.0))

    # -- builtin tasks --------------------------------------------------------------------------

    def _run_builtin(self, effect: do.RunBuiltin) -> None:
        self.builtins[effect.number] = effect
        spec = effect.assignment.spec
        self.world.executed(effect.assignment, self.host)
        values = [self.store[wanted.id][0] for wanted in spec.inputs]
        self.world.clock.after(plan.script_of(spec.config)[3] / 1000, self._builtin_done, effect, values)

    def _builtin_done(self, effect: do.RunBuiltin, values: list[bytes]) -> None:
        if self.alive and self.builtins.pop(effect.number, None) is not None:
            result = self._outcome(effect.assignment, values)
            assert result is not None
            self._adopt(result)
            self.step(ev.BuiltinEnded(effect.number, result))

    def _cancel_builtin(self, effect: do.CancelBuiltin) -> None:
        self.world.clock.after(0.003 * self.columns.random(), self._builtin_cancelled, effect.number)

    def _builtin_cancelled(self, number: int) -> None:
        builtin = self.builtins.pop(number, None)
        if self.alive and builtin is not None:
            assignment = builtin.assignment
            error = TaskError("cancelled", "it was cancelled")
            result = TaskResult(assignment.spec.id, assignment.attempt, TaskInfo(duration=0.0), [], error)
            self.step(ev.BuiltinEnded(number, result))
