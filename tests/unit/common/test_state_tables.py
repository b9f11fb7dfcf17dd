from __future__ import annotations

import enum
import os
import pathlib
import subprocess
import sys

import pytest

from rain.common.state_tables import StateTable, states, states_of_values

ROOT = pathlib.Path(__file__).parents[3]


class Light(enum.Enum):
    GREEN = "green"
    RED = "red"


LIGHTS = StateTable(
    Light,
    "Lights",
    {
        (None, Light.RED): "switched on",
        (Light.RED, Light.GREEN): "the road is free",
        (Light.GREEN, Light.RED): "a car comes",
        (Light.RED, None): "taken away",
    },
)


@states(light=LIGHTS)
class Slotted:
    __slots__ = ("light",)

    def __init__(self, light: Light) -> None:
        self.light = light


@states(light=LIGHTS)
class Plain:
    def __init__(self, light: Light) -> None:
        self.light = light


@states_of_values("lights", LIGHTS, lambda value: value[0])
class Crossing:
    __slots__ = ("lights",)

    def __init__(self) -> None:
        self.lights: dict[str, tuple[Light, str]] = {}


@pytest.mark.parametrize("kind", [Slotted, Plain])
def test_an_attribute_moves_along_arrows_only(kind: type[Slotted] | type[Plain]) -> None:
    with pytest.raises(AssertionError, match=r"Light\.GREEN"):
        kind(Light.GREEN)
    one = kind(Light.RED)
    one.light = Light.RED  # no change
    one.light = Light.GREEN
    assert one.light is Light.GREEN
    one.light = Light.RED
    assert kind(Light.RED) is not one


def test_what_the_table_lacks_is_refused_and_nothing_changes() -> None:
    class Odd(enum.Enum):
        A, B = "a", "b"

    @states(state=StateTable(Odd, "Odd", {(None, Odd.A): "made"}))
    class Record:
        __slots__ = ("state",)

    record = Record()
    assert not hasattr(record, "state")
    record.state = Odd.A
    with pytest.raises(AssertionError, match=r"from Odd\.A to Odd\.B: the table of Odd lacks that"):
        record.state = Odd.B
    assert record.state is Odd.A


def test_values_of_a_dict_move_along_arrows_only() -> None:
    lights = Crossing().lights
    with pytest.raises(AssertionError):
        lights["main"] = (Light.GREEN, "")
    lights["main"] = (Light.RED, "old lamp")
    lights["main"] = (Light.RED, "new lamp")
    lights["main"] = (Light.GREEN, "new lamp")
    with pytest.raises(AssertionError):
        lights.pop("main")
    lights["main"] = (Light.RED, "")
    assert lights.pop("main") == (Light.RED, "")
    assert lights.pop("main", None) is None
    lights["main"] = (Light.RED, "")
    del lights["main"]
    with pytest.raises(AssertionError, match="one by one"):
        lights.clear()


SUITE = """
import enum
from rain.common.state_tables import StateTable, states
from tests import arrows

class Door(enum.Enum):
    OPEN, SHUT = "open", "shut"

DOORS = StateTable(Door, "Doors", {(None, Door.OPEN): "made", (Door.OPEN, Door.SHUT): "shut"})
arrows.tables = lambda: [DOORS]

@states(state=DOORS)
class Room:
    def __init__(self):
        self.state = Door.OPEN

def test_open():
    Room()

def test_shut():
    Room().state = Door.SHUT
"""


def run_suite(folder: pathlib.Path, suite: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as if it were all that Rain has."""
    for name in ("unit", "sim", "integration"):
        folder.joinpath(name).mkdir(exist_ok=True)
    folder.joinpath("unit", "test_door.py").write_text(suite)
    folder.joinpath("conftest.py").write_text(
        "import pathlib\nfrom tests import arrows\narrows.HERE = pathlib.Path(__file__).parent\n"
        "def pytest_configure(config): config.pluginmanager.register(arrows.Arrows(config))\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # most of the time is plug-ins
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_whole_run_fails_when_no_test_takes_an_arrow(tmp_path: pathlib.Path) -> None:
    short = SUITE.replace("    Room().state = Door.SHUT", "    Room()")
    done = run_suite(tmp_path, short)
    assert done.returncode == 1, done.stdout
    assert "Door OPEN SHUT" in done.stdout
    assert "Door - OPEN" not in done.stdout


def test_a_whole_run_that_takes_all_passes_and_a_part_is_not_judged(tmp_path: pathlib.Path) -> None:
    assert run_suite(tmp_path, SUITE).returncode == 0
    assert run_suite(tmp_path, SUITE, "-k", "open").returncode == 0
