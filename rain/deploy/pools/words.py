"""Places as a command line asks for them: ``slurm --nodes 4 --time 2:00:00 -- --account=abc``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rain.common.errors import RainException
from rain.deploy.pools.choice import no_such_option, options_of

_VERBATIM = "arguments"
ELASTIC_OPTIONS = {"minimum": "int", "maximum": "int", "idle": "str", "core_hours": "float"}
"""What makes a pool elastic (`Pool.adapt`), and types."""


class Asked(NamedTuple):
    """What is asked for.

    Attributes
    ----------
    engine : str
    options : dict of str to object
        Those of the engine's places, as `rain.deploy.pools.choice.supply_of` takes them.
    others : dict of str to object
        Those that are not the engine's, by the names that the command gave.
    """

    engine: str
    options: dict[str, Any]
    others: dict[str, Any]


def parse_places(engine: str, words: Sequence[str], others: Mapping[str, str]) -> Asked:
    """What a command line asks for.

    Parameters
    ----------
    engine : str
    words : sequence of str
        ``--NAME VALUE`` or ``--NAME=VALUE``, in which a dash stands for an underscore; after ``--`` all is for the
        engine, verbatim.
    others : mapping of str to str
        Names of further options, and their types: ``"int"``, ``"float"``, ``"bool"`` (a flag without a value), or
        any other for a text.

    Raises
    ------
    RainException
        If there is no such engine or option, one has no value, or one of another type.

    Examples
    --------
    >>> asked = parse_places("slurm", ["--nodes", "4", "--time=2:00:00", "--", "--account=abc"], {"nodes": "int"})
    >>> asked.options, asked.others
    ({'time': '2:00:00', 'arguments': ['--account=abc']}, {'nodes': 4})
    """
    own = options_of(engine)
    asked = Asked(engine, {}, {})
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            if _VERBATIM not in own:
                raise RainException(f"{engine!r} takes no options verbatim: nothing may follow --")
            asked.options[_VERBATIM] = rest
            break
        if not word.startswith("--"):
            raise RainException(f"{word!r} is too much; options of {engine!r} itself stand after --")
        option, equals, value = word.partition("=")
        name = option[2:].replace("-", "_")
        if name not in own and name not in others:
            raise RainException(no_such_option(name, engine, [*others, *own]))
        kind, found = (others[name], asked.others) if name in others else (own[name], asked.options)
        if kind == "bool" and not equals:
            found[name] = True
            continue
        if not equals:
            if not rest or rest[0] == "--":
                raise RainException(f"{option} needs a value")
            value = rest.pop(0)
        found[name] = _converted(option, value, kind)
    return asked


def _converted(option: str, text: str, kind: str) -> Any:
    kinds = [part.strip() for part in kind.split("|")]
    if "Sequence[str]" in kinds:
        return [part.strip() for part in text.split(",")]
    for name, convert in (("int", int), ("float", float)):
        if name in kinds and option != "--time":  # which stays a text: without a unit it is not clear what it means
            try:
                return convert(text)
            except ValueError:
                if "str" not in kinds:
                    raise RainException(f"{option} is a number, not {text!r}") from None
    if "bool" in kinds:
        if text not in ("true", "false"):
            raise RainException(f"{option} is true or false, not {text!r}")
        return text == "true"
    return text
