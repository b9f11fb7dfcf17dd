"""K-fold cross-validation of classifiers on the Iris data: Python functions and ordinary programs in one graph.

::

    iris.csv -> convert -> sort -R -> split -> fold 0 … k-1
    for each classifier and fold:  the other folds -> Concat -> train -> model;  model + fold -> predict -> score

Run it with ``make demo``, or ``python examples/cross_validation.py --help``. Without ``--server`` it starts a cluster
of its own on this machine, which ends with it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from rain import Client, Input, Output, Program, RainException, Session, Task, blob, remote, tasks

IRIS = Path(__file__).resolve().parent / "iris.csv"

ESTIMATORS = {
    "support vectors": SVC(kernel="linear"),
    "logistic regression": LogisticRegression(max_iter=1000),
    "nearest neighbours": KNeighborsClassifier(5),
    "random forest": RandomForestClassifier(50, random_state=0),
}

# -- Python functions that run on the governors ---------------------------------------------------


def numbers(lines: str) -> tuple[np.ndarray, np.ndarray]:
    """Measurements and species from lines as ``svm-train`` reads them: ``species 1:length 2:width …``."""
    rows = [line.split() for line in lines.splitlines()]
    return (
        np.array([[float(cell.partition(":")[2]) for cell in row[1:]] for row in rows]),
        np.array([int(row[0]) for row in rows]),
    )


@remote(outputs=Output("flowers", content_type="text"))
def convert(ctx: Any, table: Input(load=True, content_type="text")):
    """CSV to the lines that libsvm's programs read."""
    header, *rows = (line.split(",") for line in table.splitlines())
    ctx.debug("{} flowers of the species {}", len(rows), ", ".join(header[2:]))
    lines = (" ".join([species, *(f"{i}:{value}" for i, value in enumerate(values, 1))]) for *values, species in rows)
    return "".join(line + "\n" for line in lines)


@remote(outputs=Output("model", encode="pickle"))
def train(ctx: Any, estimator: Any, flowers: Input(load=True, content_type="text")):
    return estimator.fit(*numbers(flowers))


@remote(outputs=Output("species", content_type="text"))
def predict(ctx: Any, model: Input(load=True), flowers: Input(load=True, content_type="text")):
    return "".join(f"{species}\n" for species in model.predict(numbers(flowers)[0]))


@remote(outputs=Output("accuracy", encode="json"))
def score(ctx: Any, species: Input(load=True, content_type="text"), flowers: Input(load=True, content_type="text")):
    return float(np.mean(np.array(species.split(), dtype=int) == numbers(flowers)[1]))


# -- the same two steps as programs ---------------------------------------------------------------

svm_train = Program(["svm-train", "-q", "-t", "0", Input("flowers"), Output("model")])
svm_predict = Program(
    ["svm-predict", Input("flowers"), Input("model"), Output("species", content_type="text")], stdout="log"
)

# -- the graph ------------------------------------------------------------------------------------


def make_folds(path: Path, count: int, seed: str) -> list[Any]:
    """`count` data objects with the flowers of the file at `path`, shuffled and dealt out."""
    flowers = convert(tasks.Load(path.resolve()), name="data/convert")
    shuffled = tasks.Execute(
        # sort draws its random numbers from a file: the same seed gives the same order.
        ["sort", "-R", "--random-source", blob(seed * 64, label="seed"), flowers],
        stdout="shuffled",
        name="data/shuffle",
    )
    dealt = tasks.Execute(
        ["split", "-n", f"r/{count}", "-d", "-a", "3", shuffled, "fold"],
        output_paths=[f"fold{i:03}" for i in range(count)],
        name="data/split",
    )
    return list(dealt.outputs)


def cross_validate(folds: list[Any]) -> dict[str, list[Task]]:
    """For each classifier a list of tasks, one per fold, whose output is the accuracy on that fold."""
    scores: dict[str, list[Task]] = {name: [] for name in ESTIMATORS}
    with_programs = shutil.which("svm-train") and shutil.which("svm-predict")
    if with_programs:
        scores["libsvm programs"] = []
    for i, fold in enumerate(folds):
        others = tasks.Concat([other for other in folds if other is not fold], name=f"fold{i}/others")
        for name, estimator in ESTIMATORS.items():
            model = train(estimator, others, name=f"fold{i}/train {name}")
            guessed = predict(model, fold, name=f"fold{i}/predict {name}")
            scores[name].append(score(guessed, fold, name=f"fold{i}/score {name}"))
        if with_programs:
            model = svm_train(flowers=others, name=f"fold{i}/svm-train")
            guessed = svm_predict(flowers=fold, model=model, name=f"fold{i}/svm-predict")
            scores["libsvm programs"].append(
                score(guessed.outputs["species"], fold, name=f"fold{i}/score libsvm programs")
            )
    return scores


# -- what is printed and written ------------------------------------------------------------------


def print_accuracies(scores: dict[str, list[Task]]) -> None:
    count = len(next(iter(scores.values())))
    print(f"{'accuracy':<20}" + "".join(f"  fold {i}" for i in range(count)) + "    mean")
    for name, each in scores.items():
        values = [task.output.fetch().load() for task in each]
        print(f"{name:<20}" + "".join(f"{value:8.3f}" for value in values) + f"{np.mean(values):8.3f}")


def write_graph(session: Session, folder: Path) -> list[Path]:
    """The session's graph as DOT, and as SVG where Graphviz is installed; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    dot, svg = folder / "cross_validation.dot", folder / "cross_validation.svg"
    graph = session.make_graph()
    graph.write(dot)
    if shutil.which("dot") is None:
        return [dot]
    graph.write(svg)
    return [dot, svg]


def main() -> int:
    parser = argparse.ArgumentParser(description="K-fold cross-validation of classifiers on the Iris data.")
    parser.add_argument("--folds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--seed", default="rain", help="text that decides the order of the flowers")
    parser.add_argument("--server", help="address of a running server; without it a cluster is started and ended")
    parser.add_argument("--output", type=Path, default=Path("demo-out"), help="folder for the graph (default demo-out)")
    options = parser.parse_args()
    if not 2 <= options.folds <= 150 or not options.seed:
        parser.error("--folds is from 2 to 150 (there are 150 flowers), --seed is not empty")

    started = time.perf_counter()
    with Client(options.server) if options.server else Client.local() as client:
        governors = client.get_server_info()["governors"]
        cpus = sum(governor["resources"]["cpus"] for governor in governors)
        print(f"Connected: {len(governors)} governor(s) with {cpus:g} cpus, {time.perf_counter() - started:.2f} s.")
        with client.new_session("cross-validation") as session:
            scores = cross_validate(make_folds(IRIS, options.folds, options.seed))
            for each in scores.values():
                for task in each:
                    task.keep_outputs()
            began, count = time.perf_counter(), session.task_count
            session.submit()
            session.wait_all(progress=True)
            print(f"{count} tasks in {time.perf_counter() - began:.2f} s.\n")
            print_accuracies(scores)
            print("\nThe session's graph:", *write_graph(session, options.output), sep="\n    ")
    print(f"All that was started has ended, {time.perf_counter() - started:.2f} s after the start.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RainException, OSError) as error:
        sys.exit(f"cross_validation.py: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the cluster has ended")
