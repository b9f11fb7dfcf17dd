import numpy as np
from joblib import Parallel, delayed


def column_mean(table, column):
    return float(table[:, column].mean())


def main(rows=100_000, columns=10):
    table = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    return sum(Parallel(n_jobs=2)(delayed(column_mean)(table, n) for n in range(columns)))


if __name__ == "__main__":
    print(main())
