"""A client in the simulator: the real core, driven as threads of users would; asks for all sorts of things at random,
gives some of them up, and judges what its user sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core import effects as do
from rain.client.core import events as ev
from rain.client.core import sessions
from rain.client.core.core import ClientCore
from rain.client.core.errors import SessionEnded, TaskFailed
from rain.client.core.operations import governors, keeps, locating, questions, reading, retries, submits, waits
from rain.client.core.operations.completions import EndedItems
from rain.client.core.operations.reading import TryReplicas, Unreadable
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.requests import ask_in_pieces
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Pause, Upload, Waiting
from rain.client.operations.constant_values import Value
from rain.client.operations.encoding import constant_of, encode
from rain.common.errors import RainException, SessionException
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline, Replica
from rain.common.protocol import messages as m
from rain.common.protocol.families import are_removed
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec, TaskSpecInput
from rain.common.states import SETTLED, DataObjectState, TaskState
from tests.sim import plan
from tests.sim.armed import ARMED
from tests.sim.network import PeerSide

if TYPE_CHECKING:
    from tests.sim.world import World

ENV = m.SessionEnv("laptop", "/usr/bin/python3", "3.11", [], "/home/me")
BROKEN = (TaskState.FAILED, TaskState.CANCELLED)


class SimEncoder:
    """How a cut becomes messages: as in the real client, at times in more pieces than needed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def encode(self, mirror: SessionMirror, cut: Sequence[Record]) -> list[m.Submit]:
        pieces = encode(0, mirror.session_id, cut, mirror.persistent)
        whole = pieces[0]
        _add_checksums([constant for piece in pieces for constant in piece.constants], cut)
        for piece in pieces:
            gather(piece, set(whole.keep), self._random)
        if self._random.random() < 0.3 and not mirror.persistent:
            half = len(whole.tasks) // 2
            first = m.Submit(0, whole.session_id, whole.tasks[:half], whole.objects, whole.constants, [], True)
            first.families = [family for family in whole.families if family.after <= half]
            whole.families = [family for family in whole.families if family.after > half]
            for family in whole.families:
                family.after -= half
            whole.tasks, whole.objects, whole.constants = whole.tasks[half:], [], []
            pieces.insert(0, first)
        return pieces

    def encode_retry(
        self, mirror: SessionMirror, tasks: list[ID] | None, new: list[ObjectRecord], functions: list[tuple[ID, ID]]
    ) -> m.Retry:
        constants = [constant_of(record) for record in new]
        _add_checksums(constants, new)
        return m.Retry(0, mirror.session_id, tasks, [r.spec for r in new], constants, functions)

    def refused(self) -> None:
        pass

    def describe(self, record: TaskRecord) -> str:
        return "the plan"


def gather(piece: m.Submit, kept: set[ID], random: Random) -> None:
    """Make families of runs of equal tasks, now and then of less than there is."""
    runs: list[list[TaskSpec]] = []
    for spec in piece.tasks:
        equal = bool(runs) and _follows(runs[-1][-1], spec, kept)
        if equal and random.random() < 0.9:
            runs[-1].append(spec)
        else:
            runs.append([spec])
    objects = {spec.id: spec for spec in piece.objects}
    tasks: list[TaskSpec] = []
    for run in runs:
        first = run[0]
        if not _is_member(first):
            tasks += run
            continue
        args = [spec.config[0] for spec in run]
        places = [place for place, id in enumerate(first.outputs) if id in kept]
        template = msgspec.structs.replace(first, config=[b"", *first.config[1:]])
        outputs = [objects[id] for id in first.outputs]
        piece.families.append(m.Family(template, outputs, args, places, len(tasks)))
        gone = {id for spec in run for id in spec.outputs}
        piece.objects = [spec for spec in piece.objects if spec.id not in gone]
        piece.keep = [id for id in piece.keep if id not in gone]
    piece.tasks = tasks


def same(random: Random) -> Random:
    """Dice that fall as these will, which are not thrown by it."""
    dice = Random()
    dice.setstate(random.getstate())
    return dice


def in_runs(message: Any) -> Any:
    """What is sent: objects that are let go and have numbers in a row go as runs, as from the real client those of
    families do."""
    if type(message) is not m.Unkeep or len(message.objects) < 2:
        return message
    sent = m.Unkeep(message.request, message.session_id, message.objects[:1])
    for id in message.objects[1:]:
        run = sent.runs[-1] if sent.runs else None
        if run is not None and id.id == run.first.id + run.count * run.stride:
            run.count += 1
        elif sent.objects and run is None and id.id > sent.objects[-1].id:
            before = sent.objects.pop()
            sent.runs = [m.MemberRun(before, id.id - before.id, 2)]
        else:
            sent.runs.append(m.MemberRun(id, 2, 1))
    return sent


