import dask.array
import numpy as np


def block(seed, row, column, size):
    return np.random.default_rng([seed, row, column]).integers(0, 10, (size, size))


def matrix(seed, n, size):
    rows = [
        [dask.array.from_delayed(dask.delayed(block)(seed, i, j, size), (size, size), int) for j in range(n)]
        for i in range(n)
    ]
    return dask.array.block(rows)


def main(n=3, size=40):
    product = matrix(1, n, size) @ matrix(2, n, size)
    return int(dask.array.trace(product).compute(scheduler="processes"))


if __name__ == "__main__":
    print(main())
