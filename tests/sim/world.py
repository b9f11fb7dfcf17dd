"""One simulated run: a server, governors, clients, faults; all of it follows from a seed."""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any

from rain.client.operations.constant_values import Value
from rain.common.ids import ID
from rain.common.limits import CLIENT_GRACE_S, GOVERNOR_LOST_S, GOVERNOR_RECONNECT_S
from rain.common.location import Inline, LocalFile, Replica, Upload, replicas_of
from rain.common.protocol import messages as m
from rain.common.spec import TaskSpec
from rain.common.states import SETTLED, DataObjectState
from rain.governor.core import events as gov
from rain.server.check import check, check_idle
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.core.demand import offered
from rain.server.core.reporting.explain import explain_task
from rain.server.policy_loading import ChosenPolicy, choose_policy
from tests.sim.client import SimClient, SimSession
from tests.sim.governor import SimGovernor
from tests.sim.network import Clock, Conversation, Network, Side
from tests.sim.pool import SimPool

SERVER = "server:1"
QUIET = (ev.Tick, ev.TurnEnded)
"""Events that often lead to nothing. Of the steps in which they do one in a hundred changes a record of the server
all the same (a task is put off); the check of the next step sees that."""
HEAL_S = 5.0
END_S = 200.0
CALLS_MAX = 100_000
RAINS_OWN = choose_policy()


