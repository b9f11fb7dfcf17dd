"""Estimate pi by throwing points; peer: concurrent.futures."""

import random

import rain


@rain.task
def inside(seed: int, points: int) -> int:
    draw = random.Random(seed).random
    return sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(points))


def main(client: rain.Client, seeds: int = 20, points: int = 2000) -> float:
    with client.new_session("pi", default=True):
        hits = sum(task.result() for task in inside.map(range(seeds), [points] * seeds))
    return 4 * hits / (seeds * points)


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
