import json
import tempfile
from pathlib import Path

from joblib import Parallel, delayed


def simulate(folder, steps):
    folder.mkdir()
    for step in range(steps):
        (folder / f"step{step}.json").write_text(json.dumps({"energy": steps - step}))
    return folder


def summary(folders):
    return [sum(json.loads(path.read_text())["energy"] for path in folder.glob("step*.json")) for folder in folders]


def main():
    with tempfile.TemporaryDirectory() as shared:
        jobs = (delayed(simulate)(Path(shared, f"run{steps}"), steps) for steps in (2, 3, 4))
        return summary(Parallel(n_jobs=2)(jobs))


if __name__ == "__main__":
    print(main())
