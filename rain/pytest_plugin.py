"""What tests of code that uses Rain need: a cluster and sessions as fixtures, failures that show the user's frames.

pytest loads it by itself where Rain is installed; ``-p no:rain`` turns it off. It imports Rain when a test asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rain import Client, Session

_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def pytest_addoption(parser: pytest.Parser) -> None:
    """``rain_cpus`` in pytest's configuration, and ``--rain-cpus``."""
    text = "cpus of the cluster that the fixture rain_client starts"
    parser.addini("rain_cpus", text, default="2")
    parser.getgroup("rain").addoption("--rain-cpus", metavar="N", help=text)


@pytest.fixture(scope="session")
def rain_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A private cluster on this machine, the same for all tests of a process; it ends with them."""
    from rain import Client

    config = request.config
    with Client.local(cpus=config.getoption("rain_cpus") or config.getini("rain_cpus")) as client:
        yield client


@pytest.fixture
def rain_session(rain_client: Client, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session for one test, in which tasks are made; what the test leaves ends with it."""
    with rain_client.new_session(request.node.name) as session:
        yield session


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Leave Rain's own frames out of the traceback of an error that Rain raised: what is left are the test's, and below
    them the error with the frames of the task."""
    found = call.excinfo
    errors = sys.modules.get("rain.common.errors")
    if found is None or errors is None or not isinstance(found.value, (errors.RainException, TimeoutError)):
        return
    kept = [(tb.tb_frame, tb.tb_lasti, tb.tb_lineno) for tb in _parts(found.tb) if not _is_own(tb)]
    shorter: TracebackType | None = None
    for frame, instruction, line in reversed(kept):
        shorter = TracebackType(shorter, frame, instruction, line)
    if shorter is not None:
        call.excinfo = pytest.ExceptionInfo.from_exception(found.value.with_traceback(shorter))


def _parts(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_own(part: TracebackType) -> bool:
    return part.tb_frame.f_code.co_filename.startswith(_FOLDER)
