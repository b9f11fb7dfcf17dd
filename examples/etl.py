"""Read tables, clean each, join what is left, and sum by key; peer: dask.delayed."""

import numpy as np
import pandas as pd

import rain


@rain.task
def read(year: int) -> pd.DataFrame:
    rng = np.random.default_rng(year)
    return pd.DataFrame({"year": year, "shop": rng.integers(0, 3, 200), "sales": rng.normal(100, 50, 200)})


@rain.task
def clean(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.sales > 0]


@rain.task
def total(tables: list[pd.DataFrame]) -> dict[int, int]:
    return {int(shop): round(sales) for shop, sales in pd.concat(tables).groupby("shop").sales.sum().items()}


def main(client: rain.Client) -> dict[int, int]:
    with client.new_session("etl", default=True):
        return total([clean(read(year)) for year in range(2020, 2026)]).result()


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
