"""What all tests share: the `--soak` switch and the `needs` marker."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.arrows import Arrows

DEBIAN_PACKAGE = {"dot": "graphviz", "gcc": "gcc", "git": "git", "svm-train": "libsvm-tools"}
"""Which package to install for a program that a test needs; `tools/debian.sh` installs the same ones."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--arrows", action="store_true", help="name the arrows of states that these tests do not take")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Arrows(config), "arrows")
    # A shell that starts the suite in the background (``nohup make test &``) makes it ignore interrupts, and with it
    # what it starts; tests interrupt themselves and others.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program) is None:
                package = DEBIAN_PACKAGE.get(program, program)
                pytest.skip(f"needs {program} (Debian: apt-get install {package})")
