#!/usr/bin/env bash
# Ray: a head without fault tolerance is killed and started again at its address; tasks go on, also new ones, and half a
# minute later ray.get() waits for ever.
#
# Versions: ray 2.60.0, Python 3.11. The head has a node of its own, without cpus; client and worker are on another.
# Guess: as the state of the head was in its memory, the client is told that the cluster is lost: when the head dies, or
#        at the latest when another one is there that knows nothing of it.
# What happens: client and worker go on without a head, and connect to the new one. New tasks are answered. After its
#        first round of health checks the new head gives the worker's node up, which it does not know, and that ends.
#        From then on nothing is answered, and nothing raises.
# Seen:
#     while there is no head: answered
#     15 s after another is there: answered
#     90 s after: GetTimeoutError
# For users: keep the head's state (RAY_REDIS_ADDRESS), or start the program anew when the head was lost; give ray.get()
# a timeout.
set -euo pipefail
folder=$(mktemp -d /tmp/ray.XXXX)
running() { grep -lsF "$folder/r" /proc/[0-9]*/cmdline | cut -d / -f 3 | sort || true; }
ended() { kill -9 $(running) 2>/dev/null || true; rm -rf "$folder"; }
trap ended EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'ray==2.60.0'
export PATH="$folder/venv/bin:$PATH" RAY_USAGE_STATS_ENABLED=0
cd "$folder"
start_head() {
    rm -f "$folder/r/ray_current_cluster" # else it takes the node on this machine for a head that runs
    ray start --head --port 26379 --node-ip-address 127.0.0.2 --num-cpus 0 --include-dashboard false \
        --temp-dir "$folder/r" >>"$folder/log" 2>&1
}
start_head
running >"$folder/of-the-head"
ray start --address 127.0.0.2:26379 --node-ip-address 127.0.0.3 --num-cpus 1 >>"$folder/log" 2>&1
python - >"$folder/seen" 2>>"$folder/log" <<'PY' &
import os
import time

import ray

ray.init(address="127.0.0.2:26379", _node_ip_address="127.0.0.3", log_to_driver=False)


@ray.remote
def one():
    return 1


def answer():
    try:
        ray.get(one.remote(), timeout=20)
        return "answered"
    except Exception as error:
        return type(error).__name__


def until(name):
    while not os.path.exists(name):
        time.sleep(0.1)


answer()
open("ready", "w").close()
until("killed")
print("while there is no head:", answer())
open("asked", "w").close()
until("again")
time.sleep(15)
print("15 s after another is there:", answer())
time.sleep(75)
print("90 s after:", answer(), flush=True)
os._exit(0)
PY
client=$!
until [ -e ready ]; do sleep 0.1; done
kill -9 $(cat of-the-head) 2>kill.log || true # `ray start` itself has ended
touch killed
until [ -e asked ]; do sleep 0.1; done
start_head
touch again
wait "$client"
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
while there is no head: answered
15 s after another is there: answered
90 s after: GetTimeoutError
SEEN
