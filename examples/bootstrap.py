"""The spread of a median, from resamples of an array that is sent once; peer: joblib."""

import numpy as np

import rain


@rain.task
def median_of_resample(data: np.ndarray, seed: int) -> float:
    rng = np.random.default_rng(seed)
    return float(np.median(rng.choice(data, len(data))))


def main(client: rain.Client, resamples: int = 40) -> float:
    data = np.random.default_rng(1).normal(10, 2, 5000)
    with client.new_session("bootstrap", default=True):
        shared = rain.pickled(data)
        tasks = [median_of_resample(shared, seed) for seed in range(resamples)]
        return round(float(np.std([task.result() for task in tasks])), 6)


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
