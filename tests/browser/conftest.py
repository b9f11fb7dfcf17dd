"""One JupyterLab and one browser for all tests here; a test fails if the console complained or a request left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.lab import Lab


@pytest.fixture(scope="session")
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
