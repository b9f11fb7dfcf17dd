"""What a pool on Ray asks Ray for, and what it does when actors fail: with a stand-in for Ray."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.deploy.frameworks.held import HeldState
from rain.deploy.frameworks.ray_places import RaySupplier, connect
from rain.deploy.pools.choice import supply_of
from rain.deploy.pools.supplier import JobState
from rain.net.sealing import Receiver

TOKEN = "rain1-very-secret"
P, R, E = JobState.PENDING, JobState.RUNNING, JobState.ENDED


class Ray:
    """Ray, as far as it is used; a test says what it does."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.actors: list[Actor] = []
        self.removed: list[Any] = []
        self.state = "CREATED"
        self.connected = True

    def placement_group(self, bundles: Any, strategy: str, **options: Any) -> int:
        self.groups.append({"bundles": bundles, "strategy": strategy, **options})
        return len(self.groups) - 1

    def table(self, group: int) -> dict[str, Any]:
        bundles = range(len(self.groups[group]["bundles"]))
        nodes = {i: f"node{group}{i}" for i in bundles}
        return {"state": self.state, "stats": {"scheduling_state": "NO_RESOURCES"}, "bundles_to_node_id": nodes}


class Actor:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.receiver = Receiver()
        self.token = ""
        self.state_told = HeldState(False, "", "", "")
        self.error: Exception | None = None
        self.is_slow = False
        self.is_killed = False

    def __getattr__(self, name: str) -> Any:
        return types.SimpleNamespace(remote=lambda *words: (self, name, words))

    def answer(self, name: str, words: Any) -> Any:
        if self.error is not None:
            raise self.error
        if name == "begin":
            self.token = self.receiver.unsealed(words[0])
        if name == "leave":
            self.state_told = HeldState(True, "LEFT", "h:1", "")
        return {"public": self.receiver.public, "state": self.state_told}.get(name)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    made = Ray()

    class Options:
        def __init__(self, options: dict[str, Any]) -> None:
            self.options = options

        def remote(self) -> Actor:
            made.actors.append(Actor(self.options))
            return made.actors[-1]

    def wait(references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return [one for one in references if not one[0].is_slow], []

    module: Any = types.ModuleType("ray")
    module.is_initialized = lambda: made.connected
    module.remote = lambda kind: types.SimpleNamespace(options=lambda **options: Options(options))
    module.wait = wait
    module.get = lambda reference: reference[0].answer(*reference[1:])
    module.kill = lambda actor: setattr(actor, "is_killed", True)
    groups: Any = types.ModuleType("ray.util.placement_group")
    groups.placement_group, groups.placement_group_table = made.placement_group, made.table
    groups.remove_placement_group = made.removed.append
    strategies: Any = types.ModuleType("ray.util.scheduling_strategies")
    strategies.PlacementGroupSchedulingStrategy = lambda **words: words
    for name, each in (
        ("ray", module), ("ray.util", types.ModuleType("ray.util")), ("ray.util.placement_group", groups),
        ("ray.util.scheduling_strategies", strategies),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, each)
    return made


def pool(ray: Ray, count: int) -> RaySupplier:
    made = RaySupplier("10.0.0.1:7210", TOKEN, cpus=2, gpus=1)
    for number in range(1, count + 1):
        made.ask(number)
    return made


def states(made: RaySupplier) -> list[JobState]:
    return [job.state for job in made.show([]).values()]


def test_places_that_are_asked_for_together_are_one_group_spread_strictly(ray: Ray) -> None:
    made = pool(ray, 2)
    assert states(made) == [R, R]
    assert ray.groups == [{"bundles": [{"CPU": 2, "GPU": 1}] * 2, "strategy": "STRICT_SPREAD"}]
    assert [actor.options["scheduling_strategy"]["placement_group_bundle_index"] for actor in ray.actors] == [0, 1]
    assert [actor.token for actor in ray.actors] == [TOKEN, TOKEN]
    made.ask(3)
    made.show([])
    assert ray.groups[1]["bundle_label_selector"] == [{"ray.io/node-id": "!in(node00,node01)"}]


def test_a_group_that_waits_says_why(ray: Ray) -> None:
    ray.state = "PENDING"
    made = pool(ray, 2)
    assert states(made) == [P, P]
    assert made.show([])["1"].reason == "Ray's placement group of 2 nodes: NO_RESOURCES"
    assert ray.actors == []


def test_what_ended_makes_room_in_its_group_and_the_group_goes_with_the_last(ray: Ray) -> None:
    made = pool(ray, 2)
    made.show([])
    ray.actors[0].error = RuntimeError("actor died")
    assert made.show([])["1"][:2] == (E, "ACTOR LOST")
    assert made.printed(1) == "RuntimeError: actor died"
    assert ray.removed == []
    made.ask(3)
    assert states(made) == [E, R, R]
    assert len(ray.groups) == 1
    assert ray.actors[2].options["scheduling_strategy"]["placement_group_bundle_index"] == 0
    made.give_up(["2", "3"])
    made.show([])
    assert states(made) == [E, E, E]
    assert ray.removed == [0]
    assert all(actor.is_killed for actor in ray.actors)


def test_the_death_of_a_governor_is_seen_and_a_slow_actor_is_waited_for(ray: Ray) -> None:
    made = pool(ray, 2)
    made.show([])
    ray.actors[0].state_told = HeldState(True, "SIGKILL", "h:1", "")
    ray.actors[1].is_slow = True
    assert made.show([])["1"][:2] == (E, "SIGKILL")
    assert made.show([])["2"].state is R


def test_an_actor_that_does_not_answer_at_first_ends_its_place(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Actor.__init__

    def slow(self: Actor, options: dict[str, Any]) -> None:
        original(self, options)
        self.is_slow = True

    monkeypatch.setattr(Actor, "__init__", slow)
    made = pool(ray, 1)
    assert made.show([])["1"][:2] == (E, "NOT STARTED")
    assert "has not answered within FRAMEWORK_STEP_S" in made.printed(1)


def test_without_a_connection_all_has_ended(ray: Ray) -> None:
    made = pool(ray, 1)
    made.show([])
    ray.connected = False
    assert made.show([])["1"][:2] == (E, "RAY LOST")
    made.tidy(keep=False)


def test_what_cannot_be_is_refused(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, text in (
        ({"cpus": 0}, "cpus of a place is a number of at least 1, not 0"),
        ({"gpus": -1}, "gpus of a place is a number of at least 0"),
        ({"memory": "much"}, "much"),
        ({"nodes": 2}, "places of 'ray' have no option 'nodes'"),
    ):
        with pytest.raises(RainException, match=text):
            supply_of("ray", **options)

    def refuse(**_: Any) -> None:
        raise ConnectionError("no cluster")

    ray.connected = False
    monkeypatch.setattr(sys.modules["ray"], "init", refuse, raising=False)
    with pytest.raises(RainException, match="cannot be connected to a Ray cluster at 'auto': no cluster"):
        connect("auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RainException, match="places on Ray need the library ray: pip install"):
        supply_of("ray")
