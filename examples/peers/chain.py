from concurrent.futures import ProcessPoolExecutor


def step(x):
    return 3 * x + 1 if x % 2 else x // 2


def main(starts=6, steps=10):
    values = list(range(starts))
    with ProcessPoolExecutor() as pool:
        for _ in range(steps):
            values = list(pool.map(step, values))
    return values


if __name__ == "__main__":
    print(main())
