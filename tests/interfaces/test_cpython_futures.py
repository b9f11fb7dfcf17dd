"""CPython's own tests of `concurrent.futures`, as far as they concern what every executor offers, run on Rain's.

They are taken from where they are: from the package ``test`` of this interpreter, else from Debian's package of the
test suite, which is downloaded if it is not installed and unpacked below a temporary folder.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rain import Client
from rain.interfaces.futures import RainFuture

WORKERS = 5
PACKAGE = f"libpython{sys.version_info[0]}.{sys.version_info[1]}-testsuite"

SELECTED = {
    "ExecutorTest": [
        "test_submit",
        "test_submit_keyword",
        "test_map",
        "test_map_exception",
        "test_map_timeout",
        "test_shutdown_race_issue12456",
        "test_no_stale_references",
        "test_free_reference",
    ],
    "ProcessPoolExecutorTest": ["test_map_chunksize"],
    "ExecutorShutdownTest": ["test_run_after_shutdown", "test_hang_issue12364", "test_cancel_futures"],
    "WaitTests": [
        "test_20369",
        "test_first_completed",
        "test_first_completed_some_already_completed",
        "test_first_exception",
        "test_first_exception_some_already_complete",
        "test_first_exception_one_already_failed",
        "test_all_completed",
        "test_timeout",
    ],
    "AsCompletedTests": [
        "test_no_timeout",
        "test_zero_timeout",
        "test_duplicate_futures",
        "test_free_reference_yielded_future",
        "test_correct_timeout_exception_msg",
    ],
    "FutureTests": [
        "test_done_callback_with_result",
        "test_done_callback_with_exception",
        "test_done_callback_with_cancel",
        "test_done_callback_raises",
        "test_done_callback_already_successful",
        "test_done_callback_already_failed",
        "test_done_callback_already_cancelled",
        "test_done_callback_raises_already_succeeded",
        "test_cancel",
        "test_cancelled",
        "test_done",
        "test_running",
        "test_result_with_timeout",
        "test_result_with_success",
        "test_result_with_cancel",
        "test_exception_with_timeout",
        "test_exception_with_success",
    ],
}
"""What concerns every executor. Left out is what looks into processes and threads of the two that CPython has: their
numbers, initializers, names, crashes, scripts that name them; and three that want the class to be named "Future"."""

FUTURES = {
    "PENDING_FUTURE": {"state": "PENDING"},
    "RUNNING_FUTURE": {"state": "RUNNING"},
    "CANCELLED_FUTURE": {"state": "CANCELLED"},
    "CANCELLED_AND_NOTIFIED_FUTURE": {"state": "CANCELLED_AND_NOTIFIED"},
    "EXCEPTION_FUTURE": {"state": "FINISHED", "exception": OSError()},
    "SUCCESSFUL_FUTURE": {"state": "FINISHED", "result": 42},
}
"""Those that the tests share: made anew, of Rain's class."""


class NoDispatcher:
    """Stands behind futures that no executor made."""

    def cancelled(self, future: RainFuture) -> None:
        pass


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module of CPython's tests, whose futures are Rain's."""
    folder = tmp_path_factory.mktemp("suite")
    file = found(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(file.parent))
        spec = importlib.util.spec_from_file_location("test_concurrent_futures", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        names: Any = module
        names.Future = functools.partial(RainFuture, NoDispatcher())
        for name, state in FUTURES.items():
            setattr(module, name, names.create_future(**state))
        yield module


def found(folder: Path) -> Path:
    """The file of CPython's tests."""
    own = importlib.util.find_spec("test")
    assert own is not None
    assert own.origin is not None
    name = "test_concurrent_futures.py"
    here = Path(own.origin).with_name(name)
    if here.exists():
        return here
    try:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"needs CPython's tests (Debian: apt-get install {PACKAGE}), which cannot be downloaded: {error}")
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)
    (file,) = folder.rglob(name)
    only = folder / "only"  # beside it lie modules that hide those of the interpreter
    only.mkdir()
    return file.rename(only / name)


@pytest.mark.soak
@pytest.mark.parametrize("name", SELECTED)
def test_what_concerns_every_executor(suite: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """N of N, without a skip."""
    monkeypatch.setattr(logging.root, "handlers", [])  # some read what is logged from stderr
    with Client.local(cpus=WORKERS) as client:
        base = getattr(suite, name)

        class Case(base, unittest.TestCase):  # type: ignore[misc]
            worker_count = WORKERS
            executor_type = staticmethod(lambda max_workers=None: client.executor())

            def setUp(self) -> None:
                self.executor = client.executor()

            def tearDown(self) -> None:
                self.executor.shutdown(wait=True)
                del self.executor

        result = unittest.TestResult()
        unittest.TestSuite(Case(test) for test in SELECTED[name]).run(result)
    assert not (result.errors + result.failures), "\n".join(text for _, text in result.errors + result.failures)
    assert (result.testsRun, result.skipped) == (len(SELECTED[name]), [])
