"""How soon the first look at a result shows its value: where the executor that made it has made its preview, and where
it is made on demand.

    python benchmarks/first_look.py [--repeat 9]

Prints one JSON line for each kind of value, in milliseconds: ``resting`` when the look comes a moment after the task
has ended, ``on_demand`` when previews were off at the submit; ``cold`` is the first look of a session of the latter
kind, whose executor is started for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from rain import Client, Session, remote

REST_S = 2.0


def text(ctx: Any) -> Any:
    return {"name": "x" * 50, "values": list(range(20))}


def array(ctx: Any) -> Any:
    import numpy

    return numpy.arange(1_000_000, dtype="f8").reshape(1000, 1000)


def frame(ctx: Any) -> Any:
    import pandas

    return pandas.DataFrame({"a": range(1000), "b": [0.5] * 1000, "c": list(map(str, range(1000)))})


def figure(ctx: Any) -> Any:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4, 3))
    drawn.subplots().plot(range(50))
    return drawn


KINDS: dict[str, Callable[..., Any]] = {"dict": text, "array": array, "frame": frame, "figure": figure}


def looks(session: Session, made: Callable[..., Any], previews: bool, repeat: int) -> list[float]:
    """Milliseconds of the first looks at new results."""
    run = remote(made, auto_encode="pickle")
    found = []
    for _ in range(repeat):
        session.previews = previews
        task = run()
        task.output.keep()
        session.submit()
        task.wait()
        time.sleep(REST_S)
        session.previews = True
        start = time.perf_counter()
        session._preview(task.output)
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9)
    repeat = parser.parse_args().repeat
    with Client.local(cpus=2) as client:
        for kind, made in KINDS.items():
            with client.new_session(kind) as session:
                cold, *on_demand = looks(session, made, False, repeat + 1)
                resting = looks(session, made, True, repeat)
            medians = {"resting": statistics.median(resting), "on_demand": statistics.median(on_demand), "cold": cold}
            print(json.dumps({"value": kind, **{name: round(value, 1) for name, value in medians.items()}}), flush=True)


if __name__ == "__main__":
    main()