def _follows(before: TaskSpec, spec: TaskSpec, kept: set[ID]) -> bool:
    """Whether a task may be the next member of the family."""
    alike = all(
        getattr(before, name) == getattr(spec, name)
        for name in ("task_type", "inputs", "resources", "name", "user", "function", "options")
    )
    return (
        alike
        and _is_member(before)
        and _is_member(spec)
        and spec.id.id == before.id.id + 1 + len(before.outputs)
        and [id in kept for id in before.outputs] == [id in kept for id in spec.outputs]
    )


def _is_member(spec: TaskSpec) -> bool:
    return spec.name == plan.MEMBER


def _add_checksums(constants: list[m.Constant], records: Sequence[Record]) -> None:
    """Those by which the simulator's governors judge what they fetch."""
    values = {record.spec.id: record.value for record in records if isinstance(record, ObjectRecord)}
    for constant in constants:
        value = values[constant.id]
        assert value is not None
        constant.location.checksum = plan.checksum(value.view())


class SimSession:
    """One session of a client: what its user made, and what the user is to see."""

    def __init__(self, session_id: int, random: Random, on_failure: str, persistent: bool) -> None:
        self.id = session_id
        self.persistent = persistent
        self.on_failure = on_failure
        self.graph = plan.Graph(session_id, random)
        self.mirror: SessionMirror = SessionMirror(session_id)
        self.failures: Counter[ID] = Counter()  # how often it was said that a task failed
        self.told: dict[ID, int] = {}  # how many of these failures the user was told of
        self.said: dict[ID, TaskState] = {}
        self.closing = False
        self.closed = False
        self.retries = 0
        self.forgot = False
        self.surprises = 0
        self.judge_at = 0.0
        self.rested = False
        self.judged = False
        self.unsettled: ID | None = None  # a task that was not settled when `settled` was asked for

    def hear(self, updates: list[m.TaskUpdate]) -> None:
        """What the server says of tasks, counted beside the core."""
        for update in updates:
            self.failures[update.id] += update.state in BROKEN and self.said.get(update.id) not in BROKEN
            self.said[update.id] = update.state

    @property
    def stopped(self) -> bool:
        return self.mirror.ended is not None and not self.closed

    @property
    def idle(self) -> bool:
        """Whether nothing can be asked of it."""
        return self.closing or self.mirror.ended is not None

    @property
    def settled(self) -> bool:
        if self.mirror.ended is not None:
            return True
        if self.unsettled is None or self.state(self.unsettled) in SETTLED:
            self.unsettled = next((id for id in self.graph.tasks if self.state(id) not in SETTLED), None)
        return self.unsettled is None

    def record(self, id: ID) -> Any:
        return self.mirror.records.get(id.id)

    def state(self, id: ID) -> Any:
        record = self.record(id)
        return None if record is None else record.state

    def untold(self) -> list[TaskRecord]:
        """Failed tasks that were not told to the user, nor was the one because of which they failed."""

        def is_told(record: TaskRecord) -> bool:
            return self.told.get(record.spec.id, 0) >= self.failures[record.spec.id]

        found = []
        for record in self.mirror.failed.values():
            root = self.mirror.root_of(record)
            if not is_told(record) and not (root is not record and root.failed and is_told(root)):
                found.append(record)
        return found

    def tell(self, records: Sequence[TaskRecord]) -> None:
        for record in records:
            self.told[record.spec.id] = self.failures[record.spec.id]


