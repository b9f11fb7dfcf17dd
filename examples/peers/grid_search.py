from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier


def main():
    x, y = load_iris(return_X_y=True)
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3, 4]}, cv=3, n_jobs=2)
    search.fit(x, y)
    return round(float(search.best_score_), 6)


if __name__ == "__main__":
    print(main())
