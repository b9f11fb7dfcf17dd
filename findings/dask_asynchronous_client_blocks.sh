#!/usr/bin/env bash
# A Dask client that is asked to be asynchronous is not, where its cluster object was made without: its methods block.
#
# Versions: dask and distributed 2026.8.0, Python 3.11.
# Guess: `client = await Client(cluster, asynchronous=True)`, as one writes in a notebook whose cluster was made in a cell before,
#        gives a client whose methods are awaited: `await client.close()`.
# What happens: the client takes the event loop of the cluster object, which runs in a thread of its own. It is awaited once, tells
#        client.asynchronous False from then on, and its methods block and return results: awaiting them is a TypeError. With the
#        scheduler's address in the place of the cluster object it is asynchronous.
# Seen:
#     Client(cluster, asynchronous=True): asynchronous is False, close() gives None
#     Client(cluster.scheduler_address, asynchronous=True): asynchronous is True, close() gives an awaitable
# For users: ask client.asynchronous, or give the address.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'distributed==2026.8.0' 'dask==2026.8.0'
cat >"$folder/script.py" <<'PY'
import asyncio
import inspect

from dask.distributed import Client, LocalCluster


async def told(name, target):
    client = await Client(target, asynchronous=True)
    asynchronous = client.asynchronous
    closing = client.close()
    kind = "an awaitable" if inspect.isawaitable(closing) else closing
    if inspect.isawaitable(closing):
        await closing
    print(f"Client({name}, asynchronous=True): asynchronous is {asynchronous}, close() gives {kind}")


if __name__ == "__main__":
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        asyncio.run(told("cluster", cluster))
        asyncio.run(told("cluster.scheduler_address", cluster.scheduler_address))
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/script.py" >"$folder/seen" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
Client(cluster, asynchronous=True): asynchronous is False, close() gives None
Client(cluster.scheduler_address, asynchronous=True): asynchronous is True, close() gives an awaitable
SEEN
