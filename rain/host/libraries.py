"""Versions of installed libraries that matter to what travels in pickles; none of them is imported.

They are read off the names of the folders that installers leave (``numpy-2.4.6.dist-info``): `importlib.metadata` takes
100 ms for the same where it is not imported yet, and a governor starts in less.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable

from rain.common.limits import VERSION_CHARS_MAX

LIBRARIES = {
    "cloudpickle": "cloudpickle",
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "torch": "torch",
    "jax": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "transformers": "transformers",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "statsmodels": "statsmodels",
    "numba": "numba",
    "xarray": "xarray",
    "dask": "dask",
    "geopandas": "geopandas",
    "shapely": "shapely",
    "astropy": "astropy",
    "networkx": "networkx",
    "sympy": "sympy",
    "matplotlib": "matplotlib",
    "PIL": "pillow",
    "h5py": "h5py",
    "pydantic": "pydantic",
    "attr": "attrs",
    "msgspec": "msgspec",
}
"""Modules of these libraries, and the names by which they are installed."""
_KINDS = ("dist-info", "egg-info")


def installed_versions(
    path: Iterable[str] | None = None, names: Collection[str] = tuple(LIBRARIES.values())
) -> dict[str, str]:
    """Which of these libraries are installed, and in which version.

    Parameters
    ----------
    path : iterable of str, optional
        Folders to look in, the first that has a library counts; `sys.path` if not given.
    names : collection of str
        Of the libraries, as installers know them.

    Returns
    -------
    dict of str to str
        In the order of `names`; of libraries that are not installed nothing.
    """
    wanted = {_normal(name): name for name in names}
    found: dict[str, str] = {}
    for folder in sys.path if path is None else path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:  # an archive, or nothing
            continue
        for entry in entries:
            stem, _, kind = entry.rpartition(".")
            if kind not in _KINDS:
                continue
            project, _, version = stem.partition("-")
            name = wanted.get(_normal(project))
            if name is not None and version:
                # numpy-1.26.4-py3.12.egg-info
                found.setdefault(name, version.partition("-py")[0][:VERSION_CHARS_MAX])
    return {name: found[name] for name in names if name in found}


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
