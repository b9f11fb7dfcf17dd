import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def fit_and_judge(x, y, fold):
    train = np.arange(len(y)) % 3 != fold
    model = LogisticRegression(max_iter=500).fit(x[train], y[train])
    return float(model.score(x[~train], y[~train]))


def main():
    x, y = load_iris(return_X_y=True)
    scores = Parallel(n_jobs=2)(delayed(fit_and_judge)(x, y, fold) for fold in range(3))
    return round(float(np.mean(scores)), 6)


if __name__ == "__main__":
    print(main())
