"""GPUs that this process may use, by the names that ``CUDA_VISIBLE_DEVICES`` knows them by.

NVIDIA's driver numbers a process's devices by the entries of that variable (CUDA C++ Programming Guide, "CUDA
Environment Variables"): numbers, or the beginnings of UUIDs; what follows an entry that names no device is not seen. A
batch system that gives a job some of a host's GPUs sets it, so that numbers of our own would name devices of others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

VARIABLE = "CUDA_VISIBLE_DEVICES"


class Gpus(NamedTuple):
    """GPUs of this process.

    Attributes
    ----------
    names : tuple of str
        Entries for ``CUDA_VISIBLE_DEVICES``, one for each.
    source : str
        What says so, for logs and `rain doctor`.
    """

    names: tuple[str, ...]
    source: str


def visible_gpus(environment: Mapping[str, str] = os.environ, devices: str = "/dev") -> Gpus:
    """The GPUs that a process started here could use.

    Parameters
    ----------
    environment : mapping of str to str
    devices : str
        The folder of device files.

    Returns
    -------
    Gpus

    Examples
    --------
    >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "2,GPU-8932f937"}, "/nowhere").names
    ('2', 'GPU-8932f937')
    """
    files = _device_files(devices)
    asked = environment.get(VARIABLE)
    if asked is not None:
        return Gpus(parse(asked, len(files) or None), f"{VARIABLE}={asked}")
    if not files:
        return Gpus((), f"no device file {devices}/nvidia0")
    return Gpus(tuple(str(number) for number in range(len(files))), f"device files {files[0]} to {files[-1]}")


def parse(text: str, count: int | None = None) -> tuple[str, ...]:
    """The devices that a value of ``CUDA_VISIBLE_DEVICES`` names.

    Parameters
    ----------
    text : str
    count : int or None
        How many devices the host has, if known: a higher number names none.

    Returns
    -------
    tuple of str
        Up to the first entry that names no device; none if one is named twice, which CUDA refuses.

    Examples
    --------
    >>> parse("1,0,-1,2"), parse("0,7", count=2), parse("0,0")
    (('1', '0'), ('0',), ())
    """
    names: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        is_number = entry.isascii() and entry.isdigit()
        if not (is_number or re.match("(GPU|MIG)-", entry)) or (
            is_number and count is not None and int(entry) >= count
        ):
            break
        names.append(str(int(entry)) if is_number else entry)
    return tuple(names) if len(set(names)) == len(names) else ()


def shares(names: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
    """`names` dealt out to `count` governors on one host, the first ones getting one more where they do not divide.

    Examples
    --------
    >>> shares(("0", "1", "2"), 2)
    [('0', '2'), ('1',)]
    """
    return [names[number::count] for number in range(count)]


def _device_files(devices: str) -> list[str]:
    """Files of GPUs that may be opened, by number; none is opened, which would wake it up."""
    try:
        found = [name for name in os.listdir(devices) if re.fullmatch(r"nvidia\d+", name)]
    except OSError:
        return []
    paths = [os.path.join(devices, name) for name in sorted(found, key=lambda name: int(name[6:]))]
    return [path for path in paths if os.access(path, os.R_OK | os.W_OK)]
