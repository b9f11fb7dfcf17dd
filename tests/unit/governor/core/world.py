"""A shell, executors, a store and a server of paper, with a memory of their own of what a governor owes them.

`World` carries out effects and judges each of them by what it knows itself; what happens next is chosen from outside.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_TRANSFERS_MAX
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.families import assignments, results
from rain.common.spec import (
    ObjectInfo,
    ObjectSpec,
    TaskError,
    TaskInfo,
    TaskOptions,
    TaskSpec,
    TaskSpecInput,
    runs_once,
)
from rain.governor.core import GovernorCore
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.support.members import apart, as_columns, joined

Attempt = tuple[ID, int]


class PaperExecutor:
    """A process: what it was given and has not reported, in order."""

    def __init__(self, start: fx.StartExecutor) -> None:
        self.start = start
        self.queue: dict[int, fx.ExecutorItem] = {}
        self.recalls: list[list[int]] = []
        self.last_number = 0
        self.functions: set[ID] = set()
        self.members: set[int] = set()  # numbers of members of families
        self.killed = False
        self.running = 0  # the shared word
        self.made: set[ID] = set()
        self.preview: ID | None = None  # the one it makes, which keeps it from all else

    def begin(self) -> int:
        """Go on to the next task, if none runs and no preview is made; 0 while it is on none."""
        if self.preview is not None:
            self.running = 0
        elif self.running not in self.queue:
            self.running = next(iter(self.queue), 0)
        return self.running


class World:
    """Everything around one core."""

    def __init__(self, resources: dict[str, float]) -> None:
        self.total = resources
        self.core = GovernorCore("127.0.0.1:7211", resources, ["cpp"])
        self.now = 0.0
        self.store: set[ID] = set()
        self.executors: dict[int, PaperExecutor] = {}
        self.builtins: dict[int, fx.RunBuiltin] = {}
        self.orphans: set[int] = set()  # builtin tasks from before the server was gone
        self.fetching: dict[ID, m.ObjectData] = {}
        # what the server knows
        self.open: dict[Attempt, m.TaskAssignment] = {}  # assigned and not answered
        self.cancelled: Counter[Attempt] = Counter()  # asked for and not answered
        self.answered: set[Attempt] = set()
        self.asked_back: set[Attempt] = set()
        self.answers_due = 0  # of `TakeBack`s
        self.superseded: set[Attempt] = set()
        self.held: set[ID] = set()  # objects the server takes for present here
        self.dropping: Counter[ID] = Counter()
        self.ending: set[int] = set()
        self.ended: set[int] = set()
        self.attempts: Counter[ID] = Counter()
        self.next_id = 1
        self.session = 1
        self.executed: Counter[Attempt] = Counter()
        self.owed: list[m.ObjectData] = []  # what it has for tasks here, as it was not held here
        self.told_in_columns = 0
        self.away = False  # there is no server
        self.before: dict[Attempt, m.TaskAssignment] = {}  # what went on when there was none any more

    # -- stepping -------------------------------------------------------------------------------

    def step(self, event: ev.AnyEvent) -> None:
        """Step an event and carry out what comes of it."""
        effects = self.core.step(event, self.now)
        self.core.check()
        for effect in effects:
            getattr(self, f"_do_{type(effect).__name__}")(effect)
        self._check_resources()

    def server(self, message: Any) -> None:
        """The server says something."""
        self.step(ev.ServerSaid(message))

    def turn(self) -> None:
        """End the turn; before it the server brings what it owes."""
        owed = [data for data in self.owed if data.spec.id.session_id == self.session]
        self.owed = []
        if owed:
            self.held.update(data.spec.id for data in owed if not self.dropping[data.spec.id])
            self.server(m.Assign([], owed))
        self.step(ev.TurnEnded())

    # -- effects --------------------------------------------------------------------------------

    def _do_StartExecutor(self, effect: fx.StartExecutor) -> None:
        assert effect.executor_id not in self.executors
        self.executors[effect.executor_id] = PaperExecutor(effect)

    def _do_RunOnExecutor(self, effect: fx.RunOnExecutor) -> None:
        executor = self.executors[effect.executor_id]
        assert not executor.killed
        assert effect.items
        for item in [one for given in effect.items for one in apart(given)]:
            spec = item.assignment.spec
            assert spec.id.session_id == executor.start.session_id
            assert item.number == executor.last_number + 1
            executor.last_number = item.number
            assert spec.resources == executor.start.resources or not any(spec.resources.values())
            awaited = {known.id for known in item.inputs if isinstance(known, fx.Awaited)}
            given = [known.id if isinstance(known, fx.Awaited) else known.spec.id for known in item.inputs]
            assert given == [i.id for i in spec.inputs]
            assert awaited <= {output.id for before in executor.queue.values() for output in before.assignment.outputs}
            assert self.store.issuperset(set(given) - awaited)
            if item.function is not None:
                id = item.function.spec.id
                assert id == spec.function
                assert id in (executor.functions if item.function_cached else self.store)
                executor.functions.add(id)
            executor.queue[item.number] = item
            if item.assignment.spec.config:
                executor.members.add(item.number)
            self._runs(item.assignment)
        if executor.start.kind == "cpp":
            assert len(executor.queue) == 1

    def _runs(self, assignment: m.TaskAssignment) -> None:
        attempt = (assignment.spec.id, assignment.attempt)
        assert attempt in self.open, f"{attempt} runs and nobody wants it"
        assert attempt not in self.superseded

    def _do_RecallFromExecutor(self, effect: fx.RecallFromExecutor) -> None:
        executor = self.executors[effect.executor_id]
        assert not executor.killed
        executor.recalls.append(effect.numbers)

    def _do_InterruptExecutor(self, effect: fx.InterruptExecutor) -> None:
        assert not self.executors[effect.executor_id].killed

    def _do_KillExecutor(self, effect: fx.KillExecutor) -> None:
        executor = self.executors[effect.executor_id]
        assert not executor.killed
        executor.killed = True

    def _do_MakePreview(self, effect: fx.MakePreview) -> None:
        executor, id = self.executors[effect.executor_id], effect.known.spec.id
        assert not executor.killed
        assert not executor.queue, "a task waits, and a preview is made"
        assert executor.preview is None
        assert id in self.store
        assert id in executor.made
        executor.preview = id

    def _do_KeepPreview(self, effect: fx.KeepPreview) -> None:
        assert effect.id in self.store
        assert effect.data == b"seen"

    def _do_RunBuiltin(self, effect: fx.RunBuiltin) -> None:
        assert effect.number not in self.builtins
        for known in effect.inputs:
            assert known.spec.id in self.store
        self.builtins[effect.number] = effect
        self._runs(effect.assignment)

    def _do_CancelBuiltin(self, effect: fx.CancelBuiltin) -> None:
        assert effect.number in self.builtins

    def _do_Fetch(self, effect: fx.Fetch) -> None:
        id = effect.data.spec.id
        assert id not in self.fetching
        assert id not in self.store
        self.fetching[id] = effect.data
        assert len(self.fetching) <= GOVERNOR_TRANSFERS_MAX

    def _do_CancelFetch(self, effect: fx.CancelFetch) -> None:
        assert effect.id in self.fetching

    def _do_NoteObject(self, effect: fx.NoteObject) -> None:
        assert effect.known.spec.id in self.store

    def _do_PutInStore(self, effect: fx.PutInStore) -> None:
        self.store.add(effect.spec.id)

    def _do_DropFromStore(self, effect: fx.DropFromStore) -> None:
        used = self.in_use()
        for id in effect.ids:
            assert id not in used or id.session_id in self.ending, f"{id} is deleted while it is in use"
            self.store.discard(id)

    def _do_KeepNoted(self, effect: fx.KeepNoted) -> None:
        self.store &= set(effect.but)  # and nothing was noted

    def _do_EndSessionStore(self, effect: fx.EndSessionStore) -> None:
        self.store = {id for id in self.store if id.session_id != effect.session_id}

    def _in_executors(self) -> list[m.TaskAssignment]:
        """Attempts that the core believes to be in executors or to run as builtins."""
        items = [item for e in self.executors.values() if not e.killed for item in e.queue.values()]
        builtins = [builtin for number, builtin in self.builtins.items() if number not in self.orphans]
        return [item.assignment for item in items] + [builtin.assignment for builtin in builtins]

    def in_use(self) -> set[ID]:
        """Objects that something may be reading."""
        used = {i.id for assignment in self._in_executors() for i in assignment.spec.inputs}
        return used | {a.spec.function for a in self._in_executors() if a.spec.function is not None}

    def _do_ToServer(self, effect: fx.ToServer) -> None:
        assert not self.away, f"{effect.message} is told to no server"
        getattr(self, f"_told_{type(effect.message).__name__}")(effect.message)

    # -- what the server is told -----------------------------------------------------------------

    def _ends(self, attempt: Attempt) -> None:
        if attempt[0].session_id in self.ending or attempt in self.superseded:
            return  # it was on its way when the server lost interest
        assert attempt in self.open, f"{attempt} ended twice, or was never assigned"
        del self.open[attempt]

    def _told_Finished(self, message: m.Finished) -> None:
        for result in message.results:
            self._ends((result.id, result.attempt))
            if result.id.session_id in self.ending:
                continue
            # What an order to drop is on its way for is not taken for held.
            self.held.update(output.id for output in result.outputs if not self.dropping[output.id])
        for result in [result for family in message.families for result in results(family)]:
            self._ends((result.id, result.attempt))
            self.told_in_columns += 1
            if result.id.session_id in self.ending:
                continue
            wanted = {entry.id for assignment in self.open.values() for entry in assignment.spec.inputs}
            for output in result.outputs:
                assert output.id not in self.store, f"{output.id} is held here, and the server does not know"
                if output.id in wanted:
                    assert isinstance(output.location, Inline)
                    self.owed.append(m.ObjectData(ObjectSpec(output.id), output.info, output.location))

    def _told_Started(self, message: m.Started) -> None:
        for attempt in message.tasks:
            assert attempt in self.open or attempt[0].session_id in self.ending

    def _told_Stopped(self, message: m.Stopped) -> None:
        for attempt in message.tasks:
            if attempt[0].session_id in self.ending:
                continue
            assert self.cancelled[attempt] > 0, f"{attempt} was stopped and nobody asked for it"
            self.cancelled[attempt] -= 1
            self.answered.add(attempt)
            self.open.pop(attempt, None)
            assert not any((a.spec.id, a.attempt) == attempt for a in self._in_executors()), f"{attempt} still runs"

    def _told_GaveBack(self, message: m.GaveBack) -> None:
        for attempt in message.tasks:
            if attempt not in self.answered:  # cancelled while the answer waited for others
                self._ends(attempt)
            assert attempt in self.asked_back, f"{attempt} was given back and nobody asked for it"
        self.answers_due -= 1
        assert self.answers_due >= 0, "an answer that nobody asked for"

    def _told_InputsMissing(self, message: m.InputsMissing) -> None:
        for attempt in message.tasks:
            self._ends(attempt)

    def _told_Fetched(self, message: m.Fetched) -> None:
        for id in message.objects:
            if id.session_id not in self.ending:
                assert id in self.store
                if not self.dropping[id]:  # else the order to drop it is on its way
                    self.held.add(id)

    def _told_TookOver(self, message: m.TookOver) -> None:
        assert not message.objects
        assert set(message.attempts) == set(self.open) == set(self.before)

    def _told_Moved(self, message: m.Moved) -> None:
        for id, _ in message.objects:
            assert id in self.store or id.session_id in self.ending

    def _told_ObjectsLost(self, message: m.ObjectsLost) -> None:
        self.held.difference_update(message.objects)

    def _told_Dropped(self, message: m.Dropped) -> None:
        for id in message.objects:
            if id.session_id in self.ending:
                continue
            assert self.dropping[id] > 0, f"{id} was dropped and nobody asked for it"
            self.dropping[id] -= 1

    def _told_SessionEnded(self, message: m.SessionEnded) -> None:
        id = message.session_id
        assert id in self.ending
        assert not any(e.start.session_id == id for e in self.executors.values())
        assert not any(b.assignment.spec.id.session_id == id for b in self.builtins.values())
        assert not any(held.session_id == id for held in self.store)
        self.ended.add(id)

    def _check_resources(self) -> None:
        used: Counter[str] = Counter()
        devices: Counter[int] = Counter()
        for executor in self.executors.values():
            if executor.queue:
                used.update(executor.start.resources)
                for device in executor.start.devices.get("gpus", ()):
                    devices[device] += min(1, executor.start.resources["gpus"])
        for builtin in self.builtins.values():
            used.update(builtin.assignment.spec.resources)
        for name, amount in used.items():
            assert amount <= self.total[name] + 1e-9, f"{amount} of {name} in use"
        assert all(amount <= 1 for amount in devices.values())

    # -- what the server does --------------------------------------------------------------------

    def assign(
        self,
        inputs: list[ID],
        objects: list[m.ObjectData],
        kind: str,
        resources: dict[str, float],
        options: TaskOptions | None,
        function: ID | None,
        rank: float,
    ) -> None:
        """A new task."""
        id = ID(self.session, self.next_id)
        output = ID(self.session, self.next_id + 1)
        self.next_id += 2
        spec = TaskSpec(
            id,
            kind,
            inputs=[TaskSpecInput(i) for i in inputs],
            outputs=[output],
            resources=resources,
            options=options,
            function=function,
        )
        kept = [0] if rank else []
        self.give(m.TaskAssignment(spec, 1, [ObjectSpec(output)], [rank], kept=kept), objects)

    def assign_family(
        self,
        count: int,
        objects: list[m.ObjectData],
        resources: dict[str, float],
        options: TaskOptions | None,
        function: ID,
        rank: float,
    ) -> None:
        """New members of a family."""
        id, output = ID(self.session, self.next_id), ID(self.session, self.next_id + 1)
        inputs = [TaskSpecInput(data.spec.id) for data in objects if data.spec.id != function]
        self.next_id += 2 * count
        spec = TaskSpec(id, "py/", [b""], inputs, [output], resources, function=function, options=options)
        args = [bytes([place]) for place in range(count)]
        family = m.FamilyAssignment(spec, 1, [ObjectSpec(output)], args, [rank, 0.0], [0] if rank else [])
        for assignment in assignments(family):
            self.attempts[assignment.spec.id] = 1
            self.open[assignment.spec.id, 1] = assignment
        self.held.update(data.spec.id for data in objects)
        self.server(m.Assign([], objects, [family]))

    def give(self, assignment: m.TaskAssignment, objects: list[m.ObjectData]) -> None:
        """Assign, also again."""
        attempt = (assignment.spec.id, assignment.attempt)
        self.attempts[assignment.spec.id] = assignment.attempt
        self.open[attempt] = assignment
        self.held.update(data.spec.id for data in objects)
        self.server(m.Assign([assignment], objects))

    def supersede(self, attempt: Attempt) -> None:
        """Assign a newer attempt of a task whose older one is not answered, and never will be."""
        old = self.open.pop(attempt)
        self.superseded.add(attempt)
        new = m.TaskAssignment(old.spec, old.attempt + 1, old.outputs, old.rank, kept=old.kept)
        self.give(new, [])

    def cancel(self, attempts: list[Attempt]) -> None:
        """Cancel."""
        for attempt in attempts:
            self.cancelled[attempt] += 1
        self.server(m.CancelTasks(attempts))

    def take_back(self, attempts: list[Attempt]) -> None:
        """Take back."""
        self.asked_back.update(attempts)
        self.answers_due += 1
        self.server(m.TakeBack(attempts))

    def drop(self, ids: list[ID]) -> None:
        """Drop objects."""
        self.dropping.update(ids)
        self.held.difference_update(ids)
        self.server(m.DropObjects(ids))

    def end_session(self) -> None:
        """End the present session; a new one begins."""
        self.ending.add(self.session)
        self._forget_session(self.session)
        self.server(m.EndSession(self.session))
        self.session += 1

    def server_gone(self) -> None:
        """The conversation is over: all is forgotten on both sides."""
        for id in {attempt[0].session_id for attempt in self.open} | {self.session}:
            self._forget_session(id)
        self.cancelled.clear()
        self.answers_due = 0
        self.dropping.clear()
        self.held.clear()
        self.ended |= self.ending
        self.orphans.update(self.builtins)
        self.step(ev.ServerGone())
        self.before = {}
        for executor in self.executors.values():
            if not executor.killed:
                head = next(iter(executor.queue.values())).assignment
                assert runs_once(head.spec), "what may run elsewhere by now goes on"
                self.before[head.spec.id, head.attempt] = head
        assert self.store <= self.in_use()
        self.open, self.away = {}, True

    def registers(self, ends: int) -> None:
        """The governor has a server again, which ends so many of the attempts that went on."""
        self.away, self.open = False, dict(self.before)
        self.step(ev.Inherited([]))
        self.cancel(list(self.open)[:ends])

    def _forget_session(self, id: int) -> None:
        for attempt in [a for a in self.open if a[0].session_id == id]:
            del self.open[attempt]
        self.held = {h for h in self.held if h.session_id != id}
        for attempt in [a for a in self.cancelled if a[0].session_id == id]:
            del self.cancelled[attempt]
        for dropped in [d for d in self.dropping if d.session_id == id]:
            del self.dropping[dropped]

    # -- what executors do -----------------------------------------------------------------------

    def result_of(self, assignment: m.TaskAssignment, error: TaskError | None = None) -> m.TaskResult:
        """What an attempt gives."""
        info = ObjectInfo(size=1, content_type="pickle", encoded=True)
        outputs = [] if error else [m.OutputResult(o.id, info, Inline(b"x")) for o in assignment.outputs]
        self.executed[(assignment.spec.id, assignment.attempt)] += 1
        return m.TaskResult(assignment.spec.id, assignment.attempt, TaskInfo(duration=1e-4), outputs, error)

    def adopt(self, result: m.TaskResult) -> m.TaskResult:
        """The store takes the outputs."""
        self.store.update(output.id for output in result.outputs)
        return result

    def executor_reports(self, executor_id: int, count: int, error: TaskError | None, stale: bool) -> None:
        """Run some tasks of the queue and report them."""
        executor = self.executors[executor_id]
        self.preview_ends(executor_id, m.OwnPreview(ID(0, 0), put_off=True))
        told: list[m.TaskResult] = []
        columns: list[m.FamilyResults] = []
        for _ in range(min(count, len(executor.queue))):
            item = executor.queue.pop(executor.begin())
            result = self.result_of(item.assignment, error)
            executor.made.update(output.id for output in result.outputs)
            if item.number in executor.members and result.error is None and not executor.killed:
                if told:
                    self.step(ev.ExecutorResults(executor_id, told))
                    told = []
                columns.append(as_columns(result))
                continue
            if columns:
                self.step(ev.ExecutorResults(executor_id, [], families=joined(columns)))
                columns = []
            told.append(self.adopt(result))
        self.step(ev.ExecutorResults(executor_id, told, stale, joined(columns)))

    def executor_answers(self, executor_id: int) -> None:
        """Answer the oldest recall."""
        executor = self.executors[executor_id]
        self.preview_ends(executor_id, m.OwnPreview(ID(0, 0), given_up=True))
        running = executor.begin()
        given = [n for n in executor.recalls.pop(0) if n in executor.queue and n != running]
        for number in given:
            del executor.queue[number]
        self.step(ev.ExecutorRecalled(executor_id, given))

    def preview_ends(self, executor_id: int, answer: m.OwnPreview) -> None:
        """It is made, given up, or put off, if one is being made."""
        executor = self.executors[executor_id]
        if executor.preview is not None:
            answer.id, executor.preview = executor.preview, None
            self.step(ev.PreviewMade(executor_id, answer))

    def executor_exits(self, executor_id: int) -> None:
        """It dies, by itself or because it was killed."""
        executor = self.executors.pop(executor_id)
        reason = "was killed by signal " + ("SIGKILL" if executor.killed else "SIGSEGV")
        self.step(ev.ExecutorExited(executor_id, reason, executor.running if executor.running in executor.queue else 0))

    def builtin_ends(self, number: int, error: TaskError | None) -> None:
        """A builtin task ends."""
        assignment = self.builtins.pop(number).assignment
        self.step(ev.BuiltinEnded(number, self.adopt(self.result_of(assignment, error))))

    def fetch_ends(self, id: ID, success: bool) -> None:
        """A fetch ends."""
        del self.fetching[id]
        if success:
            self.store.add(id)
            self.step(ev.FetchDone(id))
        else:
            self.step(ev.FetchFailed(id, "nobody has it"))

    # -- the end ---------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Everything that can end ends well; then the server owes nothing and is owed nothing."""
        for _ in range(10_000):
            self.turn()
            if not self._one_thing():
                break
            self.now += 0.01
        else:
            raise AssertionError("it does not come to rest")
        self.cancel(list(self.open))  # they wait for what nobody will make
        self.turn()
        assert not self.open
        assert not {attempt for attempt, count in self.cancelled.items() if count} - self.answered
        assert not self.answers_due
        self.drop(sorted(self.store | self.held))
        self.turn()
        assert not any(self.dropping.values())
        assert not self.store
        assert self.ended == self.ending
        self.core.check()

    def _one_thing(self) -> bool:
        for executor_id, executor in self.executors.items():
            if executor.recalls and not executor.killed:
                self.executor_answers(executor_id)
                return True
            if executor.killed:
                self.executor_exits(executor_id)
                return True
            if executor.queue:
                self.executor_reports(executor_id, 3, None, stale=False)
                return True
            if executor.preview is not None:
                self.preview_ends(executor_id, m.OwnPreview(ID(0, 0), b"seen"))
                return True
        for number in self.builtins:
            self.builtin_ends(number, None)
            return True
        for id in self.fetching:
            self.fetch_ends(id, success=True)
            return True
        return False
