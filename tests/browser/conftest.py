"""One JupyterLab and one browser for each file of tests.

Not for all of them: while Playwright is at work an event loop runs in the main thread, and other tests have their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    from tests.browser.lab import CHROMIUM, Lab

    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    found = Lab(tmp_path_factory.mktemp("lab"))
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(found.folder, ignore_errors=True)
