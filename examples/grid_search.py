"""scikit-learn's grid search on Rain's cpus; peer: joblib with loky, which is scikit-learn's own."""

import joblib
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

import rain


def main(client: rain.Client) -> float:
    x, y = load_iris(return_X_y=True)
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3, 4]}, cv=3, n_jobs=-1)
    with joblib.parallel_config("rain"):
        search.fit(x, y)
    return round(float(search.best_score_), 6)


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