class Armed:
    """While it is entered, nothing may touch the world; an audit hook sees to that."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and (event in ("open", "time.sleep", "os.fork", "subprocess.Popen") or event.startswith("socket.")):
            raise AssertionError(f"a core touched the world: {event} {args}")

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *error: object) -> None:
        self.on = False


ARMED = Armed()


class World:
    """Everything in one run.

    Parameters
    ----------
    seed : int
    tasks_max : int
        Tasks in one submit.
    checks : bool
        Whether the invariants of server and governors are checked after each step.
    quiet_steps : bool
        Also after those in which time passed or a turn ended, and nothing came of it: of governors' steps three of
        four, of the server's a third. `test_quiet_steps_change_nothing` shows that a governor's leave all records as
        they were.
    policy : ChosenPolicy
    """

    def __init__(
        self,
        seed: int,
        *,
        tasks_max: int = 10,
        checks: bool = True,
        quiet_steps: bool = False,
        policy: ChosenPolicy = RAINS_OWN,
    ) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.armed = ARMED
        self.checks = checks
        self.quiet_steps = quiet_steps
        self.clock = Clock()
        calm = random.random() < 0.2
        self.network = Network(
            self.clock,
            random,
            drop=0.0 if calm else random.choice([0.0, 0.05, 0.2]),
            double=0.0 if calm else random.choice([0.0, 0.1]),
            slow=0.0 if calm else random.choice([0.0, 0.1, 0.5]),
        )
        self.calm = calm
        self.healed = False
        self.tasks_max = random.choice([3, tasks_max, tasks_max])
        self.shapes: list[dict[str, float]] = random.choice(
            [
                [{"cpus": 1.0}],
                [{"cpus": 1.0}, {"cpus": 2.0}, {"cpus": 0.5}],
                [{"cpus": 1.0}, {"cpus": 0.0}, {"cpus": 0.5, "gpus": 1.0}, {"cpus": 3.0}],
            ]
        )
        self.executions: Counter[ID] = Counter()
        self.kills: Counter[ID] = Counter()
        self.losses = 0
        self.deaths = 0
        self.departures = 0
        self.objects_lost = 0
        self.cuts = 0 if calm else 1  # fetches that fail may lead to things being made again
        self.long_cut = False
        self.produced: dict[ID, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.pools: dict[int, bytes] = {}
        self.steps = 0
        self.core = ServerCore(SERVER, "server-machine", policy=policy.make, policy_name=policy.name)
        self.step_core = self.core.step
        self.turn_due = False
        self.peers: dict[str, Side] = {}
        self.governor_of: dict[Side, str] = {}
        self.quick_loss: dict[str, float] = {}
        self.clock.after(1.0, self._tick)
        self.governors: list[SimGovernor] = []
        for number in range(random.choice([1, 2, 2, 3, 4])):
            cpus = float(random.choice([1, 2, 4]))
            self.new_governor(f"g{number}:1", {"cpus": cpus, **({"gpus": 1.0} if random.random() < 0.5 else {})})
        self.first = [governor.resources for governor in self.governors]
        self.ever = list(self.first)
        self.clients = [SimClient(self, f"client{number}:1") for number in range(random.choice([1, 1, 2]))]
        if not calm:
            self._plan_faults()
        self.clock.after(HEAL_S, self._heal)
        if seed % 4 == 1:
            self.pool = SimPool(self)

    # -- running --------------------------------------------------------------------------------

    def run(self) -> str:
        """Run to the end; the digest of all that was said.

        Raises
        ------
        AssertionError
            If anything is not as promised.
        """
        finished = False
        calls = 0
        while self.clock.now < END_S and calls < CALLS_MAX:
            calls += 1
            if not self.clock.run_next():
                break
            if self.healed and self._all_closed() and self._at_rest():
                finished = True
                break
        if not finished:
            raise AssertionError(self._stuck())
        check_idle(self.core)
        self._drop_what_was_not_submitted()
        assert not self.uploads, f"uploads are left: {self.uploads}"
        assert self.pools.keys() == self.core.state.pools.keys(), f"keys of pools are left: {self.pools.keys()}"
        return self.network.digest.hexdigest()

    @property
    def faulty(self) -> bool:
        """Whether things may go wrong now."""
        return not self.calm and not self.healed

    @property
    def disturbed(self) -> bool:
        """Whether a governor was lost, or is gone and the server does not know it yet: its data cannot be had."""
        return bool(self.losses or self.deaths or self.departures)

    @property
    def steady(self) -> bool:
        """Whether faults are over and the server knows which governors there are."""
        known = {governor.side.peer for governor in self.governors if governor.side is not None}
        return self.healed and known == set(self.governor_of)

    def _all_closed(self) -> bool:
        closed = [client.wrap_up() for client in self.clients]
        return all(closed) and not self.core.state.graph.sessions

    def _at_rest(self) -> bool:
        if any(governor.dropping for governor in self.core.state.graph.governors.values()):
            return False
        for governor in self.governors:
            load = governor.core.load()
            if governor.store or governor.executors or any(load[name] for name in ("tasks", "objects", "executors")):
                return False
        return True

    def _stuck(self) -> str:
        lines = [f"after {END_S} s not all has come to its end:"]
        graph = self.core.state.graph
        for session in graph.sessions.values():
            lines.append(f"{session} {session.state.value} {session.end_reason} at {list(session.governors)}")
            lines += [explain_task(self.core.state, task) for task in session.tasks.values() if task.unsettled]
        for client in self.clients:
            waiting = [(thread.operation.__qualname__, thread.waiting) for thread in client.threads]
            lines.append(f"{client.host} over={client.core.over_because!r} waits in {waiting}")
            lines += [
                f"  {session.mirror} closing={session.closing} closed={session.closed}: "
                f"{[str(id) for id in session.graph.tasks if session.state(id) not in SETTLED]}"
                for session in client.sessions
            ]
        for governor in self.governors:
            lines.append(f"{governor.host} alive={governor.alive} {governor.core.load()} store={list(governor.store)}")
        for record in graph.governors.values():
            lines.append(
                f"{record} assigned={list(record.assigned)} stopping={record.stopping} dropping={record.dropping}"
            )
        return "\n".join(lines)

    def turn_delay(self) -> float:
        return 0.0003 * self.random.random()

    # -- the server's shell ---------------------------------------------------------------------

    def _step(self, event: ev.Event) -> None:
        self._apply(event)
        if not self.turn_due:
            self.turn_due = True
            self.clock.after(self.turn_delay(), self._turn_ended)

    def _turn_ended(self) -> None:
        self.turn_due = False
        self._apply(ev.TurnEnded())

    def _apply(self, event: ev.Event) -> None:
        self.steps += 1
        with self.armed:
            effects = self.step_core(event, self.clock.now)
        quiet = not effects and type(event) in QUIET
        if self.checks and (not quiet or self.quiet_steps):
            check(self.core)
        out: dict[str, list[Any]] = {}
        for effect in effects:
            if type(effect) is do.ToClient:
                out.setdefault(effect.client_id, []).append(effect.message)
            elif type(effect) is do.ToGovernor:
                if type(effect.message) is m.Dismiss:
                    self._judge_dismissal(effect.governor_id)
                out.setdefault(effect.governor_id, []).append(effect.message)
            elif type(effect) is do.DiscardUpload:
                for name in effect.names:
                    del self.uploads[name]
            elif type(effect) is do.DropGovernor:
                raise AssertionError(f"{effect.governor_id} was thrown out: {effect.reason}")
            elif type(effect) is do.AllowPool:
                assert effect.pool not in self.pools, f"pool {effect.pool} was there"
                self.pools[effect.pool] = effect.salt
            elif type(effect) is do.ForbidPool:
                del self.pools[effect.pool]
            elif type(effect) is do.InternalError:
                raise effect.error
            elif type(effect) is do.Happened and "no governor can ever hold it" in effect.values.get("error", ""):
                task = self.core.state.graph.task(ID(effect.session, effect.id))
                own = task is not None and effect.values["error"].startswith(f"Task {task.title} asks for")
                assert not own or not offered(self.core.state, task.request), f"{task} could wait for a place"
        for name, messages in out.items():
            if name in self.peers:
                self.peers[name].send(messages)

    def _tick(self) -> None:
        self._step(ev.Tick())
        now = self.clock.now
        for side, name in list(self.governor_of.items()):
            limit = self.quick_loss.get(name, GOVERNOR_LOST_S)
            if now - side.heard_at > limit:
                self._lose(side, name, "silence")
        self.clock.after(1.0, self._tick)

    def _lose(self, side: Side, name: str, reason: str) -> None:
        if self.core.state.graph.governors[name].leaving is None:
            self.losses += 1  # of those that leave on purpose nothing may be charged
        side.close()
        del self.governor_of[side]
        del self.peers[name]
        self.quick_loss.pop(name, None)
        self._step(ev.GovernorGone(name, reason))

    # -- conversations --------------------------------------------------------------------------

    def open_client(self, client: SimClient) -> Side:
        conversation = Conversation(self.network, SERVER, client.host, m.ClientToServer, m.ServerToClient)
        self.peers[client.host] = conversation.here
        conversation.here.on_messages = lambda messages: self._client_said(client.host, messages)
        self._step(ev.ClientJoined(client.host))
        return conversation.there

    def _client_said(self, name: str, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, m.Submit | m.Retry):
                for constant in message.constants:
                    upload = constant.location
                    if isinstance(upload, Upload):
                        upload.file = LocalFile(upload.name, 1, upload.size, 0, upload.checksum)
            self._step(ev.ClientSaid(name, message))

    def open_governor(self, governor: SimGovernor) -> Side:
        conversation = Conversation(self.network, SERVER, governor.host, m.GovernorToServer, m.ServerToGovernor)
        side = conversation.here
        conversation.on_refused = governor.reset
        side.on_messages = lambda messages: self._governor_said(side, messages)
        return conversation.there

    def _governor_said(self, side: Side, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, m.Register):
                for other, name in list(self.governor_of.items()):
                    if name == message.governor_id:
                        self._lose(other, name, "it registered anew")
                self.governor_of[side] = message.governor_id
                self.peers[message.governor_id] = side
                self._step(ev.GovernorJoined(message.governor_id, message))
            elif side in self.governor_of:
                self._step(ev.GovernorSaid(self.governor_of[side], message))

    # -- what others see ------------------------------------------------------------------------

    def machine_of(self, host: str) -> str:
        """Governors of one number stay on one machine; two of them share one."""
        return "shared" if host[:2] in ("g0", "g1") and self.seed % 3 == 0 else host.partition(":")[0]

    def read(self, reader: str, place: Replica, id: ID) -> bytes | None:
        """What a transfer from a place would bring."""
        if place.address == SERVER:
            found = self.core.object_data(id)
            if found is None:
                return None
            if isinstance(found.location, Inline):
                return found.location.data
            file = next((held.file for held in found.location.replicas if held.address == SERVER), None)
            return None if file is None else self.uploads.get(file.path)
        governor = next((one for one in self.governors if one.alive and one.host == place.address), None)
        if governor is None or not self.network.reachable(reader, place.address):
            return None
        held = governor.store.get(id)
        return None if held is None else held[0]

    def holders(self, reader: str, id: ID) -> set[str]:
        """Where the server knows that an object is, as far as a transfer from there would bring it."""
        found = self.core.object_data(id)
        places = [] if found is None else replicas_of(found.location)
        return {place.address for place in places if self.read(reader, place, id) is not None}

    def upload(self, client: str, value: Value, id: ID) -> None:
        """Bring a constant to the server's host."""
        assert value.data is not None
        value.name = f"upload-{id}"
        if client in self.peers:
            self.uploads[value.name] = value.data

    def _drop_what_was_not_submitted(self) -> None:
        """What clients had brought and did not submit goes with them; the real shell does that."""
        for client in self.clients:
            for session in client.sessions:
                for id in session.graph.objects:
                    record = session.record(id)
                    if (record is None or record.state is None) and id.id not in session.mirror.refusals:
                        self.uploads.pop(f"upload-{id}", None)

    def behaviour(self, id: ID) -> tuple[str, int]:
        for client in self.clients:
            for session in client.sessions:
                if id in session.graph.behaves:
                    return session.graph.behaves[id]
        raise AssertionError(f"{id} runs and nobody submitted it")

    def executed(self, assignment: m.TaskAssignment, host: str) -> None:
        self.executions[assignment.spec.id] += 1

    def charged(self, id: ID) -> int:
        """How many crashes the server charges a task with."""
        session = self.core.state.graph.sessions.get(id.session_id)
        return 0 if session is None else session.crashes.get(id.id, 0)

    def killed(self, id: ID) -> None:
        self.kills[id] += 1

    def fits(self, spec: TaskSpec, governors: list[dict[str, float]]) -> bool:
        return any(
            all(amount <= resources.get(name, 0.0) for name, amount in spec.resources.items())
            for resources in governors
        )

    def judge_rest(self, session_id: int) -> None:
        """A session has come to rest: governors have what the server knows of, and nothing of it runs."""
        for governor in self.governors:
            record = self.core.state.graph.governors.get(governor.host)
            if record is None:  # it has just come, or has just left
                continue
            known = {obj.id for obj in record.objects}
            left = [id for id in governor.store if id.session_id == session_id and id not in known]
            assert not left, f"{governor.host} holds what nobody needs: {left}"
            assert not any(task.id.session_id == session_id for task in record.assigned), record.assigned
            assert not any(id.session_id == session_id for id, _ in record.stopping), record.stopping
            assert not any(id.session_id == session_id for id in record.dropping), record.dropping

    def _judge_dismissal(self, name: str) -> None:
        """A governor is let go: nothing that is needed may be there alone, unless nobody could have taken it."""
        graph = self.core.state.graph
        if not graph.staying():
            return
        leaver = graph.governors[name]
        for obj in leaver.objects:
            if obj.state is DataObjectState.FINISHED and not obj.safe and leaver in (holders := obj.holders()):
                assert any(holder.leaving is None for holder in holders), f"{obj} goes with {name}"

    # -- faults ---------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        random = self.random
        for _ in range(random.choice([0, 1, 1, 2, 3])):
            fault = random.choice(
                [
                    self._kill,
                    self._kill,
                    self._cut,
                    self._cut_peers,
                    self._crash,
                    self._lose_file,
                    self._spill,
                    self._late,
                    self._drain,
                    self._drain,
                    self._drain_and_kill,
                    self._drain_all,
                    self._terminate,
                ]
            )
            self.clock.after(random.random() * 3, fault)
        if len(self.clients) > 1 and random.random() < 0.3:
            self.clock.after(random.random() * 3, random.choice([self._client_dies, self._client_lost]))
        if random.random() < 0.2:
            client = random.choice(self.clients)
            self.clock.after(random.random() * 3, client.break_off, random.choice([0.5, 3.0]))
        if random.random() < 0.2:
            client = random.choice(self.clients).host
            self.clock.after(random.random() * 2, self._step, ev.ClientPace(client, True))
            self.clock.after(2 + random.random() * 3, self._step, ev.ClientPace(client, False))

    def _some_governor(self) -> SimGovernor | None:
        alive = [governor for governor in self.governors if governor.alive]
        return self.random.choice(alive) if alive else None

    def _kill(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            self._kill_this(governor)

    def _kill_this(self, governor: SimGovernor) -> None:
        if not governor.alive:
            return
        governor.die()
        self.deaths += 1
        self.governors.remove(governor)
        if self.random.random() < 0.5:
            self.quick_loss[governor.host] = GOVERNOR_RECONNECT_S
        host = governor.host if self.random.random() < 0.5 else governor.host + "1"
        self.clock.after(self.random.random() * 4, self.new_governor, host, governor.resources)

    def _drain(self) -> None:
        """A governor leaves: by a signal, or because a client asked for it; at times that is hurried afterwards."""
        governor = self._some_governor()
        if governor is None or governor.host not in self.peers:
            return
        self._part(governor, self.random.choice([0.0, 0.3, 2.0, 20.0]))
        if self.random.random() < 0.2:
            self.clock.after(self.random.random(), governor.step, gov.LeaveAsked("SIGTERM", 0.5))

    def _part(self, governor: SimGovernor, within_s: float) -> None:
        self.departures += 1
        self.cuts += 1  # what it ends runs again, and what it takes along is made again
        if self.random.random() < 0.5:
            governor.step(gov.LeaveAsked("SIGTERM", within_s))
        else:
            self.clients[0].drain(governor.host, within_s)

    def _drain_and_kill(self) -> None:
        """It is killed in the middle of that."""
        governor = self._some_governor()
        if governor is not None and governor.host in self.peers:
            self._part(governor, 20.0)
            self.clock.after(self.random.random(), self._kill_this, governor)

    def _terminate(self) -> None:
        """A batch system ends its job: all processes at once."""
        governor = self._some_governor()
        if governor is not None and governor.host in self.peers:
            self.departures += 1
            self.cuts += 1
            governor.terminate_all(0.5 * self.random.random())

    def _drain_all(self) -> None:
        for governor in [one for one in self.governors if one.alive and one.host in self.peers]:
            self._part(governor, self.random.choice([1.0, 20.0]))

    def left(self, governor: SimGovernor, side: Side) -> None:
        """A governor has ended by itself, with a word of farewell that arrives if anything does."""
        self.governors.remove(governor)
        if self.network.reachable(governor.host, SERVER):
            self.clock.after(self.network.delay(), self._farewell, side)
        host = governor.host if self.random.random() < 0.3 else governor.host + "1"
        self.clock.after(self.random.random() * 4, self.new_governor, host, governor.resources)

    def _farewell(self, side: Side) -> None:
        name = self.governor_of.get(side.peer)
        if name is not None:
            self._lose(side.peer, name, "it has left")

    def new_governor(self, host: str, resources: dict[str, float]) -> None:
        self.governors.append(SimGovernor(self, host, resources))

    def _late(self) -> None:
        if len(self.governor_of) < len(self.governors):
            return  # clients expect the first ones, and it would be taken for one of them
        self.ever.append({"cpus": 2.0})
        self.new_governor(f"g9{self.random.randint(0, 999)}:1", {"cpus": 2.0})

    def _cut(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            seconds = self.random.choice([0.5, 2.0, 14.0])
            self.long_cut |= seconds > GOVERNOR_LOST_S
            pair = (SERVER, governor.host) if self.random.random() < 0.5 else (governor.host, SERVER)
            self.network.cut(*pair, seconds)
            if self.random.random() < 0.5:
                self.network.cut(pair[1], pair[0], seconds)

    def _cut_peers(self) -> None:
        one, other = self._some_governor(), self._some_governor()
        if one is not None and other is not None and one is not other:
            self.cuts += 1  # what cannot be fetched may be made again
            self.network.cut(one.host, other.host, self.random.choice([0.5, 3.0]))

    def _crash(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.crash_some_executor()

    def _lose_file(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.lose_something()

    def _spill(self) -> None:
        governor = self._some_governor()
        if governor is not None:
            governor.move_something()

    def _client_dies(self) -> None:
        client = self.clients[-1]
        client.die()
        self.clock.after(CLIENT_GRACE_S, self._client_gone, client)

    def _client_lost(self) -> None:
        """The server gives a client up that lives: it was not heard for too long, or the server is a new one."""
        client = self.clients[-1]
        self._client_gone(client)
        self.clock.after(self.random.random() * 2, client.be_lost)

    def _client_gone(self, client: SimClient) -> None:
        self.peers.pop(client.host).close()
        self._step(ev.ClientGone(client.host))
        heir = self.clients[0]
        for session in client.sessions:
            if session.persistent:
                heir.adopt(session)
        known = {session.id for one in self.clients for session in one.sessions}
        for session_id, record in self.core.state.graph.sessions.items():
            if session_id not in known and record.client is None:
                # Its client died before it heard of it.
                heir.adopt(SimSession(session_id, self.random, record.on_failure, True))
        # What it had uploaded and never submitted goes with it; the real shell does that.
        for session in client.sessions:
            for id in (*session.graph.constants, *session.graph.functions, *session.graph.ephemeral):
                known = self.core.state.graph.sessions.get(session.id)
                if known is None or known.over or id.id not in known.uploads:
                    self.uploads.pop(f"upload-{id}", None)

    def _heal(self) -> None:
        self.network.heal()
        self.healed = True


def run_seed(seed: int, **options: Any) -> str:
    """Run one seed; the digest of its trace."""
    return World(seed, **options).run()
