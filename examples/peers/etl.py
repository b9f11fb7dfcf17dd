import dask
import numpy as np
import pandas as pd


@dask.delayed
def read(year):
    rng = np.random.default_rng(year)
    return pd.DataFrame({"year": year, "shop": rng.integers(0, 3, 200), "sales": rng.normal(100, 50, 200)})


@dask.delayed
def clean(table):
    return table[table.sales > 0]


@dask.delayed
def total(tables):
    return {int(shop): round(sales) for shop, sales in pd.concat(tables).groupby("shop").sales.sum().items()}


def main():
    return total([clean(read(year)) for year in range(2020, 2026)]).compute(scheduler="processes")


if __name__ == "__main__":
    print(main())
