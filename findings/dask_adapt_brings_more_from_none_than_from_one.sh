#!/usr/bin/env bash
# Dask's adapt brings four workers for four tasks when there is none, and no further one when there is one.
#
# Versions: dask and distributed 2026.8.0, Python 3.11.
# Guess: four long tasks that need a resource of which each worker has one ({"slot": 1}: a GPU, a licence) make adapt bring four
#        workers, as many as can be of use, whether it starts from none or from one.
# What happens: Scheduler.adaptive_target divides the tasks that are ready by the average number of threads of the workers that are
#        there, whatever resources they need; with no worker there is nothing to divide by. From none it brings four workers of four
#        threads, from one it stays at one, and the tasks run there one after the other.
# Seen:
#     minimum=0: at most 4 workers for 4 tasks
#     minimum=1: at most 1 worker for 4 tasks
# For users: give workers that are for one task at a time one thread, or start from none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'distributed==2026.8.0' 'dask==2026.8.0'
cat >"$folder/script.py" <<'PY'
import time

import dask
from dask.distributed import Client, LocalCluster


def nap():
    time.sleep(4)


def most(minimum):
    """The greatest number of workers while the tasks ran."""
    with (
        LocalCluster(n_workers=minimum, threads_per_worker=4, resources={"slot": 1}, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(minimum) if minimum else None
        cluster.adapt(minimum=minimum, maximum=4, interval="200ms")
        tasks = [client.submit(nap, pure=False, resources={"slot": 1}) for _ in range(4)]
        seen = 0
        while not all(task.done() for task in tasks):
            seen = max(seen, len(cluster.scheduler.workers))
            time.sleep(0.05)
        return seen


if __name__ == "__main__":
    # How long they take is known, so that the number of workers is decided at once.
    dask.config.set({"distributed.scheduler.default-task-durations": {"nap": "1h"}})
    for minimum in (0, 1):
        count = most(minimum)
        print(f"minimum={minimum}: at most {count} worker{'s' * (count > 1)} for 4 tasks")
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/script.py" >"$folder/seen" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
minimum=0: at most 4 workers for 4 tasks
minimum=1: at most 1 worker for 4 tasks
SEEN