class Thread:
    """One thread of the user, which carries out an operation of the core."""

    def __init__(
        self,
        client: SimClient,
        operation: Operation[Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.client = client
        self.operation = operation
        self.then = then
        self.failed = failed
        self.waiting: Waiting | None = None
        self.interrupted = False
        self.missed: set[str] = set()  # where the server knew what was to be read, and it could not be had so far

    def go_on(self, value: Any = None, error: BaseException | None = None) -> None:
        """Make the next step."""
        client = self.client
        self.waiting = None
        follow: Callable[[], None] | None = None
        try:
            with ARMED:
                waiting, result = client.core.resume(self.operation, value, error)
            if waiting is None:
                follow = partial(self.then, result)
        except (RainException, TaskFailed, SessionEnded, TimeoutError, KeyboardInterrupt) as raised:
            follow = partial(self.failed, raised)
        if follow is not None:
            client.end(self)
            follow()
            return
        assert waiting is not None
        self.waiting = waiting
        waiting.waiter = self
        client.perform(client.core.take_effects())
        if type(waiting) is Upload:
            client.world.clock.after(client.random.random(), self._uploaded, waiting)
        elif isinstance(waiting, Pause):
            client.world.clock.after(waiting.seconds, self._paused, waiting)
        elif isinstance(waiting, TryReplicas):
            client.world.clock.after(0.01 * client.random.random(), self._read, waiting)
        elif waiting.over:
            self.wake(waiting)

    def _uploaded(self, waiting: Upload) -> None:
        server = self.client.world.server
        if self.waiting is not waiting:
            return
        for value in waiting.values:
            if not value.name:
                if not server.alive:  # the real client tries again when the server is back
                    server.when_up(self._uploaded, waiting)
                    return
                server.upload(self.client, value, self.client.large.pop(value), sent=True)
        self.go_on()

    def _paused(self, waiting: Pause) -> None:
        if self.waiting is waiting:
            self.go_on()

    def _read(self, waiting: TryReplicas) -> None:
        if self.waiting is not waiting:
            return
        client, id = self.client, waiting.data.spec.id
        broken = False
        for replica in waiting.replicas:
            if client.broken_replica():
                broken = True
            elif (value := client.world.read(client.host, replica, id)) is not None:
                self.go_on(value)
                return
        # What the server knew when this was tried the last time, it has told since.
        there = client.world.holders(client.host, id) if not broken else set()
        assert not there & self.missed, f"{id} is at {there & self.missed}, and was not looked for there"
        self.missed = there
        self.go_on(None, Unreadable({replica.address: "it is not there" for replica in waiting.replicas}))

    def wake(self, waiting: Waiting) -> None:
        """What was waited for is over; the thread runs a moment later."""
        self.client.world.clock.after(0.0005 * self.client.random.random(), self._woken, waiting)

    def _woken(self, waiting: Waiting) -> None:
        if self.waiting is waiting:
            self.go_on(waiting.value, waiting.error)

    def interrupt(self, error: BaseException) -> None:
        """Ctrl-C, or the time is over."""
        if self.waiting is not None and self.client.alive:
            self.interrupted = True
            self.go_on(None, error)


class SimClient:
    """One client process."""

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.host = host
        self.random: Random = world.random
        self.alive = True
        self.core = ClientCore("server:1")
        self.threads: dict[Thread, None] = {}
        self.sessions: list[SimSession] = []
        self.large: dict[Value, ID] = {}  # constants that are not brought to the server yet
        self.encoder = SimEncoder(self.random)
        self.side: PeerSide = world.server.open_client(self)
        self.side.on_messages = self._said
        world.clock.after(1.0, self._tick)
        self.start(governors.wait_for_governors(self.core, len(world.governors)), patient=True)
        if self.random.random() < 0.2:
            more = self.start(governors.wait_for_governors(self.core, len(world.governors) + 9), patient=True)
            world.clock.after(self.random.random() * 4, more.interrupt, TimeoutError("not in time"))
        for _ in range(self.random.choice([1, 1, 2])):
            self._open()

    # -- driving the core -----------------------------------------------------------------------

    def step(self, event: ev.Event) -> None:
        with ARMED:
            effects = self.core.step(event, self.world.clock.now)
        self.perform(effects)

    def perform(self, effects: list[do.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, do.Send):
                if self.alive:
                    self.side.send([in_runs(message) for message in effect.messages])
            elif isinstance(effect, do.WaitOver):
                effect.waiting.waiter.wake(effect.waiting)
            else:
                assert isinstance(effect, do.SessionOver), effect

    def start(
        self,
        operation: Operation[Any],
        then: Callable[[Any], None] = lambda result: None,
        failed: Callable[[BaseException], None] | None = None,
        patient: bool = False,
    ) -> Thread:
        """Carry out an operation in a thread, which may be interrupted unless its user is `patient`."""
        thread = Thread(self, operation, then, failed or self._unexpected)
        self.threads[thread] = None
        if not patient and self.random.random() < 0.15:
            error = self.random.choice([KeyboardInterrupt(), TimeoutError("not in time")])
            self.world.clock.after(self.random.random(), thread.interrupt, error)
        thread.go_on()
        return thread

    def end(self, thread: Thread) -> None:
        self.threads.pop(thread)
        self.perform(self.core.take_effects())

    def _unexpected(self, error: BaseException) -> None:
        usual = SessionEnded | SessionException | KeyboardInterrupt | TimeoutError
        assert isinstance(error, usual) or self.core.over_because, error

    def _said(self, messages: list[Any]) -> None:
        known = {session.id: session for session in self.sessions}
        for message in messages:
            updates = message.states if type(message) is m.Attached else getattr(message, "tasks", ())
            for update in updates if type(message) in (m.SessionUpdate, m.Updated, m.Attached) else ():
                if update.id.session_id in known:
                    known[update.id.session_id].hear([update])
            for told in message.families if type(message) is m.SessionUpdate else ():
                if told.first.session_id in known and not are_removed(told):
                    known[told.first.session_id].hear(
                        [
                            m.TaskUpdate(ID(told.first[0], told.first[1] + place * told.stride), told.state)
                            for place in range(told.count)
                        ]
                    )
        self.step(ev.Said(messages))
        if self.world.faulty and self.random.random() < 0.05:
            self.step(ev.Said([message for message in messages if getattr(message, "request", 0)]))  # once more

    def broken_replica(self) -> bool:
        """Whether a read fails now."""
        return self.world.faulty and self.random.random() < 0.2

    def _tick(self) -> None:
        if self.alive:
            self.step(ev.Tick())
            self.world.clock.after(1.0, self._tick)

    def die(self) -> None:
        self.alive = False
        self.side.close()

    def be_lost(self) -> None:
        """The server does not know this client any more; all that waits must end."""
        self.step(ev.Gone("it was started anew"))
        assert all(mirror.ended is not None for mirror in self.core.sessions.values())
        self.side.close()

    def break_off(self, seconds: float) -> None:
        """The connection is away for a while."""
        for pair in ((self.host, "server:1"), ("server:1", self.host)):
            self.world.network.cut(*pair, seconds)
        self.step(ev.Away())
        self.world.clock.after(seconds, self._back)

    def _back(self) -> None:
        if self.alive:
            self.step(ev.Back())

    # -- the script -----------------------------------------------------------------------------

    def _open(self) -> None:
        on_failure = "stop" if self.random.random() < 0.1 else "continue"
        persistent = self.random.random() < 0.15
        opening = sessions.Opening()

        def opened(mirror: SessionMirror) -> None:
            session = SimSession(mirror.session_id, self.random, on_failure, persistent)
            session.graph.gangs = Random(self.world.seed * 31 + mirror.session_id)
            session.graph.first = self.world.first
            session.mirror = mirror
            self._opened(session)

        def failed(error: BaseException) -> None:
            self.step(ev.GivenUp(opening))
            if not self.core.over_because:
                self._open()

        self.start(
            sessions.open_session(self.core, opening, "sim", on_failure, persistent, ENV), then=opened, failed=failed
        )

    def adopt(self, session: SimSession) -> None:
        """Take over a persistent session of a client that is gone."""
        if session.closing or session.closed:
            return
        session.closing = True
        heir = SimSession(session.id, self.random, session.on_failure, True)
        heir.graph = session.graph
        self.sessions.append(heir)
        heir.closing = True  # until it is attached

        def attached(result: tuple[SessionMirror, int]) -> None:
            heir.mirror = result[0]
            heir.closing = False
            known = {record.spec.id for record in heir.mirror.records.values() if isinstance(record, TaskRecord)}
            heir.graph.tasks = {id: spec for id, spec in heir.graph.tasks.items() if id in known}
            heir.graph.producer = {id: task for id, task in heir.graph.producer.items() if task in known}
            heir.graph.kept = dict.fromkeys(
                record.spec.id
                for record in heir.mirror.records.values()
                if isinstance(record, ObjectRecord) and record.kept
            )

        def failed(error: BaseException) -> None:
            # It was stopped by a failure that its client never heard of, and ended with it.
            assert type(error) is not TaskFailed
            heir.closed = True

        self.start(sessions.attach(self.core, session.id), then=attached, failed=failed, patient=True)

    def _opened(self, session: SimSession) -> None:
        self.sessions.append(session)
        self._grow(session)
        after = self.world.clock.after
        for _ in range(self.random.choice([0, 0, 1, 2])):
            after(self.random.random() * 3, self._act, self._grow, session)
        dice = same(self.random)
        for _ in range(dice.choice([0, 4, 8])):
            after(dice.random() * 4, self._act, self._unkeep_members, session)
        for _ in range(self.random.randint(0, 8)):
            action = self.random.choice(
                [
                    self._cancel, self._keep, self._unkeep, self._update, self._fetch, self._small_talk, self._mistake,
                    self._wait, self._wait, self._wait_some, self._wait_all, self._as_completed,
                ]
            )  # fmt: skip
            after(self.random.random() * 4, self._act, action, session)

    def _act(self, action: Callable[[SimSession], None], session: SimSession) -> None:
        if not self.world.healed:
            action(session)

    def _gone(self, session: SimSession) -> bool:
        return not self.alive or session.idle or bool(self.core.over_because)

    # -- submits --------------------------------------------------------------------------------

    def _grow(self, session: SimSession) -> None:
        if self._gone(session):
            return
        fields = session.graph.grow(self.random.randint(1, self.world.tasks_max), self.world.shapes)
        mirror, records = session.mirror, session.mirror.records
        for constant in fields["constants"]:
            assert isinstance(constant.location, Inline)
            self._constant(session, constant.id, constant.location.data, constant.ephemeral)
        specs = {spec.id: spec for spec in fields["objects"]}
        for spec in fields["tasks"]:
            task = TaskRecord(spec, (), None)
            task.outputs = tuple(ObjectRecord(specs[id], task) for id in spec.outputs)
            for output in task.outputs:
                output.kept = output.spec.id in fields["keep"]
            mirror.add_task(task)
        assert all(id.id in records for id in session.graph.objects)
        self._submit(session)

    def _constant(self, session: SimSession, id: ID, data: bytes, ephemeral: bool = False) -> ObjectRecord:
        value = Value(data, len(data))
        if self.random.random() < 0.3:
            self.world.server.upload(self, value, id)
        elif self.random.random() < 0.1:
            value.size = value.content_size = INLINE_BYTES_MAX + 1  # so that it must be brought there
            self.large[value] = id
        record = ObjectRecord(session.graph.objects[id], None, value)
        record.ephemeral = ephemeral
        session.mirror.add(record)
        return record

    def _submit(self, session: SimSession) -> None:
        if self._gone(session):
            return
        cut = list(session.mirror.pending)

        def failed(error: BaseException) -> None:
            self._unexpected(error)
            if not isinstance(error, SessionEnded | SessionException):
                self.world.clock.after(self.random.random(), self._submit, session)

        def submitted(_: Any) -> None:
            assert all(record.state is not None for record in cut), "something was not submitted"

        self.start(submits.submit(self.core, session.mirror, self.encoder), then=submitted, failed=failed)

    def _mistake(self, session: SimSession) -> None:
        """A submit that is refused, of which nothing may be taken."""
        if self._gone(session) or session.mirror.pending or not session.graph.tasks:
            return
        number = 9_000_000 + 10 * self.core.request_count
        mirror = session.mirror
        if self.random.random() < 0.5:
            self._forge(session, number)
            return
        bad = self.random.choice(
            [
                TaskSpec(ID(session.id, number), "py/", resources={"cpus": -1}),
                TaskSpec(ID(session.id, number), "nothing", resources={"cpus": 1}),
            ]
        )
        good = TaskSpec(
            ID(session.id, number + 1), "py/", plan.config_of("py/", [plan.OK, "", 0, 1.0]), resources={"cpus": 1}
        )
        made = [TaskRecord(spec, (), None) for spec in (good, bad)]
        before = mirror.unfinished, mirror.submitted
        for record in made:
            mirror.add_task(record)

        def failed(error: BaseException) -> None:
            if isinstance(error, RainException) and not self.core.over_because:
                assert all(record.state is None for record in made)
            else:
                self._unexpected(error)

        def taken(_: Any) -> None:
            raise AssertionError(f"a wrong submit was taken: {before}")

        self.start(submits.submit(self.core, mirror, self.encoder), then=taken, failed=failed)

    def _forge(self, session: SimSession, number: int) -> None:
        """What only a client with a bug would submit; the server refuses it as well."""
        new = ID(session.id, number)
        bad = self.random.choice(
            [
                TaskSpec(self.random.choice(list(session.graph.tasks)), "py/", resources={"cpus": 1}),
                TaskSpec(new, "py/", inputs=[TaskSpecInput(ID(session.id, 999_999))], resources={"cpus": 1}),
                TaskSpec(new, "py/", outputs=[ID(session.id, 999_999)], resources={"cpus": 1}),
            ]
        )
        good = TaskSpec(
            ID(session.id, number + 1), "py/", plan.config_of("py/", [plan.OK, "", 0, 1.0]), resources={"cpus": 1}
        )

        def replied(reply: Any, error: RainException | None) -> None:
            assert error is not None, f"a forged submit was taken: {bad}"

        ask_in_pieces(self.core, [m.Submit(0, session.id, [good, bad], [], [], [])], replied)
        self.perform(self.core.take_effects())

    # -- waits ----------------------------------------------------------------------------------

    def _some(self, session: SimSession) -> list[Any]:
        """Some submitted records."""
        known = [session.record(id) for id in (*session.graph.tasks, *session.graph.producer, *session.graph.constants)]
        known = [record for record in known if record is not None and record.state is not None]
        return self.random.sample(known, min(len(known), self.random.choice([1, 2, 5])))

    def _wait(self, session: SimSession) -> None:
        if self._gone(session):
            return
        records = self._some(session)

        def waited(_: Any) -> None:
            assert all(record.settled and not record.failed for record in records), "a wait ended too early"

        self.start(waits.wait(session.mirror, records), waited, lambda error: self._failed_wait(session, error))

    def _wait_some(self, session: SimSession) -> None:
        if self._gone(session):
            return
        records = self._some(session)

        def waited(done: list[Record]) -> None:
            assert done or not records, "a wait ended with nothing"
            assert all(record.settled and not record.failed for record in done), "a wait ended too early"

        self.start(waits.wait_some(session.mirror, records), waited, lambda error: self._failed_wait(session, error))

    def _failed_wait(self, session: SimSession, error: BaseException) -> None:
        if isinstance(error, TaskFailed):
            assert error.record.failed, "a failure that is none"
            session.tell([error.record, session.mirror.root_of(error.record)])
        elif isinstance(error, SessionEnded):
            assert session.mirror.ended is not None
        elif isinstance(error, RainException) and not self.core.over_because:
            refusals = session.mirror.refusals.values()
            assert "is lost" in str(error) or "was not" in str(error) or str(error) in refusals, error
        else:
            self._unexpected(error)

    def _wait_all(self, session: SimSession, patient: bool = False) -> None:
        if self._gone(session):
            return
        raising = self.random.random() < 0.7

        def waited(failed: list[TaskRecord]) -> None:
            assert session.mirror.unfinished == 0, "a wait for all ended too early"
            assert set(failed) == set(session.mirror.failed.values())
            assert not (raising and session.untold()), "a failure was not told"
            session.tell(failed)

        def failed(error: BaseException) -> None:
            if isinstance(error, TaskFailed):
                assert raising
                assert session.untold(), "a failure was told twice"
                session.tell(list(session.mirror.failed.values()))
            else:
                self._failed_wait(session, error)

        self.start(waits.wait_all(session.mirror, raising), waited, failed, patient)

    def _as_completed(self, session: SimSession) -> None:
        if self._gone(session):
            return
        records = self._some(session)
        line = EndedItems(session.mirror, [(record, record) for record in records])
        left = list(records)

        def took(record: Any) -> None:
            if record is None:
                assert not left, "an item did not come"
                return
            assert record in left, "an item came twice"
            left.remove(record)
            if self.alive:
                self.start(line.take(), took)

        self.start(line.take(), took)

    # -- what else is asked ---------------------------------------------------------------------

    def _some_task(self, session: SimSession) -> Any:
        known = [session.record(id) for id in session.graph.tasks if session.state(id) is not None]
        return self.random.choice(known) if known else None

    def _some_output(self, session: SimSession) -> Any:
        known = [session.record(id) for id in session.graph.producer if session.state(id) is not None]
        return self.random.choice(known) if known else None

    def _cancel(self, session: SimSession) -> None:
        task = self._some_task(session)
        if self._gone(session) or task is None:
            return
        chosen = None if self.random.random() < 0.1 else [task]
        ids = session.graph.tasks if chosen is None else [task.spec.id]
        session.graph.cancelled.update(dict.fromkeys(ids))
        self.start(questions.cancel(self.core, session.mirror, chosen))

    def _keep(self, session: SimSession) -> None:
        obj = self._some_output(session)
        if self._gone(session) or obj is None or obj.kept:
            return

        def kept(_: Any) -> None:
            if obj.kept and not session.idle:
                session.graph.kept[obj.spec.id] = None

        def failed(error: BaseException) -> None:
            if isinstance(error, RainException) and not self.core.over_because:
                assert not obj.kept, "what the server refused to keep counts as kept"
            else:
                self._unexpected(error)

        self.start(keeps.keep(self.core, session.mirror, [obj]), kept, failed)

    def _unkeep(self, session: SimSession) -> None:
        if self._gone(session) or not session.graph.kept or session.mirror.pending:
            return  # what is pending may use it
        id = self.random.choice(list(session.graph.kept))
        obj = session.record(id)
        if obj is None or obj.state is None:
            return
        self._let_go(session, [obj])

    def _let_go(self, session: SimSession, several: list[ObjectRecord]) -> None:
        for one in several:
            del session.graph.kept[one.spec.id]
        if self.random.random() < 0.3 and not session.persistent:
            session.mirror.dropped.extend(several)  # their last handles are gone
            self.step(ev.Released(session.mirror))
        else:
            self.start(keeps.unkeep(self.core, session.mirror, several))
        assert not any(one.kept for one in several)

    def _unkeep_members(self, session: SimSession) -> None:
        """Let outputs of tasks in a row go that differ by their arguments only."""
        graph = session.graph
        if self._gone(session) or session.mirror.pending:
            return
        made = {one: graph.tasks[graph.producer[one]] for one in graph.kept if one in graph.producer}
        members = [one for one, task in made.items() if task.name == plan.MEMBER]
        if not members:
            return
        dice = same(self.random)
        chosen = dice.choice(members)
        step = 1 + len(made[chosen].outputs)
        several = []
        for id in (ID(chosen.session_id, chosen.id + place * step) for place in range(dice.choice([1, 2, 4, 100]))):
            record = session.record(id) if id in members else None
            if not isinstance(record, ObjectRecord) or record.state is None:
                break
            several.append(record)
        if several:
            self._let_go(session, several)

    def _update(self, session: SimSession) -> None:
        task = self._some_task(session)
        if not self._gone(session) and task is not None:
            self.start(keeps.update(self.core, session.mirror, [task, *task.outputs]))

    def _fetch(self, session: SimSession) -> None:
        if self._gone(session):
            return
        known = [session.record(id) for id in session.graph.kept if id in session.graph.producer]
        known = [obj for obj in known if obj is not None and obj.state is not None and obj.kept]
        if not known:
            return
        records = self.random.sample(known, min(len(known), 2))

        def fetched(_: Any) -> None:
            for record in records:
                # While it was asked where some are another one may have been lost; the real client finds it again.
                if record.kept and not session.idle and record.state is DataObjectState.FINISHED:
                    self._check_value(session, record)
                    self._read(session, record)

        def failed(error: BaseException) -> None:
            if isinstance(error, RainException) and not self.core.over_because:
                assert "gone" in str(error) or "is not kept" in str(error), error
            else:
                self._failed_wait(session, error)

        self.start(locating.fetch(self.core, session.mirror, records, lambda record: False), fetched, failed)

    def _read(self, session: SimSession, record: ObjectRecord) -> None:
        """Get the bytes themselves."""
        location = record.location
        if location is None or isinstance(location, Inline):
            return
        data = m.ObjectData(record.spec, record.info or ObjectInfo(), location)

        def got(value: bytes) -> None:
            assert value == session.graph.values[record.spec.id], "a wrong value was read"

        def failed(error: BaseException) -> None:
            if isinstance(error, RainException) and not self.core.over_because:
                assert not record.kept or session.idle or self.world.disturbed, error
            else:
                self._failed_wait(session, error)

        operation = reading.read(self.core, session.mirror, record, data, Replica("server:1", ""))
        self.start(operation, got, failed)

    def _check_value(self, session: SimSession, record: ObjectRecord) -> list[str]:
        """What the user gets, as far as it can be had now."""
        id, location = record.spec.id, record.location
        expected = session.graph.values[id]
        if isinstance(location, Inline):
            assert location.data == expected, f"{id} has a wrong value"
            return []
        assert location is not None, f"{id} is finished and nowhere"
        assert location.replicas, f"{id} is finished and nowhere"
        found = [self.world.read(self.host, replica, id) for replica in location.replicas]
        assert all(value in (None, expected) for value in found), f"{id} has a wrong value at one of {location}"
        return [] if expected in found else [f"{id} cannot be had at {location}"]

    def _small_talk(self, session: SimSession) -> None:
        task, other = self._some_task(session), self._some_task(session)
        if self._gone(session) or task is None:
            return
        ids = [task.spec.id, other.spec.id]

        def told(outputs: list[m.TaskOutput]) -> None:
            assert [output.id for output in outputs] == ids
            for output in outputs:
                if output.running:
                    assert output.stdout == f"{output.id}#{output.attempt}".encode()
                else:
                    assert output.stdout in (b"", b"out"), output

        def failed(error: BaseException) -> None:
            assert session.idle or not isinstance(error, RainException) or self.core.over_because, error

        self.start(questions.explain(self.core, task), failed=failed)
        self.start(questions.outputs_of(self.core, ids, []), told, failed)
        self.start(questions.server_info(self.core))

    def drain(self, governor: str, within_s: float) -> None:
        """A user lets a governor go."""

        def failed(error: BaseException) -> None:
            if not isinstance(error, RainException) or "is not here" not in str(error):
                self._unexpected(error)

        if self.alive and not self.core.over_because:
            self.start(governors.drain(self.core, [governor], within_s), failed=failed)

    # -- the end --------------------------------------------------------------------------------

    def wrap_up(self) -> bool:
        """Go on towards the end; True when all is closed."""
        if not self.alive:
            return True
        if self.threads or not self.world.steady:
            return False
        if self.core.over_because:
            assert all(session.mirror.ended is not None for session in self.sessions if not session.closing)
            return True
        for session in self.sessions:
            if self.threads:
                return False
            resting = session.mirror.ended is None and session.judge_at > self.world.clock.now
            if not (session.closing or resting) and session.settled:
                self._wrap_up(session)
        return bool(self.sessions) and all(session.closed for session in self.sessions) and not self.threads

    def _wrap_up(self, session: SimSession) -> None:
        stopped = session.mirror.ended is not None
        if not stopped:
            if not session.judged:
                session.judged = True
                self._judge(session)
                return
            if not session.rested:
                # What is on its way arrives; then nothing may be left that nobody needs.
                if session.judge_at == 0.0:
                    session.judge_at = self.world.clock.now + 1.5
                else:
                    session.rested = True
                    self.world.judge_rest(session.id)
                return
            if session.untold():
                self._wait_all(session, patient=True)
                return
            if session.retries == 0 and self.random.random() < 0.3:
                failed = [record for record in session.mirror.failed.values() if not record.forgotten]
                if self.random.random() < 0.3 and failed and not session.forgot:
                    self._forget(session, failed)
                    return
                if failed:
                    self._retry(session, failed)
                    return
        session.closing = True

        def closed(_: Any) -> None:
            session.closed = True

        self.start(sessions.close(self.core, session.mirror), closed, patient=True)

    def _retry(self, session: SimSession, failed: list[TaskRecord]) -> None:
        session.retries += 1
        chosen = None if self.random.random() < 0.5 else [self.random.choice(failed)]
        renewed: list[tuple[TaskRecord, ID]] = []
        if self.random.random() < 0.5:
            graph = session.graph
            id = graph._constant([], [])
            record = ObjectRecord(ObjectSpec(id, label="const"), None, Value(graph.values[id], 8))
            session.mirror.add(record)
            renewed = [(task, id) for task in failed if task.spec.function is not None]
            if not renewed:
                session.mirror.pending.remove(record)

        def retried(_: Any) -> None:
            assert all(task.failed or task.spec.function == id for task, id in renewed), "a function did not stay"
            over()

        def over(_: Any = None) -> None:
            session.judged = session.rested = False
            session.judge_at = 0.0
            self._submit(session)  # there may be a function that was not sent
            self.world.clock.after(self.random.random(), self._wait_all, session)

        operation = retries.retry(self.core, session.mirror, chosen, failed, renewed, self.encoder)
        self.start(operation, retried, over)

    def _forget(self, session: SimSession, failed: list[TaskRecord]) -> None:
        """What was held goes; all else stays as it was judged, and nothing may be left that nobody needs."""
        session.forgot = True
        chosen = None if self.random.random() < 0.5 else [self.random.choice(failed)]

        def forgotten(_: Any) -> None:
            for task in chosen or failed:
                assert task.forgotten, "it was forgotten and is not"
                assert task.spec.id.id not in session.mirror.failed
            session.judged = session.rested = False

        self.start(retries.forget(self.core, session.mirror, chosen), forgotten, patient=True)

    def _judge(self, session: SimSession) -> None:
        """The session is settled: ask for all, and compare with what was believed, and with a serial run."""
        records = [session.record(id) for id in (*session.graph.tasks, *session.graph.producer)]
        before = {record: record.state for record in records}
        self.start(
            keeps.update(self.core, session.mirror, records), lambda _: self._compare(session, before), patient=True
        )

    def _compare(self, session: SimSession, before: dict[Any, Any]) -> None:
        if not session.settled:
            # Something was lost while the question was on its way; the updates of that follow.
            session.judged = False
            return
        wrong = [f"{record.spec.id} is {record.state}" for record, state in before.items() if record.state is not state]
        wrong += [
            f"{id} was said to be {session.said.get(id)} and is {session.state(id)}"
            for id in session.graph.tasks
            if session.said.get(id) is not session.state(id)
        ]
        for id in session.graph.kept:
            record = session.record(id)
            if id in session.graph.producer and record.state is DataObjectState.FINISHED:
                wrong += self._check_value(session, record)
        if wrong and session.surprises < 3:
            # Something was lost while the question was on its way: the updates of that follow.
            session.surprises += 1
            session.judged = False
            session.judge_at = self.world.clock.now + 2.0
            return
        session.judge_at = 0.0
        assert not wrong, f"the client believes otherwise: {wrong}"
        tasks = [session.record(id) for id in session.graph.tasks]
        assert session.mirror.unfinished == 0
        assert {task for task in tasks if task.failed and not task.forgotten} == set(session.mirror.failed.values())
        self._judge_states(session)

    def _judge_states(self, session: SimSession) -> None:
        graph, world = session.graph, self.world
        states = {id: session.state(id) for id in graph.tasks}
        may_fail: dict[ID, bool] = {}
        may_cancel: dict[ID, bool] = {}
        for id, spec in graph.tasks.items():
            behaviour, times = graph.behaves[id]
            needs = graph.needs(id)
            retries = spec.options.retries if spec.options is not None else 0
            once = spec.options is not None and spec.options.rerun == "never"
            crashes = (times if behaviour in (plan.CRASH, plan.POISON) else 0) + world.kills[id] + world.losses
            charged = world.charged(id)
            assert charged <= crashes, f"{id} was charged with {charged} crashes, of which it had {crashes}"
            own = (
                behaviour in (plan.FAIL, plan.HANG)
                or (behaviour == plan.FLAKY and (times > retries or once))
                or crashes >= 3
                or (once and crashes > 0)
                or (once and world.objects_lost + world.cuts > 0)
                or not world.fits(spec, world.first)
                or (world.long_cut and not all(world.fits(spec, [one]) for one in world.ever))
                or (world.long_cut and spec.options is not None and spec.options.nodes > 1)
            )
            may_cancel[id] = id in graph.cancelled or any(may_cancel[need] for need in needs)
            may_fail[id] = own or any(may_fail[need] for need in needs)
            state = states[id]
            what = f"{id} ({behaviour}) is {state}: {session.record(id).error}"
            if state is TaskState.FAILED:
                assert may_fail[id], what
            elif state is TaskState.CANCELLED:
                assert may_cancel[id], what
            else:
                disturbed = world.losses or world.objects_lost or world.cuts
                assert disturbed or all(states[need] is TaskState.FINISHED for need in needs), what
                assert behaviour not in (plan.FAIL, plan.HANG), what
                assert world.fits(spec, world.ever), what
                for output in spec.outputs:
                    told = session.state(output)
                    if output in graph.kept:
                        assert told is DataObjectState.FINISHED or world.losses or world.objects_lost, (
                            f"{output} is {told}"
                        )
                    else:
                        assert told is not DataObjectState.UNFINISHED, f"{output} is {told}"
            self._judge_executions(session, id, retries)

    def _judge_executions(self, session: SimSession, id: ID, retries: int) -> None:
        world = self.world
        behaviour, times = session.graph.behaves[id]
        scripted = {plan.FAIL: retries, plan.FLAKY: min(times, retries), plan.CRASH: times, plan.POISON: 2}.get(
            behaviour, 0
        )
        bound = (1 + scripted) * (1 + session.retries) + world.kills[id] + world.losses + world.objects_lost
        bound += world.cuts
        options = session.graph.tasks[id].options
        if options is not None and options.rerun == "never":
            bound = 1 + session.retries
        assert world.executions[id] <= bound, f"{id} ran {world.executions[id]} times, which is more than {bound}"
