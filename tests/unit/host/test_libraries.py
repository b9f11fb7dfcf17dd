"""Which versions of libraries are installed, by the folders that installers leave."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from rain.common.limits import LIBRARIES_MAX, VERSION_CHARS_MAX
from rain.host.libraries import LIBRARIES, installed_versions


def test_what_is_installed_is_what_importlib_says() -> None:
    told = installed_versions()
    assert told["numpy"] == importlib.metadata.version("numpy")
    assert told["cloudpickle"] == importlib.metadata.version("cloudpickle")
    assert "pandas" in told, "it is a library of the tests"


def test_the_first_folder_counts(tmp_path: Path) -> None:
    for folder, name in [
        ("a", "scikit_learn-1.9.1.dist-info"),
        ("a", "numpy-1.26.4-py3.12.egg-info"),
        ("a", "torch-2.1.0+cu121.dist-info"),
        ("a", "numpydoc-1.5.dist-info"),
        ("a", "polars.dist-info"),
        ("a", "pillow-9.0"),
        ("b", "numpy-9.dist-info"),
        ("b", "jax-" + "1" * 100 + ".dist-info"),
        ("b", "SymPy-1.0.dist-info"),
    ]:
        (tmp_path / folder / name).mkdir(parents=True)
    path = [str(tmp_path / name) for name in ("archive.zip", "a", "b")]
    assert installed_versions(path) == {
        "numpy": "1.26.4",
        "scikit-learn": "1.9.1",
        "torch": "2.1.0+cu121",
        "jax": "1" * VERSION_CHARS_MAX,
        "sympy": "1.0",
    }
    assert installed_versions(path, ["numpydoc"]) == {"numpydoc": "1.5"}


def test_there_is_room_for_all() -> None:
    assert len(LIBRARIES) <= LIBRARIES_MAX
