import dask.bag

TEXTS = ["to be or not to be", "be that as it may", "not to worry", "may it be"]


def main():
    words = dask.bag.from_sequence(TEXTS, npartitions=4).str.split().flatten()
    return sorted(words.frequencies(split_every=2).compute(scheduler="processes"))


if __name__ == "__main__":
    print(main())
