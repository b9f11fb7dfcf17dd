"""The line of ``%%rain_remote``: options, and perhaps the signature of one task whose body is the cell."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from rain.common.errors import RainException
from rain.common.suggestions.nearest import nearest
from rain.objects.content_types.registry import check_content_type

USAGE = (
    "%%rain_remote [--cpus N] [--outputs A,B] [--name PATH] [--auto-load] [--auto-encode TYPE] [--echo] "
    "[--run ARG=OBJ ...] [NAME(PARAMETER: TYPE, ...) -> OUTPUT: TYPE, ...]"
)
FLAGS = ("--auto-load", "--echo")
VALUES = ("--cpus", "--outputs", "--name", "--auto-encode")
OPTIONS = (*VALUES, *FLAGS, "--run")

LOAD = "load"
"""The type of a parameter that is loaded by whatever content type it has."""

_NAME = re.compile(r"[^\W\d]\w*")
_ARGUMENT = re.compile(r"([^\W\d]\w*)=(?!=)(.+)", re.DOTALL)
_OPEN, _CLOSE = "([{", ")]}"


@dataclass
class Named:
    """A parameter or an output.

    Attributes
    ----------
    name : str
    type : str or None
        `LOAD` or a content type.
    column : int
        Where in the line it is written, from 0.
    prefix : str
        ``*`` or ``**`` of a parameter.
    default : str
        Source of a parameter's default, perhaps empty.
    """

    name: str
    type: str | None
    column: int
    prefix: str = ""
    default: str = ""

    @property
    def source(self) -> str:
        """A parameter as it is written in a ``def``."""
        return f"{self.prefix}{self.name}{'=' if self.default else ''}{self.default}"


@dataclass
class RemoteLine:
    """What the line says.

    Attributes
    ----------
    name : str
        Of the task whose body the cell is; empty if the cell defines functions.
    parameters : list of Named
    outputs : list of Named or None
        None if nothing is said of them.
    cpus : float or None
    path : str or None
        What ``--name`` says.
    auto_load, echo : bool
    auto_encode : str or None
    run : dict of str to str or None
        Source of the arguments with which a task is to be made at once, by parameter.
    """

    name: str = ""
    parameters: list[Named] = field(default_factory=list)
    outputs: list[Named] | None = None
    cpus: float | None = None
    path: str | None = None
    auto_load: bool = False
    auto_encode: str | None = None
    echo: bool = False
    run: dict[str, str] | None = None


def parse_line(line: str) -> RemoteLine:
    """What `line` says.

    Raises
    ------
    RainException
        If an option is wrong; the text holds the usage.
    SyntaxError
        If the signature is; its `offset` counts from the beginning of `line`, its other places are not filled in.
    """
    found = RemoteLine()
    words = list(_split(line, " \t"))
    number = 0
    seen: set[str] = set()
    while number < len(words):
        start, word = words[number]
        number += 1
        if not word.startswith("--"):
            if found.name:
                _wrong(f"{word!r} is too much")
            rest = [where for where, other in words[number:] if other.startswith("--")]
            _read_signature(line, start, rest[0] if rest else len(line), found)
            while number < len(words) and not words[number][1].startswith("--"):
                number += 1
            continue
        option, equals, value = word.partition("=")
        if option not in OPTIONS:
            meant = nearest(option, OPTIONS)
            _wrong(f"there is no option {option}" + (f", did you mean {meant}?" if meant else ""))
        if option in seen:
            _wrong(f"{option} is given twice")
        seen.add(option)
        if option == "--run":
            number = _read_run(words, number, found)
            continue
        if option in VALUES and not equals:
            if number == len(words):
                _wrong(f"{option} needs a value")
            start, value = words[number]
            number += 1
        elif option in FLAGS and equals:
            _wrong(f"{option} takes no value")
        _set(found, option, start, _unquoted(value))
    return found


def _set(found: RemoteLine, option: str, start: int, value: str) -> None:
    if option == "--auto-load":
        found.auto_load = True
    elif option == "--echo":
        found.echo = True
    elif option == "--name":
        found.path = value
    elif option == "--auto-encode":
        try:
            found.auto_encode = check_content_type(value)
        except ValueError as error:
            _wrong(f"--auto-encode: {error}")
    elif option == "--cpus":
        try:
            found.cpus = float(value) if "." in value else int(value)
        except ValueError:
            _wrong(f"--cpus takes a number, not {value!r}")
    else:
        if found.outputs is not None:
            _wrong("outputs are given by --outputs and after ->; use one of them")
        found.outputs = [_named(start + where, part, "an output") for where, part in _split(value, ",")]


def _read_run(words: list[tuple[int, str]], number: int, found: RemoteLine) -> int:
    found.run = {}
    while number < len(words):
        match = _ARGUMENT.fullmatch(_unquoted(words[number][1]))
        if match is None:
            break
        if match[1] in found.run:
            _wrong(f"--run gives {match[1]!r} twice")
        found.run[match[1]] = match[2]
        number += 1
    return number


def _wrong(text: str) -> NoReturn:
    raise RainException(f"%%rain_remote: {text}\nusage: {USAGE}")


def _unquoted(word: str) -> str:
    """`word` without the quotes around all of it, if there are such."""
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        try:
            value = ast.literal_eval(word)
        except (ValueError, SyntaxError):
            return word
        return value if isinstance(value, str) else word
    return word


# -- the signature ---------------------------------------------------------------------------------


def _read_signature(line: str, start: int, end: int, found: RemoteLine) -> None:
    text = line[start:end].rstrip()
    name = _NAME.match(text)
    if name is None or not text[name.end() :].lstrip().startswith("("):
        raise _misplaced(
            f"{text!r} is neither an option nor a signature such as count_words(text: load) -> counts: json", start
        )
    if keyword.iskeyword(name[0]):
        raise _misplaced(f"{name[0]!r} is a keyword and cannot be the name of a task", start)
    opening = text.index("(")
    closing = _matching(text, opening, start)
    found.name = name[0]
    found.parameters = [
        _parameter(start + opening + 1 + where, part) for where, part in _split(text[opening + 1 : closing], ",")
    ]
    rest = text[closing + 1 :]
    where = start + closing + 1 + len(rest) - len(rest.lstrip())
    if not rest.strip():
        return
    if not rest.lstrip().startswith("->"):
        raise _misplaced(f"after the parameters comes -> and the outputs, not {rest.strip()!r}", where)
    if found.outputs is not None:
        _wrong("outputs are given by --outputs and after ->; use one of them")
    names = rest.lstrip()[2:]
    if not names.strip():
        raise _misplaced("after -> come the outputs, for instance -> counts: json", where)
    found.outputs = [_named(where + 2 + at, part, "an output") for at, part in _split(names, ",")]
    _check_twice(found.outputs, "output")


def _check_twice(names: list[Named], what: str) -> None:
    seen = set()
    for item in names:
        if item.name in seen:
            raise _misplaced(f"{what} {item.name!r} is there twice", item.column)
        seen.add(item.name)


def _parameter(start: int, text: str) -> Named:
    bare = text.strip()
    if bare in ("*", "/"):
        return Named(bare, None, start)
    stars = len(bare) - len(bare.lstrip("*"))
    default = ""
    for where, _ in _split(text, "="):
        if where:
            text, default = text[: where - 1], text[where:].strip()
            break
    skipped = text.index("*" * stars) + stars
    found = _named(start + skipped, text[skipped:], "a parameter")
    found.prefix, found.default = "*" * stars, default
    return found


def _named(start: int, text: str, what: str) -> Named:
    """``name`` or ``name: type``."""
    name, colon, kind = text.partition(":")
    column = start + len(name) - len(name.lstrip())
    name = name.strip()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise _misplaced(f"{what} is a name, perhaps with a colon and a type, not {text.strip()!r}", column)
    if name == "ctx" and what == "a parameter":
        raise _misplaced("ctx is always there and need not be a parameter", column)
    if not colon:
        return Named(name, None, column)
    where = start + text.index(":") + 1 + len(kind) - len(kind.lstrip())
    kind = kind.strip()
    if kind == LOAD and what == "a parameter":
        return Named(name, LOAD, column)
    try:
        known = check_content_type(kind)
    except ValueError as error:
        raise _misplaced(str(error), where) from None
    if known is None:
        raise _misplaced(f"the type of {name!r} is missing after the colon", where)
    return Named(name, known, column)


def _misplaced(text: str, column: int) -> SyntaxError:
    error = SyntaxError(text)
    error.offset = column + 1
    return error


def _bare(text: str) -> Iterator[tuple[int, str, int]]:
    """The characters of `text` that are not quoted: place, character, in how many brackets."""
    depth = 0
    quote = ""
    skip = False
    for number, char in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = char == "\\"
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        else:
            depth += (char in _OPEN) - (char in _CLOSE)
            yield number, char, depth


def _split(text: str, at: str) -> Iterator[tuple[int, str]]:
    """Parts of `text` between characters of `at` that are neither quoted nor in brackets; each with its place.

    Empty parts are left out.
    """
    begin = 0
    for number, char, depth in _bare(text):
        if char in at and depth <= 0:
            if text[begin:number].strip():
                yield begin, text[begin:number]
            begin = number + 1
    if text[begin:].strip():
        yield begin, text[begin:]


def _matching(text: str, opening: int, start: int) -> int:
    """Where the bracket at `opening` is closed."""
    for number, char, depth in _bare(text):
        if number > opening and char in _CLOSE and depth == 0:
            return number
    raise _misplaced("'(' was never closed", start + opening)
