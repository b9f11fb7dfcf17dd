"""What happens next in a `World`, drawn from a source of chance (`random.Random`, or Hypothesis' imitation of it)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from rain.common.ids import ID
from rain.common.location import Inline, Replica, Replicas
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskOptions
from rain.governor.core import events as ev
from tests.unit.governor.core.world import World

KINDS = ["py/", "py/", "py/", "builtin/execute", "builtin/concat", "cpp/run"]
RESOURCES: list[dict[str, float]] = [
    {"cpus": 1},
    {"cpus": 1},
    {"cpus": 1},
    {"cpus": 0.5},
    {"cpus": 2},
    {},
    {"cpus": 0.1, "gpus": 0.5},
    {"gpus": 2},
]
OPTIONS = [
    None,
    None,
    None,
    TaskOptions(timeout=0.5),
    TaskOptions(rerun="never"),
    TaskOptions(fresh=True),
    TaskOptions(env={"A": "b"}),
]
FAILURES = [None, None, None, TaskError("exception", "no"), TaskError("cancelled", "interrupted")]


class Play:
    """One world and the chance that moves it."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.world = World({"cpus": chance.choice([1, 2, 4]), "gpus": 2})
        self.moves: list[tuple[Callable[[], None], int]] = [
            (self.assign, 12),
            (self.assign_family, 5),
            (self.turn, 20),
            (self.results, 20),
            (self.seen, 8),
            (self.answer, 8),
            (self.cancel, 4),
            (self.take_back, 4),
            (self.drop, 4),
            (self.repeat_an_assignment, 2),
            (self.newer_attempt, 2),
            (self.tell_again_of_an_object, 2),
            (self.preview_ends, 6),
            (self.crash, 3),
            (self.killed_one_exits, 8),
            (self.builtin_ends, 8),
            (self.fetch_ends, 8),
            (self.object_moves_or_is_lost, 3),
            (self.time_goes_by, 6),
            (self.end_session, 1),
            (self.server_gone, 1),
        ]

    def run(self, steps: int) -> None:
        """Make `steps` moves, then come to rest."""
        moves, weights = [move for move, _ in self.moves], [weight for _, weight in self.moves]
        for _ in range(steps):
            self.chance.choices(moves, weights)[0]()
        self.world.come_to_rest()

    def _some(self, items: list[tuple[ID, int]], most: int) -> list[tuple[ID, int]]:
        return self.chance.sample(items, min(self.chance.randint(1, most), len(items)))

    # -- the server

    def assign(self) -> None:
        world, chance = self.world, self.chance
        kind, resources, options = chance.choice(KINDS), chance.choice(RESOURCES), chance.choice(OPTIONS)
        if any(amount > world.total[name] for name, amount in resources.items()):
            resources = {"cpus": 1}
        for _ in range(chance.randint(1, 12)):
            known = [id for id in world.held if id.session_id == world.session]
            known += [o.id for a in world.open.values() for o in a.outputs if o.id.session_id == world.session]
            inputs = [chance.choice(sorted(known)) for _ in range(chance.randint(0, 2)) if known]
            objects = []
            if chance.random() < 0.3:
                new = self._new_object()
                inputs.append(new.spec.id)
                objects.append(new)
            function = None
            if kind == "py/":
                function = ID(world.session, 0)
                if function not in world.held:
                    objects.append(m.ObjectData(ObjectSpec(function), ObjectInfo(), Inline(b"f")))
            world.assign(inputs, objects, kind, resources, options, function, chance.randint(0, 3))

    def assign_family(self) -> None:
        world, chance = self.world, self.chance
        resources = chance.choice([{"cpus": 1}, {"cpus": 0.5}])
        function = ID(world.session, 0)
        objects = [self._new_object()] if chance.random() < 0.3 else []
        if function not in world.held:
            objects.append(m.ObjectData(ObjectSpec(function), ObjectInfo(), Inline(b"f")))
        count, options = chance.choice([1, 3, 6, 12, 40]), chance.choice(OPTIONS)
        world.assign_family(count, objects, resources, options, function, chance.randint(0, 3))

    def _new_object(self) -> m.ObjectData:
        world = self.world
        world.next_id += 1
        spec = ObjectSpec(ID(world.session, world.next_id - 1))
        if self.chance.random() < 0.5:
            return m.ObjectData(spec, ObjectInfo(), Inline(b"bytes"))
        return m.ObjectData(spec, ObjectInfo(), Replicas([Replica("10.0.0.1:1", "host")]))

    def turn(self) -> None:
        self.world.turn()

    def tell_again_of_an_object(self) -> None:
        held = [id for id in self.world.held if id.session_id == self.world.session]
        if held:
            id = self.chance.choice(sorted(held))
            places = [Replica("10.0.0.2:1", "host")]
            self.world.server(m.Assign([], [m.ObjectData(ObjectSpec(id), ObjectInfo(), Replicas(places))]))

    def cancel(self) -> None:
        attempts = self._some(sorted(self.world.open), 4)
        if self.chance.random() < 0.1:
            attempts.append((ID(self.world.session, 10**6), 1))
        self.world.cancel(attempts)

    def take_back(self) -> None:
        self.world.take_back(self._some(sorted(self.world.open), 12))

    def drop(self) -> None:
        held = sorted(self.world.held)
        self.world.drop(self.chance.sample(held, min(3, len(held))))

    def repeat_an_assignment(self) -> None:
        self.world.turn()  # an attempt that has ended must be known to have
        attempts = sorted(set(self.world.open) - set(self.world.cancelled) - self.world.asked_back)
        if attempts:
            self.world.server(m.Assign([self.world.open[self.chance.choice(attempts)]], []))

    def newer_attempt(self) -> None:
        attempts = [attempt for attempt in sorted(self.world.open) if not self.world.cancelled[attempt]]
        if attempts:
            self.world.supersede(self.chance.choice(attempts))

    def end_session(self) -> None:
        self.world.end_session()

    def server_gone(self) -> None:
        chance = self.chance
        if chance.random() < 0.3:
            self.world.server_gone()
            meanwhile = (self.results, self.answer, self.seen, self.crash, self.killed_one_exits, self.builtin_ends,
                         self.fetch_ends, self.object_moves_or_is_lost, self.time_goes_by, self.turn)  # fmt: skip
            for _ in range(chance.choice([0, 0, 3, 10])):
                chance.choice(meanwhile)()
            self.world.registers(chance.choice([0, 0, 1, 5]))

    # -- executors

    def _living(self) -> list[int]:
        return [id for id, executor in self.world.executors.items() if not executor.killed]

    def results(self) -> None:
        busy = [id for id in self._living() if self.world.executors[id].queue]
        if busy:
            stale = self.chance.random() < 0.05
            count = self.chance.randint(1, 30)
            self.world.executor_reports(self.chance.choice(busy), count, self.chance.choice(FAILURES), stale=stale)

    def answer(self) -> None:
        asked = [id for id in self._living() if self.world.executors[id].recalls]
        if asked:
            self.world.executor_answers(self.chance.choice(asked))

    def seen(self) -> None:
        living = self._living()
        if living:
            id = self.chance.choice(living)
            self.world.step(ev.ExecutorSeen(id, self.world.executors[id].begin()))
            if self.chance.random() < 0.05:
                self.world.step(ev.OverMemory(id, 10**9))

    def preview_ends(self) -> None:
        making = [id for id in self._living() if self.world.executors[id].preview is not None]
        if making:
            answers = [m.OwnPreview(ID(0, 0), b"seen"), m.OwnPreview(ID(0, 0)), m.OwnPreview(ID(0, 0), given_up=True)]
            self.world.preview_ends(self.chance.choice(making), self.chance.choice(answers))

    def crash(self) -> None:
        living = self._living()
        if living:
            id = self.chance.choice(living)
            if self.chance.random() < 0.7:
                self.world.executors[id].begin()
            self.world.executor_exits(id)

    def killed_one_exits(self) -> None:
        killed = sorted(set(self.world.executors) - set(self._living()))
        if killed:
            id = self.chance.choice(killed)
            if self.chance.random() < 0.3 and self.world.executors[id].queue:
                self.world.executor_reports(id, 1, None, stale=False)
            self.world.executor_exits(id)

    # -- the rest

    def builtin_ends(self) -> None:
        if self.world.builtins:
            self.world.builtin_ends(self.chance.choice(sorted(self.world.builtins)), self.chance.choice(FAILURES))

    def fetch_ends(self) -> None:
        if self.world.fetching:
            self.world.fetch_ends(self.chance.choice(sorted(self.world.fetching)), self.chance.random() < 0.7)

    def object_moves_or_is_lost(self) -> None:
        if not self.world.store:
            return
        id = self.chance.choice(sorted(self.world.store))
        if self.chance.random() < 0.7:
            self.world.step(ev.ObjectMoved(id, m.LocalFile("/disk/x", 1, 1, 1)))
        elif id not in self.world.in_use():
            self.world.store.discard(id)
            self.world.step(ev.ObjectLost(id, "corrupt"))

    def time_goes_by(self) -> None:
        self.world.now += self.chance.choice([0.001, 0.05, 1.5, 100])
        self.world.step(ev.Tick())
