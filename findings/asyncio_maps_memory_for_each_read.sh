#!/bin/bash
# Small messages through asyncio's own transport and through uvloop 0.22.1, on Linux with glibc: page faults a message.
#
# Guess:   a transport reads into room that it keeps; or, since it asks for 256 KiB anew at each read, glibc maps memory
#          the first time, raises its threshold when that is let go of, and from then on gives it from the heap.
# Happens: each read costs two page faults, and the calls to map, shrink and unmap memory: more than half of the processor time
#          of a message of 30 bytes. With reads of 96 KiB, below glibc's threshold of 128 KiB, and with uvloop it is none.
# Why:     the bytes object of 256 KiB is shrunk to what came before it is let go of, so glibc sees a small mapping freed, and its
#          threshold stays where it is. Asyncio's loops and the streams above them are alike in this; Rain reads 96 KiB.
#
# Output seen (Python 3.11.7):
#   asyncio, as it is: 2.0 page faults a message
#   asyncio, reads of 96 KiB: 0.0 page faults a message
#   uvloop: 0.0 page faults a message
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uvloop==0.22.1
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import resource
import socket
import sys
from asyncio import selector_events

import uvloop

MESSAGES = 20_000


class Receiver(asyncio.Protocol):
    def __init__(self, peer):
        self.peer, self.got = peer, 0
        self.done = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.got += 1
        if self.got < MESSAGES:
            self.peer.send(b"x" * 30)
        else:
            self.done.set_result(None)


async def faults():
    here, there = socket.socketpair()
    _, receiver = await asyncio.get_running_loop().create_connection(lambda: Receiver(there), sock=here)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    there.send(b"x" * 30)
    await receiver.done
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / MESSAGES


print(f"Python {sys.version.split()[0]}, uvloop {uvloop.__version__}")
seen = []
seen.append(("asyncio, as it is", asyncio.run(faults())))
selector_events._SelectorSocketTransport.max_size = 96 * 1024
seen.append(("asyncio, reads of 96 KiB", asyncio.run(faults())))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    seen.append(("uvloop", runner.run(faults())))
for what, count in seen:
    print(f"{what}: {count:.1f} page faults a message")
assert seen[0][1] > 0.9, seen
assert seen[1][1] < 0.1, seen
assert seen[2][1] < 0.1, seen
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
