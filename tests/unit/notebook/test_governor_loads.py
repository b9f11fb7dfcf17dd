"""What is shown of a governor's load."""

from __future__ import annotations

from typing import Any

import pytest

from rain.notebook.governor_loads import governor_of

GOVERNOR: dict[str, Any] = {
    "id": "a",
    "cpus": 4.0,
    "resources": {"cpus": 4.0, "gpus": 2.0},
    "tasks": 9,
    "objects": 3,
    "load": {
        "gpus_used": 1,
        "disk_bytes": 0,
        "load": 2,
        "memory_bytes": 1e6,
        "memory_max_bytes": 4e6,
        "inline_bytes": 10,
        "executors": 3,
        "executors_running": 2,
        "tasks_ready": 0,
        "fan": 1.234,
        "objects": 3,
    },
}


def test_work_that_was_sent_ahead_uses_no_cpus() -> None:
    assert governor_of(GOVERNOR).measures[0].text == "4 of 4"
    assert governor_of({**GOVERNOR, "tasks": 1}).measures[0].text == "1 of 4"


def test_what_is_known_has_a_name_a_unit_and_its_place_and_the_rest_is_shown_as_it_is() -> None:
    found = governor_of(GOVERNOR)
    assert [f"{one.label}: {one.text}" for one in found.measures] == [
        "cpus in use: 4 of 4",
        "gpus: 1 of 2",
        "load: 2.00",
        "store in memory: 976.6 KiB of 3.8 MiB",
        "store on disk: 0 bytes",
        "small results: 10 bytes",
        "executors: 3, 2 at work",
        "fan: 1.23",
    ]
    assert [one.share for one in found.measures[1:4]] == [0.5, 0.5, 0.25]
    assert found.brief.text == "50 % of 4 cpus \u00b7 9 tasks"
    load = {"memory_percent": 50, "host_max_bytes": 8e9, "host_used_bytes": 4e9}
    host = governor_of({**GOVERNOR, "load": load})
    assert next(one.text for one in host.measures if one.key == "memory") == "3.7 GiB of 7.5 GiB"


def test_load_of_ours_and_of_others_are_told_apart() -> None:
    load = {"cpu_percent": 62.5, "own_cpus": 2.0, "host_cpus": 8.0}
    measures = {one.key: one for one in governor_of({**GOVERNOR, "load": load}).measures}
    assert measures["cpu"].text == "62 %, 25 % by Rain"
    assert (measures["cpu"].share, measures["cpu"].ours) == (0.625, 0.25)
    assert "own_cpus" not in measures, "it is told once"
    busy = governor_of({**GOVERNOR, "load": {**load, "own_cpus": 7.0}}).measures
    assert next(one.ours for one in busy if one.key == "cpu") == 0.625, "not more than there is"
    old = {one.key: one for one in governor_of({**GOVERNOR, "load": {"cpu_percent": 62.5, "own_cpus": 2.0}}).measures}
    assert (old["cpu"].text, old["cpu"].ours, old["own_cpus"].text) == ("62 %", None, "2")


@pytest.mark.parametrize(
    ("changes", "processor", "memory"),
    [
        ({}, 0.5, None),
        ({"load": {"cpu_percent": 25}}, 0.25, None),
        ({"load": {"cpu": 0.25}}, 0.25, None),
        ({"load": {}, "tasks": 1}, 0.25, None),
        ({"load": {}, "cpus": 0.0}, 0.0, None),
        ({"load": {"memory_percent": 150, "cpu": float("nan")}}, 0.0, 1.0),
    ],
)
def test_how_busy_from_the_best_that_is_there(changes: dict[str, Any], processor: float, memory: float | None) -> None:
    found = governor_of({**GOVERNOR, **changes})
    assert (found.processor, found.memory) == (processor, memory)
