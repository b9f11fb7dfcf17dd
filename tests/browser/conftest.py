"""One JupyterLab and one browser for all tests of this folder that a worker runs one after the other.

They end before it goes on to tests of another folder: while Playwright is at work an event loop runs in the main
thread, and other tests have their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.lab import Lab

HERE = Path(__file__).parent


class Labs:
    """The one that is running, if one is."""

    def __init__(self) -> None:
        self._running: Lab | None = None

    def get(self, folders: pytest.TempPathFactory) -> Lab:
        """It; a new one if there is none, or if its server has ended."""
        from tests.browser.lab import Lab

        if self._running is not None and self._running.ended:
            self.close()
        if self._running is None:
            self._running = Lab(folders.mktemp("lab"))
        return self._running

    def close(self) -> None:
        """End it."""
        lab, self._running = self._running, None
        if lab is not None:
            try:
                lab.close()
            finally:
                shutil.rmtree(lab.folder, ignore_errors=True)


LABS = pytest.StashKey[Labs]()


@pytest.fixture(scope="session")
def labs(request: pytest.FixtureRequest) -> Iterator[Labs]:
    found = request.config.stash[LABS] = Labs()
    yield found
    found.close()


@pytest.fixture
def lab(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    from tests.browser.lab import CHROMIUM

    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    return labs.get(tmp_path_factory)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Only for tests of this folder."""
    if LABS in item.config.stash and not (nextitem is not None and nextitem.path.is_relative_to(HERE)):
        item.config.stash[LABS].close()
