"""What README.md says works: its Python, its commands, its links; and the Python of docs/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import snippets

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "benchmarks" / "README.md",
    ROOT / "notebooks" / "data" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "SECURITY.md",
]
BLOCKS = snippets.blocks(README, "python")


@pytest.mark.parametrize(("line", "source"), BLOCKS, ids=[f"line{line}" for line, _ in BLOCKS])
def test_python(line: int, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    snippets.run(README, line, source, {"__name__": "__main__"})
    printed = capsys.readouterr().out
    # A comment behind a print says what it prints.
    for said in re.findall(r"^ *print\(.*\) +# (.*)$", source, re.MULTILINE):
        assert said in printed or not re.match(r"[\[\d'b]", said)


def test_the_first_commands_are_targets_of_make() -> None:
    commands = re.findall(r"^    (make [\w-]+)", README.read_text(), re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in commands:
        assert f"{command} " in listed or f"{command}\n" in listed


def rain_commands() -> list[str]:
    return sorted(set(re.findall(r"^    rain (\w+)", README.read_text(), re.MULTILINE)))


@pytest.mark.parametrize("command", rain_commands())
def test_rain_commands_exist(command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "rain", command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    for option in re.findall(rf"^    rain {command} .*?(--[\w-]+)", README.read_text(), re.MULTILINE):
        assert option in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert os.path.exists(page.parent / target), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_elsewhere_compiles(page: Path) -> None:
    for line, source in snippets.blocks(page, "python"):
        compile(source, f"{page.name}:{line}", "exec")
