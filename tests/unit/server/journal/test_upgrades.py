"""Images of the state of a server of each version: a server of this one goes on from them.

`python -m tests.unit.server.journal.test_upgrades` writes that of the present version, which is done when a version is
released; those of released versions stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rain import __version__
from rain.common.states import TaskState
from rain.server.check import check_state
from rain.server.core.state import State
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.images.types import ImageError
from rain.server.journal.state_classes import codec
from tests.unit.server.rig import Rig

IMAGES = Path(__file__).parent / "states"
ADVICE = (
    "Say in rain/server/journal/state_classes.py what a server does that goes on from this image: ADDED gives a new "
    "attribute its value, MIGRATIONS say what becomes of one that is gone. As long as this version is not released: "
    "python -m tests.unit.server.journal.test_upgrades writes its image anew."
)


def present() -> State:
    """A state with something of most kinds: tasks in all states, governors, a task on both, kept objects."""
    rig = Rig(persistent=True)
    rig.governor("g1", cpus=2.0)
    rig.governor("g2", cpus=2.0)
    text = "first -> left right -> last; urgent[priority=5]; fails; gang[nodes=2, cpus=2]; large -> after"
    first, *_, fails, _, large, _ = rig.graph(text, keep="left large")
    rig.turn()
    rig.finish(first, large, large=True)
    rig.fail(fails)
    rig.turn()
    for task in list(rig.core.state.graph.governors["g1"].assigned):
        rig.start(task.spec)
    return rig.core.state


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.image")), ids=lambda path: path.stem)
def test_a_server_goes_on_from_the_image_of_this_version(path: Path) -> None:
    try:
        state = load(codec(), path.read_bytes())
    except ImageError as error:
        pytest.fail(f"{path.name}: {error}. {ADVICE}")
    assert isinstance(state, State)
    check_state(state)
    (session,) = state.graph.sessions.values()
    assert session.persistent
    assert {task.state for task in session.tasks.values()} >= {TaskState.RUNNING, TaskState.FAILED, TaskState.READY}


def test_there_is_an_image_of_this_version() -> None:
    assert (IMAGES / f"{__version__}.image").exists(), ADVICE


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{__version__}.image").write_bytes(dump(codec(), present()))
