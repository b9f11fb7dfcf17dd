"""ruff, mypy and the import rules, as `make lint` runs them; mypy also on a user's script."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import lint

SCRIPT = Path(__file__).resolve().parent / "typing" / "user_script.py"
MYPY = "mypy"


@pytest.mark.parametrize("name", sorted(lint.CHECKS.keys() - {MYPY}))
def test_check(name: str) -> None:
    content, text = lint.run(name)
    assert content, text


def test_mypy(tmp_path: Path) -> None:
    """This repository; then a script that uses all that Rain offers, as users check theirs.

    That is with Rain as it is installed, and the strictest rules, but without the settings of this repository, those
    for single modules apart. So what mypy has just found of Rain's modules, and of libraries, it takes from its cache.
    """
    content, text = lint.run(MYPY)
    assert content, text
    script = tmp_path / SCRIPT.name
    script.write_text(SCRIPT.read_text())
    command = [sys.executable, "-m", MYPY, "--strict", "--python-executable", sys.executable]
    command += [f"--config-file={exceptions(tmp_path)}", f"--cache-dir={lint.ROOT / '.mypy_cache'}", str(script)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def exceptions(folder: Path) -> Path:
    """A file of settings that has only those of this repository's that are for single modules."""
    settings = tomllib.loads((lint.ROOT / "pyproject.toml").read_text())["tool"][MYPY]
    lines = ["[mypy]"]
    for override in settings["overrides"]:
        modules = override.pop("module")
        lines.append(f"[mypy-{modules if isinstance(modules, str) else ','.join(modules)}]")
        for name, value in override.items():
            lines.append(f"{name} = {','.join(value) if isinstance(value, list) else value}")
    made = folder / "exceptions.ini"
    made.write_text("\n".join(lines))
    return made
