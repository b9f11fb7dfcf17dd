"""The built front end is that of the present sources, is whole, small, licensed, and fetches nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import rain

STATIC = Path(rain.__file__).parent / "notebook" / "static"
FRONTEND = Path(rain.__file__).parent.parent / "frontend"
BUILT = ("app.js", "graphviz.js", "loader.js")

LOADER_BYTES_MAX = 4_000
APP_BYTES_MAX = 250_000
STATIC_BYTES_MAX = 1_700_000


def hashed(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sources() -> str:
    """The digest that `frontend/build.mjs` makes."""
    paths = [path for path in (FRONTEND / "src").rglob("*") if path.is_file() and not path.name.endswith(".test.ts")]
    names = [path.relative_to(FRONTEND).as_posix() for path in paths]
    whole = hashlib.sha256()
    for name in sorted([*names, "build.mjs", "graphviz.mjs", "licenses.txt", "package-lock.json", "tsconfig.json"]):
        whole.update(f"{name}\0{hashed(FRONTEND / name)}\n".encode())
    return whole.hexdigest()


def test_built_from_the_present_sources() -> None:
    built = json.loads((STATIC / "build.json").read_text())
    assert built["sources"] == sources(), "run `make frontend`"
    assert built["files"] == {name: hashed(STATIC / name) for name in BUILT}
    for name in BUILT:
        assert built["sources"] in (STATIC / name).read_text(encoding="utf-8")[:200]


def test_small() -> None:
    assert (STATIC / "loader.js").stat().st_size < LOADER_BYTES_MAX
    assert (STATIC / "app.js").stat().st_size < APP_BYTES_MAX
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < STATIC_BYTES_MAX


def test_licences_of_what_is_inside() -> None:
    text = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    version = json.loads((FRONTEND / "package-lock.json").read_text())["packages"][
        "node_modules/@hpcc-js/wasm-graphviz"
    ]
    assert f"@hpcc-js/wasm-graphviz {version['version']}" in text
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Eclipse Public License - v 1.0" in text
    assert "gitlab.com/graphviz/graphviz" in text
    assert "Expat maintainers" in text


@pytest.mark.parametrize("name", BUILT)
def test_nothing_is_fetched(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    for way in (r"\bfetch\(", "XMLHttpRequest", "importScripts", "WebSocket", "EventSource", "sendBeacon"):
        assert not re.search(way, text), way
    # The names of the XML namespaces and of the document type that Graphviz writes into SVG are no addresses.
    addresses = set(re.findall(r"(?:https?|wss?)://[^\s\"'`\\]+", text))
    assert all(address.startswith("http://www.w3.org/") for address in addresses), addresses


@pytest.mark.parametrize("name", ["app.js", "loader.js"])
def test_nothing_becomes_markup_or_program(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    assert not re.search(makers + r"|\beval\(|new Function", text)


def test_lock_names_no_other_registry() -> None:
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    places = [package["resolved"] for package in packages.values() if "resolved" in package]
    assert all(place.startswith("https://registry.npmjs.org/") for place in places)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources with what the build needs installed, where there is npm and a registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path / "frontend"
    shutil.copytree(FRONTEND, folder, ignore=shutil.ignore_patterns("node_modules", "out"))
    command = ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENOTCACHED", done.stderr):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(300)
def test_build_is_reproducible_and_its_tests_pass(copy: Path, tmp_path: Path) -> None:
    subprocess.run(["npx", "tsc", "--noEmit"], cwd=copy, check=True)
    subprocess.run(["node", "build.mjs", str(tmp_path / "static")], cwd=copy, check=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "static").iterdir()} == {
        path.name: path.read_bytes() for path in STATIC.iterdir()
    }
    done = subprocess.run(["npm", "test"], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
