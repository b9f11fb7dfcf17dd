"""What the results of programs depend on, beside their inputs: the command line, and the files that it names."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import xxhash

from rain.client.core.reuse.keys import Code, Part
from rain.common.limits import MIB
from rain.common.task_configs import EXECUTE
from rain.host.installed import stamp

_READ_BYTES_MAX = 64 * MIB
"""Larger files on a command line are told by their size and time of change."""


def code_of_config(task_type: str, config: Any) -> Code:
    """What a program, or a task of an executor in another language, is told to do.

    Of a program also the content of its file counts, and of files with absolute paths among its arguments, as they are
    on this machine.
    """
    told = xxhash.xxh3_128_hexdigest(msgspec.msgpack.encode(config))
    if task_type != EXECUTE:
        return Code(task_type, task_type, [Part(f"what {task_type} is given", told, 0, "", "")])
    words = _words(config)
    name = os.path.basename(words[0]) if words else "program"
    parts = [Part("the command line", told, 0, "", " ".join(words)[:2000])]
    parts += _files(words)
    return Code(f"program:{name}", name, parts)


def _words(config: Any) -> list[str]:
    words = [word for word in config.args if isinstance(word, str)]
    if not config.shell or not words:
        return words
    try:
        return shlex.split(words[0])
    except ValueError:  # only the shell understands it
        return words


def _files(words: list[str]) -> Iterator[Part]:
    for number, word in enumerate(words):
        path = shutil.which(word) if number == 0 else word if os.path.isabs(word) else None
        if path is not None and os.path.isfile(path):
            yield Part(f"file {path}", _content(os.path.realpath(path), stamp(path)))


@lru_cache(maxsize=1024)
def _content(path: str, seen: tuple[int, int] | None) -> str:
    if seen is None or seen[1] > _READ_BYTES_MAX:
        return f"{seen}"
    try:
        with open(path, "rb") as file:
            return xxhash.xxh3_128_hexdigest(file.read())
    except OSError:
        return f"{seen}"
