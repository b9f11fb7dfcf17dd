"""Versions of libraries: kept with the governor, told to all clients."""

from __future__ import annotations

from rain.common.limits import LIBRARIES_MAX, VERSION_CHARS_MAX
from rain.common.protocol import messages as m
from rain.server.core import effects as do
from rain.server.core import events as ev
from tests.unit.server.rig import Rig


def told(effects: list[do.Effect]) -> dict[str, list[m.GovernorLibraries]]:
    """What clients are told by these effects."""
    return {
        effect.client_id: effect.message.governors
        for effect in effects
        if isinstance(effect, do.ToClient) and isinstance(effect.message, m.LibrariesThere)
    }


def test_all_clients_are_told_also_those_that_come_later() -> None:
    rig = Rig()
    rig.step(ev.ClientJoined("other"))
    rig.governor("g1:1", host="far")
    rig.governor("g2:1", host="near")
    here = m.GovernorLibraries("g1:1", "far", {"numpy": "2.4.6"})
    assert told(rig.step(ev.GovernorSaid("g1:1", m.Libraries({"numpy": "2.4.6"})))) == {"c": [here], "other": [here]}
    assert told(rig.step(ev.ClientJoined("late"))) == {"late": [here]}
    info = rig.ask(m.GetServerInfo)
    assert [(one.governor_id, one.versions) for one in info.governors] == [("g1:1", {"numpy": "2.4.6"}), ("g2:1", {})]
    rig.gone("g1:1")
    assert told(rig.step(ev.ClientJoined("last"))) == {}


def test_what_a_governor_tells_is_bounded() -> None:
    rig = Rig()
    rig.governor("g1:1")
    many = {f"{number}" + "n" * 1000: "v" * 1000 for number in range(1000)}
    rig.step(ev.GovernorSaid("g1:1", m.Libraries(many)))
    (governor,) = rig.ask(m.GetServerInfo).governors
    assert len(governor.versions) == LIBRARIES_MAX
    assert {len(text) for pair in governor.versions.items() for text in pair} == {VERSION_CHARS_MAX}
