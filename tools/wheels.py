"""Builds what is published, and tries it in fresh environments: python tools/wheels.py [PYTHON …]

An sdist and a wheel are built of the tracked files, and another wheel of the sdist, which has to be the same. Then, for
each Python from 3.11 to 3.14 that is found here (on PATH, of pyenv, or named), a wheelhouse is filled from the index,
and environments are made that see nothing else: one with the wheel and all of its extras, one with the sdist alone.
`tools/smoke.py` runs in each. What was built is in build/wheels; the exit status is 1 if something does not work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "wheels"
EXTRAS = "arrow,notebook,fast"
MINORS = (11, 12, 13, 14)
SETUPTOOLS = "setuptools>=77"


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints; its words are shown if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


# -- building ----------------------------------------------------------------------------------------


def tracked(folder: Path) -> None:
    """Copy the files that git knows, as they are now."""
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def built(python: Path, folder: Path, kind: str) -> Path:
    """An sdist or wheel of the sources in `folder`."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    name = run(python, "-c", code, BUILD, cwd=folder).splitlines()[-1]
    return BUILD / name


def content(wheel: Path) -> dict[str, bytes]:
    """What a wheel holds, but for the list of it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def build(builder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    with tempfile.TemporaryDirectory(prefix="rain-wheels-") as name:
        tree, unpacked = Path(name, "tree"), Path(name, "unpacked")
        tracked(tree)
        sdist = built(builder, tree, "sdist")
        wheel = built(builder, tree, "wheel")
        of_tree = content(wheel)
        wheel.unlink()
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked, filter="data")
        (sources,) = unpacked.iterdir()
        wheel = built(builder, sources, "wheel")
    of_sdist = content(wheel)
    if of_tree != of_sdist:
        differ = sorted(name for name in of_tree | of_sdist if of_tree.get(name) != of_sdist.get(name))
        raise SystemExit(f"the wheel of the sdist is not that of the tree: {', '.join(differ[:20])}")
    return sdist, wheel


# -- interpreters ------------------------------------------------------------------------------------


def version_of(python: Path) -> tuple[int, ...]:
    """The version of an interpreter; () if it cannot be run."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ()
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def interpreters(named: Iterable[str]) -> dict[int, Path]:
    """One for each minor version, those that were named first."""
    candidates = [Path(name) for name in named]
    candidates += [Path(found) for minor in MINORS if (found := shutil.which(f"python3.{minor}"))]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += sorted(versions.glob("3.*/bin/python"), reverse=True)
    candidates.append(Path(sys.executable))
    found: dict[int, Path] = {}
    for python in candidates:
        version = version_of(python)
        if version[:1] == (3,) and version[1] in MINORS:
            found.setdefault(version[1], python)
    return found


# -- trying ------------------------------------------------------------------------------------------


def environment(python: Path, folder: Path) -> Path:
    """A new virtual environment, without anything in it; gives its interpreter."""
    run(python, "-m", "venv", "--clear", "--without-pip", folder)
    return folder / "bin" / "python"


def try_on(builder: Path, python: Path, sdist: Path, wheel: Path) -> None:
    """Fill a wheelhouse, install from it alone, and run the smoke script."""
    with tempfile.TemporaryDirectory(prefix="rain-wheels-") as name:
        folder = Path(name)
        house, empty = folder / "wheelhouse", folder / "empty"
        empty.mkdir()
        shutil.copy(ROOT / "tools" / "smoke.py", empty)

        def pip(where: Path, *words: object) -> None:
            run(builder, "-m", "pip", "--python", where, "-q", "--disable-pip-version-check", *words, cwd=empty)

        whole = environment(python, folder / "whole")
        pip(whole, "download", "-d", house, f"{wheel}[{EXTRAS}]", SETUPTOOLS)
        pip(whole, "install", "--no-index", "--find-links", house, f"rain[{EXTRAS}]")
        print("  wheel, extras:", run(whole, "smoke.py", cwd=empty).splitlines()[-1], flush=True)
        bare = environment(python, folder / "bare")
        pip(bare, "install", "--no-index", "--find-links", house, sdist)
        shutil.rmtree(empty)
        empty.mkdir()
        shutil.copy(ROOT / "tools" / "smoke.py", empty)
        print("  sdist, alone: ", run(bare, "smoke.py", "--bare", cwd=empty).splitlines()[-1], flush=True)


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    builder = BUILD / "builder" / "bin" / "python"
    run(sys.executable, "-m", "venv", BUILD / "builder")
    run(builder, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade", "pip>=25", SETUPTOOLS)
    sdist, wheel = build(builder)
    print(f"{sdist.name}, {wheel.name} ({wheel.stat().st_size / 1e6:.2f} MB): the same from the sdist", flush=True)
    found = interpreters(sys.argv[1:])
    for minor in MINORS:
        if minor in found:
            print(f"Python {'.'.join(map(str, version_of(found[minor])))}, {found[minor]}", flush=True)
            try_on(builder, found[minor], sdist, wheel)
        else:
            print(f"Python 3.{minor} was not found; name one: make test-wheels PYTHONS=/path/to/python3.{minor}")
    print(f"{len(found)} passed, 0 failed, {len(MINORS) - len(found)} skipped")


if __name__ == "__main__":
    main()
