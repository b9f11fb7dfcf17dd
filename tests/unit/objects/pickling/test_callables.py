"""What is made in a script or notebook is carried by value into a process that has no such script."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rain.executor.python.exception_report import describe
from rain.objects.pickling import buffers
from rain.objects.pickling.callables import make_exception, reduced_exception

MADE = """
import functools, sys
from typing import Generic, NamedTuple, NewType, NotRequired, ParamSpec, Required, TypedDict, TypeVar, TypeVarTuple

@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@functools.lru_cache(maxsize=7, typed=True)
def kept(n):
    "its text"
    return n + 1

kept.mark = "set"

class Case:
    @functools.cached_property
    def total(self):
        "all"
        return 2

    @functools.cached_property
    def again(self):
        return Case().total + 1

    @functools.lru_cache
    def method(self, x):
        return 3 * x

@functools.singledispatch
def tell(x):
    "what it is"
    return "any"

@tell.register
def _(x: int):
    return "int, not " + tell("")

@tell.register(Case)
def _(x):
    return "case"

class Teller:
    @functools.singledispatchmethod
    def tell(self, x):
        return "any"

    @tell.register
    def _(self, x: int):
        return "int"

Movie = TypedDict("Movie", {"name": str, "in": int}, total=False)

class Base(TypedDict):
    a: Required[int]
    b: NotRequired["Base"]

class Derived(Base):
    c: int

T, P, Ts = TypeVar("T"), ParamSpec("P"), TypeVarTuple("Ts")

class Box(TypedDict, Generic[T]):
    x: T

Number = NewType("Number", int)

def use_cache():
    return [fib(30), fib.cache_info().misses, fib.__name__]

def use_lru():
    return [kept(2), kept.cache_parameters(), kept.__doc__, kept.__qualname__, kept.mark, kept.__wrapped__(3)]

def use_cached_property():
    case = Case()
    return [case.total, case.again, case.method(2), Case.__dict__["total"].attrname, Case.__dict__["total"].__doc__]

def use_singledispatch():
    return [
        tell(1), tell(""), tell(Case()), tell.dispatch(bool)(True), tell.__name__, tell.__doc__,
        tell.registry[object](1),
    ]

def use_method():
    return [Teller().tell(1), Teller().tell("")]

def use_typed_dict():
    return [
        Movie(name="a"), sorted(Movie.__annotations__), Movie.__total__, Movie.__module__,
        sorted(Derived.__required_keys__),
        Derived.__annotations__["c"].__name__, str(Box[int]), Box(x=1),
    ]

def use_names():
    return [Number(3), Number.__name__, Number.__supertype__.__name__, P.__name__, Ts.__name__]

def both():
    return [fib, fib]

def use_sharing():
    first, second = both()
    first(5)
    return [second.cache_info().misses > 0]
"""
DUMP = """
if __name__ == "__main__":
    import pickle
    from rain.client.functions.pickling import dumps
    from rain.objects.pickling import buffers
    made = {name: use for name, use in list(globals().items()) if name.startswith("use_")}
    sys.stdout.buffer.write(pickle.dumps([
        {name: dumps(use) for name, use in made.items()},
        {name: buffers.dumps(use, cloud=True) for name, use in made.items()},
    ]))
"""
LOAD = """
import json, pickle, sys
both = pickle.load(sys.stdin.buffer)
print(json.dumps([{name: pickle.loads(data)() for name, data in one.items()} for one in both]))
"""
EXPECTED = {
    "use_cache": [832040, 31, "fib"],
    "use_lru": [3, {"maxsize": 7, "typed": True}, "its text", "kept", "set", 4],
    "use_cached_property": [2, 3, 6, "total", "all"],
    "use_singledispatch": ["int, not any", "any", "case", "int, not any", "tell", "what it is", "any"],
    "use_method": ["int", "any"],
    "use_typed_dict": [
        {"name": "a"},
        ["in", "name"],
        False,
        "__main__",
        ["a", "c"],
        "int",
        "__main__.Box[int]",
        {"x": 1},
    ],
    "use_names": [3, "Number", "int", "P", "Ts"],
    "use_sharing": [True],
}


def test_callables_and_classes_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "made.py"
    script.write_text(MADE + DUMP)
    dumped = subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout
    loaded = subprocess.run([sys.executable, "-c", LOAD], input=dumped, capture_output=True, check=True).stdout
    for found in json.loads(loaded):
        assert found == EXPECTED


def test_what_can_be_imported_is_only_named() -> None:
    import functools
    from fnmatch import _compile_pattern

    assert isinstance(_compile_pattern, type(functools.lru_cache(len)))
    assert buffers.dumps(_compile_pattern, cloud=True) == pickle.dumps(_compile_pattern, 5)


class Two(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.a = a


class Doubled(ValueError):
    def __init__(self, text: str) -> None:
        super().__init__(f"<{text}>")


class Named(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)


class Missing(ImportError):
    def __init__(self) -> None:
        super().__init__("no", name="it", path="/p")


class New(KeyError):
    def __new__(cls, key: str, *, extra: int) -> New:
        made = super().__new__(cls, key)
        made.extra = extra  # type: ignore[attr-defined]
        return made

    def __init__(self, key: str, *, extra: int) -> None:
        super().__init__(key)


class Group(ExceptionGroup[Exception]):
    def __new__(cls, errors: list[Exception]) -> Group:
        return super().__new__(cls, "all", errors)

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__("all", errors)


class Own(Exception):
    def __init__(self, code: int) -> None:
        super().__init__("own")
        self.code = code

    def __reduce__(self) -> Any:
        return Own, (self.code,)


def test_exceptions_whose_constructor_wants_something_else_than_args() -> None:
    def back(error: BaseException) -> Any:
        data = describe(error, {}).exception
        assert data is not None
        return pickle.loads(data)

    two = back(Two(1, 2))
    assert (type(two), two.args, two.a) == (Two, ("1 and 2",), 1)
    assert back(Doubled("x")).args == ("<x>",)
    named = back(Named("/nowhere"))
    assert (named.errno, named.filename, str(named)) == (2, "/nowhere", "[Errno 2] not there: '/nowhere'")
    missing = back(Missing())
    assert (missing.msg, missing.name, missing.path) == ("no", "it", "/p")
    new = back(New("k", extra=4))
    assert (new.args, new.extra) == (("k",), 4)
    group = back(Group([Two(1, 2), ValueError("v")]))
    assert (group.message, [str(error) for error in group.exceptions]) == ("all", ["1 and 2", "v"])
    assert back(Own(7)).code == 7
    noted = Two(3, 4)
    noted.add_note("a note")
    assert back(noted).__notes__ == ["a note"]


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(2, "no", "/p"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "r")]
)
def test_what_pickles_well_is_left_alone(error: BaseException) -> None:
    assert reduced_exception(error) is NotImplemented
    made = make_exception(type(error), error.args)
    assert (type(made), made.args) == (type(error), error.args)
