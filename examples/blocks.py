"""Multiply matrices by blocks; peer: dask.array."""

import numpy as np

import rain


@rain.task
def block(seed: int, row: int, column: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, row, column]).integers(0, 10, (size, size))


@rain.task
def sum_of_products(left: list[np.ndarray], right: list[np.ndarray]) -> np.ndarray:
    return sum(a @ b for a, b in zip(left, right, strict=True))


@rain.task
def trace(blocks: list[np.ndarray]) -> int:
    return int(sum(np.trace(one) for one in blocks))


def main(client: rain.Client, n: int = 3, size: int = 40) -> int:
    with client.new_session("blocks", default=True):
        a = [[block(1, i, j, size) for j in range(n)] for i in range(n)]
        b = [[block(2, i, j, size) for j in range(n)] for i in range(n)]
        diagonal = [sum_of_products(a[i], [b[j][i] for j in range(n)]) for i in range(n)]
        return trace(diagonal).result()


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
