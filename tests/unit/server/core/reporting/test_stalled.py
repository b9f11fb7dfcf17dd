"""Sessions in which nothing can run are told so after a while; what makes that up is told in explanations too."""

from __future__ import annotations

from rain.common.limits import STALLED_S
from rain.common.protocol import messages as m
from rain.server.core import events as ev
from tests.unit.server.rig import Rig


def _told(rig: Rig) -> list[str]:
    return [said.stalled for said in rig.to_client if isinstance(said, m.SessionUpdate) and said.stalled is not None]


def _pass_by(rig: Rig, seconds: float) -> None:
    for _ in range(round(seconds)):
        rig.now += 1
        rig.step(ev.Tick())
        rig.turn()


def test_without_a_governor_a_session_hears_what_to_do_once_and_when_it_is_over() -> None:
    rig = Rig()
    _pass_by(rig, 30)
    assert _told(rig) == [], "a session with nothing to do does not wait"
    task = rig.task()
    rig.submit(task)
    _pass_by(rig, STALLED_S)
    assert _told(rig) == []
    _pass_by(rig, 30)
    (text,) = _told(rig)
    assert "1 task of session 1 'test' cannot go on: no governor is here" in text
    assert "`rain governor server:1`" in text
    rig.governor()
    _pass_by(rig, 1)
    assert _told(rig) == [text, ""]
    rig.finish(task)
    _pass_by(rig, 30)
    assert _told(rig) == [text, ""]


def test_a_lost_governor_is_named_and_one_that_comes_back_soon_is_no_news() -> None:
    rig = Rig()
    rig.governor()
    task = rig.task()
    rig.submit(task)
    rig.turn()
    rig.gone("g1")
    _pass_by(rig, STALLED_S - 1)
    rig.governor()
    _pass_by(rig, 5)
    assert _told(rig) == []
    rig.gone("g1")
    _pass_by(rig, STALLED_S + 2)
    assert "the last one, g1, was lost" in _told(rig)[0]
    assert "silence" in _told(rig)[0]
    answer = rig.ask(m.Explain, task.id)
    assert (
        "Nothing can run: no governor is here (the last one, g1, was lost 10 s ago: silence)" in answer.values["text"]
    )


def test_what_fits_nowhere_and_waits_for_more_governors_is_told() -> None:
    rig = Rig()
    rig.ask(m.ExpectGovernors, 2)
    rig.governor()
    small, large = rig.task(), rig.task(resources={"cpus": 1.0, "gpus": 4.0})
    rig.submit(small, large)
    _pass_by(rig, STALLED_S + 2)
    assert _told(rig) == [], "the small one runs"
    rig.finish(small)
    _pass_by(rig, STALLED_S + 2)
    (text,) = _told(rig)
    assert "4 gpus, which none of the 1 governors here has. 2 governors are expected" in text
    rig.governor("g2", cpus=1.0, gpus=4.0)
    _pass_by(rig, 1)
    assert _told(rig) == [text, ""]


def test_whoever_attaches_hears_it_anew() -> None:
    rig = Rig(persistent=True)
    rig.submit(rig.task())
    _pass_by(rig, STALLED_S + 2)
    rig.step(ev.ClientJoined("other"))
    rig.ask(m.Attach, rig.session, client="other")
    _pass_by(rig, STALLED_S + 2)
    assert len(_told(rig)) == 2
