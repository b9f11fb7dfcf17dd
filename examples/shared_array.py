"""Many tasks read one large array, which is there once; peer: joblib, which maps it by itself."""

import numpy as np

import rain


@rain.task
def column_mean(table: np.ndarray, column: int) -> float:
    return float(table[:, column].mean())


def main(client: rain.Client, rows: int = 100_000, columns: int = 10) -> float:
    table = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    with client.new_session("shared array", default=True):
        shared = rain.pickled(table)
        return sum(task.result() for task in [column_mean(shared, n) for n in range(columns)])


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
