"""Makes the environments of ``make test-jupyters``: servers of several versions, a kernel in an environment of its own,
and other programs that show notebooks.

Usage: ``python tools/jupyters.py`` in an environment with Rain's tests. Below ``<environment>/jupyters`` it makes

* ``kernel``: Rain from a wheel of this clone with its extra ``notebook``, as ``pip install`` gives it to users;
* one for each version of JupyterLab, with the Notebook that is built of it: neither Rain nor ipywidgets are in it;
* ``marimo`` and ``voila``: these, and Rain from the same wheel;
* ``front-ends``: what a server must have so that ipywidgets and anywidget are live, found by ``JUPYTER_PATH``.

What is there and was made for the same requirements stays, but the wheel, which is made anew.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(sys.prefix) / "jupyters"
SERVERS = {
    "4.4": ("jupyterlab==4.4.*", "notebook==7.4.*"),
    "4.5": ("jupyterlab==4.5.*", "notebook==7.5.*"),
    "4.6": ("jupyterlab==4.6.*", "notebook==7.6.*"),
}
OTHERS = {"marimo": ("marimo==0.25.2",), "voila": ("voila==0.5.13",)}
FRONT_ENDS = ("jupyterlab_widgets==3.0.*", "anywidget==0.9.18")
"""An anywidget that is older than the kernel's."""


def main() -> int:
    for name, requirements in {**SERVERS, **OTHERS, "kernel": ()}.items():
        _environment(name, requirements)
    with tempfile.TemporaryDirectory() as copy:  # setuptools leaves folders in what it builds from
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, copy)
        shutil.copytree(ROOT / "rain", Path(copy, "rain"), ignore=shutil.ignore_patterns("__pycache__"))
        _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", copy, copy)
        (wheel,) = Path(copy).glob("*.whl")
        for name in ("kernel", *OTHERS):
            python = str(FOLDER / name / "bin" / "python")
            _pip(python, "install", f"{wheel}[notebook]")
            _pip(python, "install", "--no-deps", "--force-reinstall", str(wheel))
    front_ends = FOLDER / "front-ends"
    if _is_new(front_ends, FRONT_ENDS):
        _pip(sys.executable, "install", "--no-deps", "--ignore-installed", "--prefix", str(front_ends), *FRONT_ENDS)
        _note(front_ends, FRONT_ENDS)
    return 0


def _environment(name: str, requirements: tuple[str, ...]) -> None:
    folder = FOLDER / name
    if not _is_new(folder, requirements):
        return
    print(f"Making {folder} with {', '.join(requirements) or 'nothing'} ...", flush=True)
    venv.create(folder, with_pip=True)
    if requirements:
        _pip(str(folder / "bin" / "python"), "install", *requirements)
    _note(folder, requirements)


def _is_new(folder: Path, requirements: tuple[str, ...]) -> bool:
    """Whether it has to be made; what is left of another one is removed."""
    note = folder / "made-for"
    if note.is_file() and note.read_text() == "\n".join(requirements):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _note(folder: Path, requirements: tuple[str, ...]) -> None:
    (folder / "made-for").write_text("\n".join(requirements))


def _pip(python: str, *words: str) -> None:
    subprocess.run([python, "-m", "pip", "-qq", "--disable-pip-version-check", *words], check=True)


if __name__ == "__main__":
    sys.exit(main())
