"""All workloads on all systems that are installed, in one run, as a table: how many times faster Rain is.

A system runs in this interpreter, or in another one named by ``--python dask=/path/to/venv/bin/python``.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODULES = {"rain": "rain", "stdlib": "concurrent.futures", "dask": "distributed", "ray": "ray"}
BENCHES = {"rain": ("rain", ""), "stdlib": ("stdlib", ""), "dask": ("dask", "tuned"), "ray": ("ray", "")}
WORKLOADS = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9"]
QUICK = {"W1": 1000, "W2": 100, "W3": 1024, "W4": 50, "W5": 64, "W6": 5000, "W7": 100, "W9": 2000}
# W5's parts under the names that the systems share.
SAME_PART = {"W5-bigdata-fetch(with make)": "W5-bigdata-fetch"}
TIMEOUT_S = 1800


def installed(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


def run(system: str, python: str, workload: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines that the bench of `system` printed for `workload`."""
    bench, variant = BENCHES[system]
    command = [python, str(HERE / f"bench_{bench}.py"), workload, "--repeat", str(options.repeat), "--variant", variant]
    if options.quick and workload in QUICK:
        command += ["--n", str(QUICK[workload])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"{system} {workload}: not finished within {TIMEOUT_S} s", file=sys.stderr)
        return []
    if done.returncode:
        print(f"{system} {workload} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return []
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def figure(line: dict[str, Any]) -> tuple[float, str]:
    """The number that the table shows for a line, and how it reads."""
    if "skipped" in line:
        return 0.0, "-"
    if "seconds" not in line:
        return line["server_mb_per_10k"], f"{line['client_mb_per_10k']:.1f} + {line['server_mb_per_10k']:.1f} MB"
    if line["n"] > 1:
        return line["seconds"], f"{line['per_task_us']:.0f} µs"
    return line["seconds"], f"{line['seconds'] * 1e3:.2f} ms"


def table(lines: list[dict[str, Any]], systems: list[str]) -> str:
    """A row a workload, a column a system; behind each peer how many times Rain's figure it is."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        name = SAME_PART.get(line["workload"], line["workload"])
        rows.setdefault(name, {})[line["system"].partition("-")[0]] = line
    head = ["workload", "n", *systems]
    body = []
    for name, by_system in rows.items():
        own = figure(by_system["rain"])[0] if "rain" in by_system else 0.0
        cells = [name, str(next(iter(by_system.values()))["n"])]
        for system in systems:
            number, text = figure(by_system.get(system, {"skipped": ""}))
            cells.append(text + (f" ({number / own:.1f}x)" if system != "rain" and own and number else ""))
        body.append(cells)
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *body]]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join(f"| {row} |" for row in [padded[0], rule, *padded[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(description="All benchmarks, Rain beside its peers, as a table.")
    parser.add_argument("workloads", nargs="*", type=str.upper, default=WORKLOADS, help="W1 to W9 (default: all)")
    parser.add_argument("--systems", default=",".join(MODULES), help="comma-separated (default: those installed)")
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH", help="interpreter of a system")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few tasks: whether it runs, not how fast")
    parser.add_argument("--json", type=Path, help="file that the lines are appended to")
    options = parser.parse_args()
    if wrong := set(options.workloads) - set(WORKLOADS):
        parser.error(f"unknown workloads: {', '.join(sorted(wrong))}")
    pythons = dict(entry.split("=", 1) for entry in options.python)
    asked = options.systems.split(",")
    if wrong := (set(asked) | set(pythons)) - set(MODULES):
        parser.error(f"unknown systems: {', '.join(sorted(wrong))}")
    systems = [name for name in asked if installed(pythons.get(name, sys.executable), MODULES[name])]
    lines = []
    for workload in options.workloads:
        for system in systems:
            for line in run(system, pythons.get(system, sys.executable), workload, options):
                print(json.dumps(line), flush=True)
                lines.append(line)
                if options.json:
                    with options.json.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    print(f"\n{platform.machine()}, Python {platform.python_version()}, Linux {platform.release()}\n")
    print(table(lines, systems))
    return 0


if __name__ == "__main__":
    sys.exit(main())
