"""Count words of many texts, by a tree of sums; peer: dask.bag."""

from collections import Counter

import rain

TEXTS = ["to be or not to be", "be that as it may", "not to worry", "may it be"]


@rain.task
def count(text: str) -> Counter[str]:
    return Counter(text.split())


@rain.task
def add(first: Counter[str], second: Counter[str]) -> Counter[str]:
    return first + second


def main(client: rain.Client) -> list[tuple[str, int]]:
    with client.new_session("words", default=True):
        counts = count.map(TEXTS)
        while len(counts) > 1:
            counts = [add(*counts[n : n + 2]) for n in range(0, len(counts), 2)]
        return sorted(counts[0].result().items())


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
