import numpy as np
from joblib import Parallel, delayed


def median_of_resample(data, seed):
    rng = np.random.default_rng(seed)
    return float(np.median(rng.choice(data, len(data))))


def main(resamples=40):
    data = np.random.default_rng(1).normal(10, 2, 5000)
    medians = Parallel(n_jobs=2)(delayed(median_of_resample)(data, seed) for seed in range(resamples))
    return round(float(np.std(medians)), 6)


if __name__ == "__main__":
    print(main())
