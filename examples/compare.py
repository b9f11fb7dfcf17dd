"""Run each example and its peer, in processes of their own, and print lines and times as a table.

The time is that of the whole program in milliseconds, with the start of its cluster or pool: the median of `--repeat`
runs that take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "compare")

LIBRARIES = {
    "sklearn": "scikit-learn",
    "joblib": "joblib",
    "dask": "Dask",
    "asyncio": "asyncio",
    "concurrent.futures": "concurrent.futures",
}


def library(path: Path) -> str:
    """The library that a peer is written for."""
    text = path.read_text()
    return next(name for module, name in LIBRARIES.items() if f"import {module}" in text or f"from {module}" in text)


def lines(path: Path) -> int:
    """How many lines of code there are, without those that are empty, and without the first docstring."""
    return sum(bool(line.strip()) and not line.startswith('"""') for line in path.read_text().splitlines())


def run(path: Path) -> tuple[float, str]:
    """Seconds that a program took, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, done.stdout


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no example {', '.join(sorted(unknown))}")
    print("| example | beside | lines, Rain | peer | ms, Rain | peer | ratio |\n|---|---|---|---|---|---|---|")
    for name in options.names or NAMES:
        paths = HERE / f"{name}.py", HERE / "peers" / f"{name}.py"
        times: tuple[list[float], list[float]] = [], []
        for _ in range(options.repeat):
            printed = []
            for path, taken in zip(paths, times, strict=True):
                seconds, text = run(path)
                taken.append(seconds)
                printed.append(text)
            if printed[0] != printed[1]:
                print(f"{name}: Rain printed {printed[0]!r}, the peer {printed[1]!r}", file=sys.stderr)
                return 1
        own, peer = (statistics.median(taken) for taken in times)
        counts = " | ".join(str(lines(path)) for path in paths)
        print(
            f"| {name} | {library(paths[1])} | {counts} | {own * 1000:.0f} | {peer * 1000:.0f} | {own / peer:.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
