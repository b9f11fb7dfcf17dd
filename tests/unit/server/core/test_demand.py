"""Places that pools may bring: what fits only there waits for them; and how much work there is for them."""

from __future__ import annotations

import pytest

from rain.common.limits import GOVERNOR_LOST_S, PLACES_MAX, STALLED_S
from rain.common.protocol import messages as m
from rain.server.core import events as ev
from tests.unit.server.rig import Rig

GPU = {"cpus": 1.0, "gpus": 1.0}
OFFER = m.Offer("slurm", {"cpus": 4.0, "gpus": 1.0}, 50, "2 asked for, pending (Resources)")
WAITS = "waits for a place of slurm with 4 cpus, 1 gpus: 2 asked for, pending (Resources)"


def _offer(rig: Rig, *offers: m.Offer) -> None:
    assert isinstance(rig.ask(m.OfferPlaces, list(offers)), m.Done)
    rig.turn()


def test_what_fits_an_offered_place_waits_says_so_and_runs_when_it_is_there() -> None:
    rig = Rig()
    rig.governor()
    _offer(rig, OFFER)
    task = rig.task(resources=GPU)
    rig.submit(task)
    rig.turn()
    assert rig.state(task) == "ready"
    text = rig.ask(m.Explain, task.id).values["text"]
    assert f"asks for 1 cpus, 1 gpus, which no governor here has, and {WAITS}." in text
    for _ in range(round(STALLED_S) + 2):
        rig.now += 1
        rig.step(ev.Tick())
        rig.turn()
    told = [said.stalled for said in rig.to_client if isinstance(said, m.SessionUpdate) and said.stalled]
    assert len(told) == 1
    assert told[0].startswith("1 task of session 1 'test' cannot go on: ")
    assert WAITS in told[0]
    rig.governor("g2", cpus=4.0, gpus=1.0)
    rig.turn()
    assert rig.where(task) == ("g2", 1)


def test_without_any_governor_the_place_is_named_too() -> None:
    rig = Rig()
    _offer(rig, OFFER)
    task = rig.task(resources=GPU)
    rig.submit(task)
    rig.turn()
    assert WAITS in rig.ask(m.Explain, task.id).values["text"]


def test_what_runs_here_and_could_run_there_names_both() -> None:
    rig = Rig()
    rig.governor(cpus=1.0)
    _offer(rig, OFFER)
    tasks = [rig.task(priority=0) for _ in range(20)]
    rig.submit(*tasks)
    rig.turn()
    text = rig.ask(m.Explain, tasks[-1].id).values["text"]
    assert "waits for room on a governor" in text
    assert "or on a place of slurm" in text


@pytest.mark.parametrize("end", ["withdrawn", "gone", "other", "none left"])
def test_what_waited_for_places_fails_when_they_are_withdrawn(end: str) -> None:
    rig = Rig()
    rig.governor()
    rig.step(ev.ClientJoined("other"))
    assert isinstance(rig.ask(m.OfferPlaces, [OFFER], client="other"), m.Done)
    task = rig.task(resources=GPU)
    rig.submit(task)
    rig.turn()
    assert rig.state(task) == "ready"
    if end == "gone":
        rig.step(ev.ClientGone("other"))
    else:
        smaller = {
            "withdrawn": [],
            "other": [m.Offer("slurm", {"cpus": 4.0}, 9)],
            "none left": [m.Offer("slurm", GPU, 0)],
        }[end]
        rig.ask(m.OfferPlaces, smaller, client="other")
    rig.turn()
    assert rig.state(task) == "failed"
    error = rig.error(task)
    assert error.kind == "resources"
    assert "asks for 1 cpus, 1 gpus, and no governor can ever hold it. The largest of the 1 here, g1, has" in (
        error.message
    )
    assert ("a place of slurm has 4 cpus." in error.message) == (end == "other")


def test_what_fits_neither_fails_and_lists_what_there_is() -> None:
    rig = Rig()
    rig.governor()
    _offer(rig, OFFER)
    task = rig.task(resources={"cpus": 1.0, "gpus": 8.0})
    rig.submit(task)
    rig.turn()
    assert rig.error(task).message.endswith(
        "The largest of the 1 here, g1, has 2 cpus. Of what pools may bring, a place of slurm has 4 cpus, 1 gpus."
    )


def test_a_place_that_was_lost_is_waited_for_as_long_as_it_is_offered() -> None:
    rig = Rig()
    _offer(rig, OFFER)
    rig.governor()
    rig.governor("g2", cpus=4.0, gpus=1.0)
    task = rig.task(resources=GPU)
    rig.submit(task)
    rig.turn()
    rig.gone("g2")
    rig.now += GOVERNOR_LOST_S + 1
    rig.step(ev.Tick())
    rig.turn()
    assert rig.state(task) == "ready"
    _offer(rig)
    assert rig.state(task) == "failed"


@pytest.mark.parametrize(
    "offer",
    [
        m.Offer("slurm", {"cpus": -1.0}, 1),
        m.Offer("slurm", {"cpus": float("nan")}, 1),
        m.Offer("slurm", {}, -1),
        m.Offer("slurm", {}, PLACES_MAX + 1),
        m.Offer("x" * 5000, {}, 1),
        m.Offer("slurm", {f"r{n}": 1.0 for n in range(100)}, 1),
    ],
)
def test_offers_that_mean_nothing_are_refused(offer: m.Offer) -> None:
    rig = Rig()
    assert isinstance(rig.ask(m.OfferPlaces, [offer]), m.Failed)


def test_demand_is_told_by_what_it_asks_for_with_what_is_known_of_it() -> None:
    rig = Rig()
    rig.governor(cpus=1.0)
    _offer(rig, OFFER)
    function = rig.constant()
    known = [rig.task(kind="py/", function=function) for _ in range(4)]
    rig.submit(known[0])
    rig.turn()
    rig.finish(known[0], seconds=2.0)
    gpu = rig.task(resources=GPU)
    after = rig.task(gpu.outputs[0], resources=GPU)
    rig.submit(*known[1:], gpu, after)
    rig.turn()
    demand = rig.ask(m.GetDemand)
    cpu, with_gpu = sorted(demand.needs, key=lambda need: len(need.resources))
    assert cpu.resources == {"cpus": 1.0}
    assert (cpu.waiting + cpu.assigned, cpu.waiting_unknown, cpu.assigned_unknown) == (3, 0, 0)
    assert cpu.waiting_s + cpu.assigned_s == pytest.approx(6.0, abs=0.01)
    assert (with_gpu.waiting, with_gpu.waiting_unknown, with_gpu.waiting_s) == (1, 1, 0.0), "one waits for the other"
    (governor,) = demand.governors
    assert (governor.id, governor.resources, governor.tasks) == ("g1", {"cpus": 1.0}, cpu.assigned)
    assert governor.given == 1 + cpu.assigned
    assert not governor.leaves
    rig.ask(m.Cancel, rig.session, None)
    rig.turn()
    assert rig.ask(m.GetDemand).needs == []
