"""One simulated run: a server, governors, clients, faults; all of it follows from a seed."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline, Replica, replicas_of
from rain.common.protocol import messages as m
from rain.common.spec import TaskSpec
from rain.common.states import SETTLED
from rain.server.check import check, check_idle
from rain.server.core.reporting.explain import explain_task
from rain.server.policy_loading import ChosenPolicy, choose_policy
from rain.server.states import ANNOUNCED, STALE
from tests.sim.client import SimClient
from tests.sim.faults import Faults
from tests.sim.governor import SimGovernor
from tests.sim.left_stores import LeftStore
from tests.sim.network import SERVER, Clock, Network
from tests.sim.pool import SimPool
from tests.sim.server import SimServer

HEAL_S = 5.0
END_S = 200.0
CALLS_MAX = 100_000
WRAP_UP_CALLS = 12
"""After so many calls the clients are asked each time whether they have come to their end."""
RAINS_OWN = choose_policy()


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
    digested : bool
        Whether `run` returns a digest of all that was said, which costs a fiftieth.
    """

    def __init__(
        self,
        seed: int,
        *,
        tasks_max: int = 10,
        checks: bool = True,
        quiet_steps: bool = False,
        policy: ChosenPolicy = RAINS_OWN,
        digested: bool = False,
    ) -> None:
        self.seed = seed
        self.random = random = Random(seed)
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
            digested=digested,
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
        self.stores = 0
        self.inherited = 0
        self.came_again = 0
        self.kills: Counter[ID] = Counter()
        self.awaited = 0  # how often an executor came to a task with an input that one before it was to make
        self.losses = 0
        self.deaths = 0
        self.departures = 0
        self.objects_lost = 0
        self.previews_kept = 0
        self.cuts = 0 if calm else 1  # fetches that fail may lead to things being made again
        self.long_cut = False
        self.produced: dict[ID, bytes] = {}
        self.server = SimServer(self, policy)
        self.governors: list[SimGovernor] = []
        for number in range(random.choice([1, 2, 2, 3, 4])):
            cpus = float(random.choice([1, 2, 4]))
            self.new_governor(f"g{number}:1", {"cpus": cpus, **({"gpus": 1.0} if random.random() < 0.5 else {})})
        self.first = [governor.resources for governor in self.governors]
        self.ever = list(self.first)
        self.faults = Faults(self)
        self.clients = [SimClient(self, f"client{number}:1") for number in range(random.choice([1, 1, 2]))]
        if not calm:
            self.faults.plan()
        self.server.plan_deaths()
        self.clock.after(HEAL_S, self._heal)
        if seed % 4 == 1:
            self.pool = SimPool(self)

    # -- running --------------------------------------------------------------------------------

    def run(self) -> str:
        """Run to the end; the digest of all that was said, if there is one.

        Raises
        ------
        AssertionError
            If anything is not as promised.
        """
        finished = False
        calls = 0
        while self.clock.now < END_S and calls < CALLS_MAX:
            made = self.clock.run(WRAP_UP_CALLS)
            calls += made
            finished = self.healed and self._all_closed() and self._at_rest()
            if finished or made < WRAP_UP_CALLS:
                break
        if not finished:
            raise AssertionError(self._stuck())
        check_idle(self.server.core)
        server = self.server
        server.drop_what_was_not_submitted()
        assert not server.uploads, f"uploads are left: {server.uploads}"
        assert server.process.pools.keys() == server.core.state.pools.keys(), "keys of pools are left"
        return "" if self.network.digest is None else self.network.digest.hexdigest()

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
        known = {governor.side.conversation for governor in self.governors if governor.side is not None}
        return self.healed and self.server.steady and known == set(self.server.process.governors)

    def _all_closed(self) -> bool:
        closed = [client.wrap_up() for client in self.clients]
        return all(closed) and self.server.alive and not self.server.core.state.graph.sessions

    def _at_rest(self) -> bool:
        if any(governor.dropping for governor in self.server.core.state.graph.governors.values()):
            return False
        for governor in self.governors:
            load = governor.core.load()
            if governor.store or governor.executors or any(load[name] for name in ("tasks", "objects", "executors")):
                return False
        return True

    def _stuck(self) -> str:
        lines = [f"after {END_S} s not all has come to its end:"]
        graph = self.server.core.state.graph
        for session in graph.sessions.values():
            lines.append(f"{session} {session.state.value} {session.end_reason} at {list(session.governors)}")
            lines += [explain_task(self.server.core.state, task) for task in session.tasks.values() if task.unsettled]
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

    def new_governor(self, host: str, resources: dict[str, float], left: LeftStore | None = None) -> None:
        self.governors.append(SimGovernor(self, host, resources, left))

    def _heal(self) -> None:
        self.network.heal()
        self.healed = True

    # -- what others see ------------------------------------------------------------------------

    def machine_of(self, host: str) -> str:
        """Governors of one number stay on one machine; two of them share one."""
        return "shared" if host[:2] in ("g0", "g1") and self.seed % 3 == 0 else host.partition(":")[0]

    def read(self, reader: str, place: Replica, id: ID) -> bytes | None:
        """What a transfer from a place would bring."""
        if place.address == SERVER and not self.server.alive:
            return None
        if place.address == SERVER:
            found = self.server.core.object_data(id)
            if found is None:
                return None
            if isinstance(found.location, Inline):
                return found.location.data
            file = next((held.file for held in found.location.replicas if held.address == SERVER), None)
            return None if file is None else self.server.uploads.get(file.path)
        governor = next((one for one in self.governors if one.alive and one.host == place.address), None)
        if governor is None or not self.network.reachable(reader, place.address):
            return None
        held = governor.store.get(id)
        if held is not None and id in governor.unread and not governor.is_whole(id):
            self.clock.after(0.0, governor.compare_asked, id)
            return None
        return None if held is None else held[0]

    def holders(self, reader: str, id: ID) -> set[str]:
        """Where the server knows that an object is, as far as a transfer from there would bring it."""
        found = self.server.core.object_data(id)
        places = [] if found is None else replicas_of(found.location)
        return {place.address for place in places if self.read(reader, place, id) is not None}

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
        session = self.server.core.state.graph.sessions.get(id.session_id)
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
        check(self.server.core)
        for governor in self.governors:
            governor.core.check()
            record = self.server.core.state.graph.governors.get(governor.host)
            if record is None:  # it has just come, or has just left
                continue
            known = {obj.id for obj in record.objects}
            held = [obj.id for obj, replica in record.objects.items() if replica not in (ANNOUNCED, STALE)]
            gone = [id for id in held if id.session_id == session_id and id not in governor.store]
            assert not gone, f"{governor.host} does not have what the server thinks that it has: {gone}"
            left = [id for id in governor.store if id.session_id == session_id and id not in known]
            assert not left, f"{governor.host} holds what nobody needs: {left}"
            assert not any(task.id.session_id == session_id for task in record.assigned), record.assigned
            assert not any(id.session_id == session_id for id, _ in record.stopping), record.stopping
            assert not any(id.session_id == session_id for id in record.dropping), record.dropping


def run_seed(seed: int, **options: Any) -> str:
    """Run one seed; the digest of its trace, if it is `digested`."""
    return World(seed, **options).run()
