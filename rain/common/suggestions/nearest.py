"""Which name was meant by one that does not exist: by its meaning first, by its letters last."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_MEANINGS = {
    "args": ("args", "command"),
    "auto_load": ("auto_load", "load"),
    "autoload": ("auto_load", "load"),
    "batch_size": ("chunksize",),
    "class": ("priority",),
    "cmd": ("args",),
    "command": ("args",),
    "cores": ("cpus",),
    "core": ("cpus",),
    "deadline": ("timeout", "within", "time"),
    "default": ("default", "set_as_default"),
    "deserialize": ("load", "auto_load"),
    "dir": ("path", "folder", "workdir"),
    "encode": ("encode", "auto_encode"),
    "encoding": ("encode", "auto_encode", "content_type"),
    "environ": ("env",),
    "environment": ("env",),
    "file": ("path",),
    "format": ("encode", "auto_encode", "content_type"),
    "hosts": ("nodes",),
    "jobs": ("cpus", "nodes"),
    "key": ("token", "name", "label"),
    "label": ("name",),
    "machines": ("nodes", "governors"),
    "mime": ("content_type",),
    "n_jobs": ("cpus",),
    "name": ("label",),
    "num_returns": ("outputs",),
    "num_workers": ("governors", "cpus"),
    "password": ("token",),
    "persist": ("persistent",),
    "processes": ("governors", "cpus"),
    "procs": ("cpus",),
    "serialise": ("encode", "auto_encode"),
    "serializer": ("encode", "auto_encode"),
    "stage": ("name",),
    "threads": ("cpus",),
    "title": ("name", "label"),
    "tries": ("retries",),
    "type": ("content_type", "task_type"),
    "variables": ("env",),
    "verbose": ("progress",),
    "walltime": ("time", "timeout"),
    "workers": ("governors", "cpus"),
}
"""What other systems call it, or a user might -> what it may be here, the likeliest first."""
_RESOURCES = {
    "gpu": 'resources={"gpus": 1}',
    "gpus": 'resources={"gpus": 1}',
    "num_gpus": 'resources={"gpus": 1}',
    "mem": 'resources={"mem": bytes}',
    "memory": 'resources={"mem": bytes}',
    "ram": 'resources={"mem": bytes}',
}
"""What is no option of its own where there is `resources`."""
_FILLERS = frozenset({"max", "min", "num", "n", "number", "of", "the", "is", "use", "set"})
_LETTERS_ALIKE = 0.75


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that was most likely meant by `name`; empty if there is none.

    Examples
    --------
    >>> nearest("inputs", ["cpus", "input_paths", "output_paths"])
    'input_paths'
    >>> nearest("n_cpus", ["cpus", "env"]), nearest("stdot", ["stdin", "stdout"]), nearest("x", ["cpus"])
    ('cpus', 'stdout', '')
    """
    names = list(known)
    words = _words(name)
    for other in names:
        if words and _words(other) == words:
            return other
    for meant in _MEANINGS.get(name.lower(), ()):
        if meant in names:
            return meant
    if "resources" in names and name.lower() in _RESOURCES:
        return _RESOURCES[name.lower()]
    shared = [(len(words & _words(other)) / len(words | _words(other)), -place) for place, other in enumerate(names)]
    best, place = max(shared, default=(0, 0))
    if best > 0:
        return names[-place]
    return next(iter(difflib.get_close_matches(name, names, 1, _LETTERS_ALIKE)), "")


def _words(name: str) -> frozenset[str]:
    """The words of a name that carry its meaning, in the singular."""
    words = {word for word in re.split(r"[\W_]+", name.lower().strip("-")) if word}
    return frozenset(_singular(word) for word in (words - _FILLERS or words))


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def hint(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"``, to be added to an error; empty where nothing is near."""
    meant = nearest(name, known)
    quoted = meant if "=" in meant else repr(meant)
    return f"; did you mean {quoted}?" if meant else ""
