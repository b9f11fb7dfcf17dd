"""What all tests share: the `--soak` switch, the `needs` marker, the order of a run, and what it leaves behind."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.arrows import Arrows
from tests.support.collecting import places, turned
from tests.support.dealing import dealt
from tests.support.isolation import isolate
from tests.support.leftovers import Leftovers
from tests.support.processes import Marked
from tests.support.waiting import until
from tools import light_imports as light_imports

HERE = Path(__file__).parent

DEBIAN_PACKAGE = {"dot": "graphviz", "gcc": "gcc", "git": "git", "svm-train": "libsvm-tools"}
"""Which package to install for a program that a test needs; `tools/debian.sh` installs the same ones."""

SWITCHES = ("soak", "engines", "jupyters", "ray")
ALL = pytest.StashKey[bool]()
"""Whether all tests are collected, and not those that a command line names."""

# How long an example takes tells how busy the machine is, and nothing of Rain.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--engines", action="store_true", help="also run the tests on real batch systems")
    parser.addoption("--jupyters", action="store_true", help="also run the tests in versions of Jupyter, marimo, Voilà")
    parser.addoption("--ray", action="store_true", help="also run the tests on a real Ray cluster")
    parser.addoption("--arrows", action="store_true", help="name the arrows of states that these tests do not take")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Arrows(config), "arrows")
    # A shell that starts the suite in the background (``nohup make test &``) makes it ignore interrupts, and with it
    # what it starts; tests interrupt themselves and others.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Leftovers())


@pytest.fixture(scope="session", autouse=True)
def _worker_is_isolated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    if hasattr(request.config, "workerinput"):
        isolate(tmp_path_factory.getbasetemp())
    # Records of pools stay after their processes; a user's own are no test's business.
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    """Marks what the test starts; at the end of the test nothing of it may live."""
    found = Marked()
    monkeypatch.setenv(found.mark, "1")
    yield found
    until(lambda: not found.processes(), f"all processes gone; there are {found.processes()}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: more than there are cpus, because many tests wait for other processes, or for a timer.

    Tests that start clusters wait two thirds of their time, so that four workers leave a sixth of two cpus idle; each
    further one costs five seconds of a cpu for collecting.
    """
    return len(os.sched_getaffinity(0)) + 4


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Say in which order a worker collects all tests.

    What is collected stays to the end: the collector of garbage need not look through it, now or later.
    """
    config = session.config
    if config.stash.setdefault(ALL, [config.invocation_params.dir / name for name in config.args] == [HERE]):
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        engines = any(config.getoption(f"--{name}") for name in ("soak", "engines", "ray"))
        found = places(HERE, lambda folder: folder.name != "engines" or engines)
        config.args = [str(path) for path in turned(found, worker, _workers())]
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def _workers() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[ALL]:
        items.sort(key=lambda item: item.path)  # those of one file stay in their order
    unasked = [name for name in SWITCHES if not config.getoption(f"--{name}")]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        unwanted = set(left_out)
        items[:] = [item for item in items if item not in unwanted]
    items[:] = dealt(items, _workers())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program) is None:
                package = DEBIAN_PACKAGE.get(program, program)
                pytest.skip(f"needs {program} (Debian: apt-get install {package})")
