"""A client in the simulator: makes graphs, asks for all sorts of things, believes what it is told, judges the end."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import TaskSpec, TaskSpecInput
from rain.common.states import SETTLED, DataObjectState, TaskState
from tests.sim import plan
from tests.sim.network import Side

if TYPE_CHECKING:
    from tests.sim.world import World

ENV = m.SessionEnv("laptop", "/usr/bin/python3", "3.11", [], "/home/me")


class SimSession:
    """What a client knows of one of its sessions."""

    def __init__(self, session_id: int, random: Random, on_failure: str, persistent: bool) -> None:
        self.id = session_id
        self.persistent = persistent
        self.on_failure = on_failure
        self.graph = plan.Graph(session_id, random)
        self.states: dict[ID, TaskState] = {}
        self.errors: dict[ID, Any] = {}
        self.infos: dict[ID, Any] = {}
        self.object_states: dict[ID, DataObjectState] = {}
        self.data: dict[ID, m.ObjectUpdate] = {}
        self.stopped: m.SessionStopped | None = None
        self.closing = False
        self.closed = False
        self.retries = 0
        self.forgot = False
        self.surprises = 0
        self.judge_at = 0.0
        self.rested = False
        self.attached = True
        self.judged = False

    def take(self, tasks: list[m.TaskUpdate], objects: list[m.ObjectUpdate]) -> None:
        for update in tasks:
            self.states[update.id] = update.state
            if update.info is not None:
                self.infos[update.id] = update.info
            self.errors[update.id] = update.error
        for news in objects:
            self.object_states[news.id] = news.state
            self.data[news.id] = news

    @property
    def settled(self) -> bool:
        if self.stopped is not None:
            return True
        return self.attached and all(self.states[id] in SETTLED for id in self.graph.tasks)


class SimClient:
    """One client process."""

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.host = host
        self.random: Random = world.random
        self.alive = True
        self.sessions: list[SimSession] = []
        self.requests = 0
        self.waiting: dict[int, Callable[[Any], None]] = {}
        self.side: Side = world.open_client(self)
        self.side.on_messages = self._said
        self.ask(m.ExpectGovernors, len(world.governors), then=lambda reply: None)
        for _ in range(self.random.choice([1, 1, 2])):
            self._open()

    def ask(self, kind: Callable[..., Any], *fields: Any, then: Callable[[Any], None]) -> None:
        """Send a request; `then` gets the reply."""
        if self.alive:
            self.requests += 1
            self.waiting[self.requests] = then
            self.side.send([kind(self.requests, *fields)])

    def _said(self, messages: list[Any]) -> None:
        for message in messages:
            kind = type(message)
            if kind is m.SessionNews:
                session = self._session(message.session_id)
                assert not session.closed, "news of a closed session"
                session.take(message.tasks, message.objects)
            elif kind is m.SessionStopped:
                self._session(message.session_id).stopped = message
            elif kind is not m.GovernorCount:
                self.waiting.pop(message.request)(message)

    def _session(self, id: int) -> SimSession:
        return next(session for session in self.sessions if session.id == id)

    def die(self) -> None:
        self.alive = False
        self.side.close()

    # -- the script -----------------------------------------------------------------------------

    def _open(self) -> None:
        on_failure = "stop" if self.random.random() < 0.1 else "continue"
        persistent = self.random.random() < 0.15

        def opened(reply: m.SessionOpened) -> None:
            self._opened(SimSession(reply.session_id, self.random, on_failure, persistent))

        self.ask(m.NewSession, "sim", on_failure, persistent, ENV, then=opened)

    def adopt(self, session: SimSession) -> None:
        """Take over a persistent session of a client that is gone."""
        if session.stopped is not None or session.closing:
            return
        session.closing = True
        heir = SimSession(session.id, self.random, session.on_failure, True)
        heir.graph = session.graph
        self.sessions.append(heir)

        def attached(reply: Any) -> None:
            if type(reply) is m.Failed:
                # It was stopped by a failure that its client never heard of, and ended with it.
                heir.closed = heir.closing = True
                return
            known = [task.id for task in reply.tasks]
            heir.graph.tasks = {id: spec for id, spec in heir.graph.tasks.items() if id in known}
            heir.graph.producer = {id: task for id, task in heir.graph.producer.items() if task in known}
            heir.graph.kept = dict.fromkeys(reply.keep)
            heir.take(reply.states, reply.object_states)
            heir.attached = True

        heir.attached = False
        self.ask(m.Attach, session.id, then=attached)

    def _opened(self, session: SimSession) -> None:
        self.sessions.append(session)
        self._submit(session)
        after = self.world.clock.after
        for _ in range(self.random.choice([0, 0, 1, 2])):
            after(self.random.random() * 3, self._submit, session)
        for _ in range(self.random.randint(0, 6)):
            action = self.random.choice(
                [self._cancel, self._keep, self._unkeep, self._update, self._locate, self._small_talk, self._mistake]
            )
            after(self.random.random() * 4, action, session)

    def _idle(self, session: SimSession) -> bool:
        return not self.alive or session.closing or session.stopped is not None

    def _submit(self, session: SimSession) -> None:
        if self._idle(session):
            return
        fields = session.graph.grow(self.random.randint(1, self.world.tasks_max), self.world.shapes)
        for spec in fields["tasks"]:
            session.states[spec.id] = TaskState.WAITING
        for spec in fields["objects"]:
            session.object_states[spec.id] = DataObjectState.UNFINISHED
        for constant in fields["constants"]:
            if self.random.random() < 0.3:
                self.world.upload(constant)
        if self.random.random() < 0.3:
            half = len(fields["tasks"]) // 2
            piece = m.Submit(0, session.id, fields["tasks"][:half], fields["objects"], fields["constants"], [], True)
            self.side.send([piece])
            fields = {"tasks": fields["tasks"][half:], "objects": [], "constants": [], "keep": fields["keep"]}
        self.ask(
            m.Submit,
            session.id,
            fields["tasks"],
            fields["objects"],
            fields["constants"],
            fields["keep"],
            then=lambda reply: self._accepted(session, reply),
        )

    def _accepted(self, session: SimSession, reply: Any) -> None:
        assert type(reply) is m.Done or session.stopped is not None, reply

    def _some_task(self, session: SimSession) -> ID | None:
        return self.random.choice(list(session.graph.tasks)) if session.graph.tasks else None

    def _some_output(self, session: SimSession) -> ID | None:
        return self.random.choice(list(session.graph.producer)) if session.graph.producer else None

    def _cancel(self, session: SimSession) -> None:
        id = self._some_task(session)
        if self._idle(session) or id is None:
            return
        tasks = None if self.random.random() < 0.1 else [id]
        session.graph.cancelled.update(dict.fromkeys(tasks or session.graph.tasks))
        self.ask(m.Cancel, session.id, tasks, then=lambda reply: self._accepted(session, reply))

    def _keep(self, session: SimSession) -> None:
        id = self._some_output(session)
        if self._idle(session) or id is None or id in session.graph.kept:
            return

        def kept(reply: Any) -> None:
            if type(reply) is m.Done and not self._idle(session):
                session.graph.kept[id] = None

        self.ask(m.Keep, session.id, [id], then=kept)

    def _unkeep(self, session: SimSession) -> None:
        if self._idle(session) or not session.graph.kept:
            return
        id = self.random.choice(list(session.graph.kept))
        del session.graph.kept[id]
        self.ask(m.Unkeep, session.id, [id], then=lambda reply: self._accepted(session, reply))

    def _update(self, session: SimSession) -> None:
        id = self._some_task(session)
        if not self._idle(session) and id is not None:
            items = [id, *session.graph.tasks[id].outputs]
            self.ask(m.Update, session.id, items, then=lambda reply: self._updated(session, reply))

    def _updated(self, session: SimSession, reply: Any) -> None:
        if type(reply) is m.Updated:
            session.take(reply.tasks, reply.objects)
        else:
            assert session.stopped is not None, reply

    def _locate(self, session: SimSession) -> None:
        id = self._some_output(session)
        if not self._idle(session) and id is not None:
            self.ask(m.Locate, session.id, [id], then=lambda reply: None)

    def _small_talk(self, session: SimSession) -> None:
        id = self._some_task(session)
        if not self._idle(session) and id is not None:
            self.ask(m.Explain, id, then=lambda reply: self._accepted(session, m.Done(0)))
            ids = [id, self._some_task(session) or id]
            self.ask(m.GetOutput, ids, then=lambda reply: self._told(session, ids, reply))
            self.ask(m.GetServerInfo, then=lambda reply: None)

    def _told(self, session: SimSession, ids: list[ID], reply: Any) -> None:
        if type(reply) is not m.Output:
            assert session.stopped is not None or session.closing, reply
            return
        assert [output.id for output in reply.outputs] == ids
        for output in reply.outputs:
            if output.running:
                assert output.stdout == f"{output.id}#{output.attempt}".encode()
            else:
                assert output.stdout in (b"", b"out"), output

    def _mistake(self, session: SimSession) -> None:
        """A submit that is refused, of which nothing may be taken."""
        id = self._some_task(session)
        if self._idle(session) or id is None:
            return
        new = ID(session.id, 9_000_000 + self.requests)
        bad = self.random.choice(
            [
                TaskSpec(id, "py/", resources={"cpus": 1}),
                TaskSpec(new, "py/", inputs=[TaskSpecInput(ID(session.id, 999_999))], resources={"cpus": 1}),
                TaskSpec(new, "py/", outputs=[ID(session.id, 999_999)], resources={"cpus": 1}),
                TaskSpec(new, "nothing", resources={"cpus": 1}),
                TaskSpec(new, "py/", resources={"cpus": -1}),
            ]
        )
        good = TaskSpec(
            ID(session.id, 9_500_000 + self.requests), "py/", [plan.OK, "", False, 1.0], resources={"cpus": 1}
        )

        def refused(reply: Any) -> None:
            assert type(reply) is m.Failed, reply

        self.ask(m.Submit, session.id, [good, bad], [], [], [], then=refused)

    # -- the end --------------------------------------------------------------------------------

    def wrap_up(self) -> bool:
        """Go on towards the end; True when all is closed."""
        if not self.alive:
            return True
        if not self.world.steady:
            return False
        for session in self.sessions:
            if session.closing or not session.settled or self.waiting:
                continue
            if session.stopped is None and session.judge_at > self.world.clock.now:
                continue
            if session.stopped is None and not session.judged:
                session.judged = True
                items = [*session.graph.tasks, *session.graph.producer]
                self.ask(m.Update, session.id, items, then=lambda reply, session=session: self._judge(session, reply))
                continue
            if session.stopped is None and not session.rested:
                # What is on its way arrives; then nothing may be left that nobody needs.
                if session.judge_at == 0.0:
                    session.judge_at = self.world.clock.now + 1.5
                else:
                    session.rested = True
                    self.world.judge_rest(session.id)
                continue
            if session.stopped is None and session.retries == 0 and self.random.random() < 0.3:
                failed = [id for id, s in session.states.items() if s in (TaskState.FAILED, TaskState.CANCELLED)]
                if self.random.random() < 0.3 and failed and not session.forgot:
                    self._forget(session, failed)
                    continue
                if failed:
                    self._retry(session, failed)
                    continue
            session.closing = True
            self.ask(m.CloseSession, session.id, then=lambda reply, session=session: self._closed(session, reply))
        return bool(self.sessions) and all(session.closed for session in self.sessions)

    def _retry(self, session: SimSession, failed: list[ID]) -> None:
        session.retries += 1
        chosen = None if self.random.random() < 0.5 else [self.random.choice(failed)]

        def retried(reply: Any) -> None:
            assert type(reply) in (m.Done, m.Failed), reply
            if type(reply) is m.Done:
                for id in failed:
                    session.states[id] = TaskState.WAITING
                self._update_all(session)
            session.judged = False

        self.ask(m.Retry, session.id, chosen, then=retried)

    def _forget(self, session: SimSession, failed: list[ID]) -> None:
        """What was held goes; all else stays as it was judged, and nothing may be left that nobody needs."""
        session.forgot = True
        chosen = None if self.random.random() < 0.5 else [self.random.choice(failed)]

        def forgotten(reply: Any) -> None:
            assert type(reply) is m.Done, reply
            session.judged = session.rested = False

        self.ask(m.Forget, session.id, chosen, then=forgotten)

    def _update_all(self, session: SimSession) -> None:
        self.ask(m.Update, session.id, list(session.graph.tasks), then=lambda reply: self._updated(session, reply))

    def _closed(self, session: SimSession, reply: Any) -> None:
        assert type(reply) is m.Done, reply
        session.closed = True

    def _judge(self, session: SimSession, reply: Any) -> None:
        """The session is settled: compare with what a serial run gives."""
        if session.stopped is not None:
            return
        assert type(reply) is m.Updated, reply
        if any(update.state not in SETTLED for update in reply.tasks):
            # Something was lost while the question was on its way; the news of that follow.
            session.take(reply.tasks, reply.objects)
            session.judged = False
            return
        wrong = [f"{told.id} is {told.state}" for told in reply.tasks if session.states[told.id] is not told.state]
        wrong += [
            f"{told.id} is {told.state}" for told in reply.objects if session.object_states[told.id] is not told.state
        ]
        for news in reply.objects:
            if news.id in session.graph.kept and news.state is DataObjectState.FINISHED:
                wrong += self._judge_value(session, news.id, news)
        if wrong and session.surprises < 3:
            # Something was lost while the question was on its way: the news of that follow.
            session.surprises += 1
            session.judged = False
            session.judge_at = self.world.clock.now + 2.0
            return
        session.judge_at = 0.0
        assert not wrong, f"the client believes otherwise: {wrong}"
        self._judge_states(session)

    def _judge_value(self, session: SimSession, id: ID, news: m.ObjectUpdate) -> list[str]:
        expected = session.graph.values[id]
        location = news.location
        if isinstance(location, Inline):
            assert location.data == expected, f"{id} has a wrong value"
            return []
        assert location is not None, f"{id} is finished and nowhere"
        assert location.replicas, f"{id} is finished and nowhere"
        found = [self.world.read(self.host, replica, id) for replica in location.replicas]
        assert all(value in (None, expected) for value in found), f"{id} has a wrong value at one of {location}"
        return [] if expected in found else [f"{id} cannot be had at {location}"]

    def _judge_states(self, session: SimSession) -> None:
        graph, states, world = session.graph, session.states, self.world
        may_fail: dict[ID, bool] = {}
        may_cancel: dict[ID, bool] = {}
        for id, spec in graph.tasks.items():
            behaviour, times = graph.behaves[id]
            needs = graph.needs(id)
            retries = spec.options.retries if spec.options is not None else 0
            once = spec.options is not None and spec.options.rerun == "never"
            crashes = (times if behaviour in (plan.CRASH, plan.POISON) else 0) + world.kills[id] + world.losses
            own = (
                behaviour == plan.FAIL
                or (behaviour == plan.FLAKY and (times > retries or once))
                or crashes >= 3
                or (once and crashes > 0)
                or (once and world.objects_lost + world.cuts > 0)
                or not world.fits(spec, world.first)
                or (world.long_cut and not all(world.fits(spec, [one]) for one in world.ever))
            )
            may_cancel[id] = id in graph.cancelled or any(may_cancel[need] for need in needs)
            may_fail[id] = own or any(may_fail[need] for need in needs)
            state = states[id]
            what = f"{id} ({behaviour}) is {state}: {session.errors.get(id)}"
            if state is TaskState.FAILED:
                assert may_fail[id], what
            elif state is TaskState.CANCELLED:
                assert may_cancel[id], what
            else:
                disturbed = world.losses or world.objects_lost or world.cuts
                assert disturbed or all(states[need] is TaskState.FINISHED for need in needs), what
                assert behaviour != plan.FAIL, what
                assert world.fits(spec, world.ever), what
                for output in spec.outputs:
                    told = session.object_states[output]
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
