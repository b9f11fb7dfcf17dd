"""What tasks would find around them in this process: modules, programs, files; nothing is imported or run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import sys

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.surroundings import (
    EXECUTORS_VARIABLE,
    Surroundings,
    Wanted,
    decode_wanted,
    encode_surroundings,
)
from rain.host.machine import host_id
from rain.objects.data_instance import DataInstance


def surroundings(value: DataInstance, asked: bytes) -> bytes:
    """Answer a `Wanted`; `value` is empty."""
    try:
        wanted = decode_wanted(asked)
    except msgspec.MsgspecError as error:
        raise RainException(f"the question cannot be read: {error}") from None
    programs = json.loads(os.environ.get(EXECUTORS_VARIABLE, "{}"))
    without = Wanted(
        [name for name in wanted.modules if not _is_there(name)],
        [(name, path) for name, path in wanted.programs if shutil.which(name, path=path) is None],
        [path for path in wanted.paths if not os.path.lexists(path)],
        [kind for kind in wanted.executors if kind not in programs],
    )
    no_program = {
        kind: programs[kind] for kind in wanted.executors if kind in programs and shutil.which(programs[kind]) is None
    }
    python = ".".join(map(str, sys.version_info[:3]))
    path = os.environ.get("PATH", os.defpath)
    return encode_surroundings(
        Surroundings(host_id(), socket.gethostname(), python, path, without, sorted(programs), no_program)
    )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, AttributeError, ValueError):  # a module without a spec, which is there
        return module in sys.modules
