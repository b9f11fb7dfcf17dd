"""An interface whose library is missing or too old says what to install."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rain.interfaces.needed import needed

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_missing_library_is_named_with_what_brings_it() -> None:
    text = "import sys; sys.modules['dask'] = None\nimport rain\nrain.dask_get\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: rain.dask_get needs Dask 2025.1 or newer (")
    assert last.endswith("): pip install 'rain[collections]'")


def test_an_old_library_is_named_too() -> None:
    told = r"^x needs Y 2 \(cannot import name .*\): pip install 'rain\[z\]'"
    with pytest.raises(ImportError, match=told), needed("x", "Y 2", "z"):
        from sys import not_there  # type: ignore[attr-defined] # noqa: F401


def test_the_site_is_made_with_the_libraries_of_the_interfaces_that_it_documents() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (rain,) = (one for one in extras["docs"] if one.startswith("rain["))
    assert {"collections", "joblib", "notebook"} <= set(rain.removeprefix("rain[").removesuffix("]").split(","))
    assert {"collections", "joblib"} <= extras.keys()
