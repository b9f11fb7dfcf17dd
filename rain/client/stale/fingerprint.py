"""What the code of a function is, in a few characters that are the same for the same code wherever it stands.

Theory of operation
-------------------
Two definitions are the same function edited if module and qualified name are the same, in the same notebook
(`same_function`): whichever of its cells was run last says what a name means. They differ if their fingerprints do.
What counts is what the interpreter would do: names of instructions and what they mean, constants, parameters, defaults;
and the same of the functions and classes that it names, wherever in notebooks, scripts and modules of the user they
were defined. A global with a plain value counts if its name is written in capitals, as names of constants are: others
are often what a loop left there.

Comments, docstrings, annotations, the number of the line, and the cell's file do not count, so that a cell that is run
once more changes nothing.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import xxhash

from rain.client.functions.function_snapshot import HoldsFunction, global_names
from rain.client.functions.modules import is_users
from rain.objects.pickling.callables import by_reference

_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range)
_CACHED: Any = type(lru_cache(lambda: None))
_NESTED_MAX = 8
_CONSTANTS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "KW_NAMES"})
_POSITION = "__firstlineno__"
"""What a class remembers of its line since Python 3.13."""


class Place(NamedTuple):
    """Where a function was defined.

    Attributes
    ----------
    path : str
        ``module:qualified name``.
    notebook, cell : str
        The notebook's name and the cell's id; empty where they are not known.
    """

    path: str
    notebook: str
    cell: str


def same_function(one: Place, other: Place) -> bool:
    """Whether two definitions are the same function, perhaps edited: what is called so in the same notebook.

    Where the names of the notebooks are not known, the cells have to be the same.

    Examples
    --------
    >>> same_function(Place("__main__:fit", "a.ipynb", "c1"), Place("__main__:fit", "a.ipynb", "c2"))
    True
    >>> same_function(Place("__main__:fit", "a.ipynb", "c1"), Place("__main__:fit", "b.ipynb", "c2"))
    False
    >>> same_function(Place("__main__:fit", "", "c1"), Place("__main__:fit", "", "c2"))
    False
    """
    if one.path != other.path:
        return False
    if one.cell == other.cell or not one.cell or not other.cell or not one.path.startswith("__main__:"):
        return True
    return one.notebook == other.notebook != ""


def fingerprint(function: Any, interpreter: str) -> str:
    """What the code of `function` is, with that of all that it names.

    Parameters
    ----------
    function : callable
    interpreter : str
        Which bytecode it is, for instance ``"cpython-312"``; those of different ones cannot be compared.

    Examples
    --------
    >>> double, twice = (lambda x: x + x), (lambda x: x + x)
    >>> fingerprint(double, "cpython-312") == fingerprint(twice, "cpython-312")
    True
    """
    parts: set[str] = set()
    waiting: list[Any] = [("", function)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        value = plain_function(value)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):
            parts.add(f"{name}={_of_function(value)}")
            waiting += _named_by(value)
        elif isinstance(value, type):
            members = [(key, item) for key, item in vars(value).items() if _is_code(item)]
            parts.add(f"{name}=class {sorted(key for key, _ in members)} {sorted(_plain_members(value))}")
            waiting += [(f"{name}.{key}", item) for key, item in members]
            waiting += [(f"{name}<", base) for base in value.__bases__ if _counts(base)]
    return f"{interpreter}:{xxhash.xxh3_128_hexdigest(chr(10).join(sorted(parts)).encode('utf-8', 'surrogatepass'))}"


def comparable(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same interpreter's code."""
    return one.partition(":")[0] == other.partition(":")[0]


def plain_function(value: Any) -> Any:
    """The function inside a `Remote`, a method, a property or a cache."""
    for _ in range(_NESTED_MAX):
        if isinstance(value, HoldsFunction):
            value = value.function
        elif isinstance(value, staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif type(value) is _CACHED:
            value = value.__wrapped__
        elif type(value) is MethodType:
            value = value.__func__
        else:
            break
    return value


def _is_code(value: Any) -> bool:
    return isinstance(plain_function(value), FunctionType)


def _counts(value: Any) -> bool:
    """Whether it is code of the user's: of the notebook, or of a module that is not installed."""
    return isinstance(value, FunctionType | type) and (not by_reference(value) or is_users(value.__module__))


def _named_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Code that a function names, by globals and by its closure."""
    for name in global_names(function.__code__):
        value = plain_function(function.__globals__.get(name))
        if _counts(value):
            yield name, value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = plain_function(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
        if _counts(value):
            yield name, value


def _of_function(function: FunctionType) -> str:
    names = sorted(name for name in global_names(function.__code__) if name.isupper())
    constants = [(name, _plain(function.__globals__.get(name))) for name in names]
    defaults = [_plain(value) for value in function.__defaults__ or ()]
    keywords = [(name, _plain(value)) for name, value in sorted((function.__kwdefaults__ or {}).items())]
    return f"{digest_of_code(function.__code__)} {defaults} {keywords} {[c for c in constants if c[1]]}"


def _plain_members(kind: type) -> Iterator[str]:
    for name, value in vars(kind).items():
        if not (name.startswith("__") and name.endswith("__")) and (text := _plain(value)):
            yield f"{name} {text}"


_DECIMAL_BITS_MAX = 2048
"""Python refuses to write much longer ones in decimal digits (`sys.set_int_max_str_digits`)."""


def _plain(value: Any, depth: int = 0) -> str:
    """A plain value as text; of others nothing."""
    if type(value) is int and value.bit_length() > _DECIMAL_BITS_MAX:
        return f"int {value:#x}"
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if type(value) in (tuple, frozenset) and depth < _NESTED_MAX:
        items = [_plain(item, depth + 1) for item in value]
        return f"{type(value).__name__} {sorted(items) if type(value) is frozenset else items}"
    return ""


@lru_cache(maxsize=4096)
def digest_of_code(code: CodeType) -> str:
    """What a piece of code does, as a digest."""
    names = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_varnames, code.co_freevars)
    text = f"{code.co_flags & 0x3AC} {names} {list(_steps(code))} {code.co_exceptiontable!r}"
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def _steps(code: CodeType) -> Iterable[tuple[str, str]]:
    """The instructions; a constant by its value, so that docstrings, which no instruction loads, do not count."""
    steps: list[tuple[str, str]] = []
    for step in dis.get_instructions(code):
        if step.opname in ("EXTENDED_ARG", "RESUME", "CACHE", "NOP"):
            continue
        if isinstance(step.argval, CodeType):
            value = digest_of_code(step.argval)
        elif step.opname in _CONSTANTS:
            value = _plain(step.argval)
        else:
            value = str(step.argval) if step.argval is not None else ""
        if step.opname == "STORE_NAME" and step.argval == _POSITION and steps:
            steps.pop()
            continue
        steps.append((step.opname, value))
    return steps
