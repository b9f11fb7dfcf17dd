"""Simulations that leave folders, which a last one reads; peer: joblib and a folder that all share."""

import json
from pathlib import Path

import rain


@rain.remote(outputs=rain.OutputDir("run"))
def simulate(ctx, steps: int):
    folder = Path("run")
    folder.mkdir()
    for step in range(steps):
        (folder / f"step{step}.json").write_text(json.dumps({"energy": steps - step}))
    return ctx.stage_directory(folder)


@rain.remote(auto_encode="json")
def summary(ctx, *runs):
    totals = []
    for n, run in enumerate(runs):
        run.write(f"run{n}")
        totals.append(sum(json.loads(path.read_text())["energy"] for path in Path(f"run{n}").glob("step*.json")))
    return totals


def main(client: rain.Client) -> list[int]:
    with client.new_session("simulations", default=True) as session:
        return session.run(summary(*(simulate(steps) for steps in (2, 3, 4))))


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
