"""What `pip install` brings: the wheel's content, and that it works where a folder is called `rain`, too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import rain

ROOT = Path(__file__).resolve().parent.parent
WHEEL_BYTES_MAX = 2 << 20
LICENCES = "LICENSES.txt"
"""Of what is inside the browser's part."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because setuptools leaves folders in what it builds from."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "rain", folder / "rain", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "-w", folder, folder], check=True, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < WHEEL_BYTES_MAX


def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rain").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != LICENCES
    }
    assert packed == wanted
    assert {"rain/py.typed", "rain/notebook/static/app.js"} <= packed
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (licences,) = (name for name in names if name.endswith(LICENCES))  # once, where installers look for it
    assert ".dist-info/licenses/" in licences


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert rain.__version__ == project["version"] == changes[0]
    assert re.fullmatch(r"\d+\.\d+\.\d+", rain.__version__)


@pytest.fixture
def above(tmp_path: Path) -> Path:
    """A folder with a folder `rain` in it that has no module, as a clone has none at its top."""
    (tmp_path / "rain").mkdir()
    (tmp_path / "rain" / "README.md").touch()
    return tmp_path


def python(folder: Path, *arguments: str) -> str:
    """What the interpreter prints in `folder`; it finds Rain as it is installed, by no help of these tests."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rain_is_imported_above_a_clone(above: Path) -> None:
    assert python(above, "-c", "import rain; print(rain.__file__)").strip() == str(ROOT / "rain" / "__init__.py")


CLUSTER = """
from rain import Client, remote

@remote(auto_encode="json")
def add(ctx, a, b):
    return a + b

if __name__ == "__main__":
    with Client.local(cpus=1) as client, client.new_session() as session:
        print(session.run(add(1, 2)))
"""


def test_a_cluster_is_started_above_a_clone(above: Path) -> None:
    assert python(above, "-c", CLUSTER) == "3\n"


def test_modules_of_the_current_folder_do_not_stand_in_for_libraries(above: Path, tmp_path: Path) -> None:
    """Only the script's folder is on its path; and not what a process of Rain finds where it is started."""
    for name in ("tornado", "msgspec", "selectors", "rain"):
        (above / f"{name}.py").write_text("raise SystemExit('a wrong module')")
    script = tmp_path / "scripts" / "script.py"
    script.parent.mkdir()
    script.write_text(CLUSTER)
    assert python(above, str(script)) == "3\n"
