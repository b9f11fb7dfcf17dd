#!/usr/bin/env bash
# Pinning a private mapping of a file for a GPU copies the file, also when it is pinned for reading only.
#
# Needs an NVIDIA GPU with its driver (seen with an H200, driver 580.159, Linux 6.18); without one it says so and fails.
# Versions: nvidia-cuda-runtime 13.0.96 (the C library alone, by ctypes), Python 3.12.
# Guess: cudaHostRegister with cudaHostRegisterReadOnly pins the pages of the file that a mapping shows, so that it costs no
#        memory, whether the mapping is shared or private (nothing was written to it); without the flag a private mapping
#        is copied, as the GPU might write.
# What happens: a shared mapping costs nothing; a private one is copied page by page in both cases, and a private mapping
#        that may not even be written too. Without the flag mappings that may not be written are refused.
# Seen:
#     shared, read-only: default invalid argument; for reading ok, own memory +0 MiB
#     shared, writable: default ok, own memory +0 MiB; for reading ok, own memory +0 MiB
#     private, read-only: default invalid argument; for reading ok, own memory +256 MiB
#     private, writable: default ok, own memory +256 MiB; for reading ok, own memory +256 MiB
# For users: map data that go to a GPU shared and read-only, and pin them with the flag.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip -q install --target "$folder/site" 'nvidia-cuda-runtime==13.0.96'
library=$(find "$folder/site" -name 'libcudart.so.13')
python3 - "$library" >"$folder/seen" <<'PY'
import ctypes
import mmap
import os
import re
import sys
import tempfile

SIZE = 256 << 20
FOR_READING = 8  # cudaHostRegisterReadOnly
cuda = ctypes.CDLL(sys.argv[1])
cuda.cudaGetErrorString.restype = ctypes.c_char_p
cuda.cudaHostRegister.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint]
cuda.cudaHostUnregister.argtypes = [ctypes.c_void_p]
status = cuda.cudaFree(None)  # makes the context
if status:
    sys.exit(f"no GPU: {cuda.cudaGetErrorString(status).decode()}")
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def own_mib():
    return int(re.search(r"RssAnon:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024


with tempfile.TemporaryFile(dir="/dev/shm") as file:
    for _ in range(SIZE >> 20):
        file.write(os.urandom(1 << 20))
    file.flush()
    for shared, kind in (("shared", mmap.MAP_SHARED), ("private", mmap.MAP_PRIVATE)):
        for access, protection in (("read-only", mmap.PROT_READ), ("writable", mmap.PROT_READ | mmap.PROT_WRITE)):
            told = []
            for name, flags in (("default", 0), ("for reading", FOR_READING)):
                address = libc.mmap(None, SIZE, protection, kind, file.fileno(), 0)
                before = own_mib()
                status = cuda.cudaHostRegister(address, SIZE, flags)
                if status:
                    told.append(f"{name} {cuda.cudaGetErrorString(status).decode()}")
                    cuda.cudaGetLastError()
                else:
                    told.append(f"{name} ok, own memory +{round((own_mib() - before) / 16) * 16} MiB")
                    cuda.cudaHostUnregister(address)
                libc.munmap(address, SIZE)
            print(f"{shared}, {access}: {'; '.join(told)}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
shared, read-only: default invalid argument; for reading ok, own memory +0 MiB
shared, writable: default ok, own memory +0 MiB; for reading ok, own memory +0 MiB
private, read-only: default invalid argument; for reading ok, own memory +256 MiB
private, writable: default ok, own memory +256 MiB; for reading ok, own memory +256 MiB
SEEN
