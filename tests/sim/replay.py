"""Run seeds of the simulator outside pytest: ``python tests/sim/replay.py SEED [LAST] [--trace TEXT]``.

One seed prints its digest, or what went wrong; with ``--trace`` also each event and effect of the server's core whose
text contains TEXT (an id like ``1/17``; empty for all). Two numbers run a range and count.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import traceback
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.sim.world import World


def trace(world: World, wanted: str) -> None:
    """Print what goes in and out of the server's core."""

    def traced(event: Any, effects: list[Any]) -> None:
        if wanted in repr(event):
            print(f"{world.clock.now:9.4f} > {event!r}")
        for effect in effects:
            if type(effect).__name__ != "Happened" and wanted in repr(effect):
                print(f"            {effect!r}")

    world.server.traced = traced


def main() -> int:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("last", type=int, nargs="?")
    parser.add_argument("--trace")
    options = parser.parse_args()
    bad = 0
    for seed in range(options.seed, (options.last or options.seed) + 1):
        world = World(seed, digested=True)
        if options.trace is not None:
            trace(world, options.trace)
        try:
            print(seed, world.run())
        except Exception:
            bad += 1
            print(seed, "FAILED")
            traceback.print_exc()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
