"""What writable loads cost: 256 MiB read through a copy-on-write and through a read-only mapping, and all of it
written, beside `numpy.copy`. In turns; prints one JSON line with medians and ratios.

    python benchmarks/writable.py [--mib 256] [--repeat 9]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rain.common.spec import ObjectInfo
from rain.objects.content_types.codecs import encode_to_file
from rain.objects.data_instance import DataInstance
from rain.objects.readers import FileReader


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    memory_files = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory_files) as folder:
        path = os.path.join(folder, "value")
        written: Any = encode_to_file(np.ones(options.mib << 17), "pickle", path, 0)

        def load(writable: bool) -> Any:
            blob = DataInstance(FileReader(written.file), None, ObjectInfo(written.file.size, content_type="pickle"))
            return blob.load(writable=writable)

        parts: dict[str, Callable[[], Any]] = {
            "read_only_s": lambda: load(False).sum(),
            "read_s": lambda: load(True).sum(),
            "write_s": lambda: load(True).fill(1),
            "copy_s": lambda: np.copy(load(False)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(options.repeat):
            for name, part in parts.items():
                begin = time.perf_counter()
                part()
                seconds[name].append(time.perf_counter() - begin)
    found = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {"read": found["read_s"] / found["read_only_s"], "write": found["write_s"] / found["copy_s"]}
    print(json.dumps({"mib": options.mib, **found, "ratio": ratios}))


if __name__ == "__main__":
    main()
