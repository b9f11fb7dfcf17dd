import random
from concurrent.futures import ProcessPoolExecutor


def inside(seed, points):
    draw = random.Random(seed).random
    return sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(points))


def main(seeds=20, points=2000):
    with ProcessPoolExecutor() as pool:
        hits = sum(pool.map(inside, range(seeds), [points] * seeds))
    return 4 * hits / (seeds * points)


if __name__ == "__main__":
    print(main())
