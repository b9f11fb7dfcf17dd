"""Installs the plug-ins of this folder as pip would: a folder on ``sys.path`` with the package and its metadata."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rain.objects.content_types import registry

HERE = Path(__file__).parent
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install(package, entry_points, version="1.0")``: puts `package` and its entry points where Python finds them.

    `entry_points` is the text of ``entry_points.txt``. What was loaded of it is forgotten at the end.
    """
    before = set(sys.modules)

    def installed(package: str, entry_points: str, version: str = "1.0", source: str | None = None) -> Path:
        site = tmp_path / f"site-{package}-{version}"
        metadata = site / f"{package}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(entry_points)
        if source is None:
            shutil.copytree(HERE / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (site / f"{package}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        return site

    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    yield installed
    for name in set(sys.modules) - before:
        if name.startswith("rain_"):
            del sys.modules[name]
