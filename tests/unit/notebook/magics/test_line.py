"""The line of ``%%rain_remote``."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.notebook.magics.remote_line_parser import LOAD, parse_line


def test_nothing() -> None:
    found = parse_line("")
    assert (found.name, found.outputs, found.run, found.cpus, found.auto_load) == ("", None, None, None, False)


def test_options() -> None:
    found = parse_line("--cpus 2 --outputs even,odd:json --name a/b --auto-load --auto-encode=json --echo")
    assert (found.cpus, found.path, found.auto_load, found.auto_encode, found.echo) == (2, "a/b", True, "json", True)
    assert [(item.name, item.type) for item in found.outputs or ()] == [("even", None), ("odd", "json")]
    assert parse_line("--cpus 0.5").cpus == 0.5
    assert parse_line('--name "two words"').path == "two words"


def test_signature() -> None:
    line = "--cpus 2 count_words (text: load, raw, table: mime/text/csv, *more: json, n=(1, 2), **rest) -> a: json,b"
    found = parse_line(line)
    assert found.name == "count_words"
    assert [(item.source, item.type) for item in found.parameters] == [
        ("text", LOAD),
        ("raw", None),
        ("table", "mime/text/csv"),
        ("*more", "json"),
        ("n=(1, 2)", None),
        ("**rest", None),
    ]
    assert [(item.name, item.type) for item in found.outputs or ()] == [("a", "json"), ("b", None)]
    for item in [*found.parameters, *(found.outputs or ())]:
        assert line[item.column :].startswith(item.name)


def test_markers_between_parameters() -> None:
    assert [item.source for item in parse_line("f(a, /, b, *, c: load = '->')").parameters] == [
        "a", "/", "b", "*", "c='->'",
    ]  # fmt: skip
    assert parse_line("f()").parameters == []


def test_defaults_with_types() -> None:
    (item,) = parse_line("f(x: json = {'a': 1})").parameters
    assert (item.name, item.type, item.default) == ("x", "json", "{'a': 1}")


@pytest.mark.parametrize("line", ["--run a=x b='y z' f(a, b) -> c", "f(a, b) -> c --run a=x b='y z'"])
def test_options_on_both_sides_of_the_signature(line: str) -> None:
    found = parse_line(line)
    assert found.run == {"a": "x", "b": "'y z'"}
    assert (found.name, len(found.parameters), len(found.outputs or ())) == ("f", 2, 1)


def test_run_takes_expressions() -> None:
    found = parse_line("--run a=blob('x, y') b=[1, 2] 'c=d + 1' --cpus 1")
    assert found.run == {"a": "blob('x, y')", "b": "[1, 2]", "c": "d + 1"}
    assert parse_line("--run").run == {}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--cpus", "--cpus needs a value"),
        ("--cpus x", "--cpus takes a number"),
        ("--cpu 1", "did you mean --cpus?"),
        ("--nothing", "there is no option --nothing\n"),
        ("--cpus 1 --cpus 2", "--cpus is given twice"),
        ("--auto-load=1", "--auto-load takes no value"),
        ("--auto-encode jsn", "unknown content type"),
        ("--run a=1 a=2", "--run gives 'a' twice"),
        ("--outputs a f() -> b", "use one of them"),
        ("f() -> b --outputs a", "use one of them"),
        ("f() --echo g()", "is too much"),
    ],
)
def test_wrong_options(line: str, text: str) -> None:
    with pytest.raises(RainException) as caught:
        parse_line(line)
    assert text in str(caught.value)
    assert "usage: %%rain_remote [--cpus N]" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("f(a: lod) -> b", 5, "unknown content type 'lod'"),
        ("f(a) -> b: lod", 11, "unknown content type 'lod'"),
        ("f(a:) -> b", 4, "the type of 'a' is missing"),
        ("f(1a)", 2, "a parameter is a name"),
        ("f(a) -> a-b", 8, "an output is a name"),
        ("f(a) ->", 5, "after -> come the outputs"),
        ("f(a) -> b, b", 11, "output 'b' is there twice"),
        ("f(a", 1, "'(' was never closed"),
        ("f(ctx)", 2, "ctx is always there"),
        ("class()", 0, "is a keyword"),
        ("f", 0, "neither an option nor a signature"),
        ("--cpus 1 f(a) b", 14, "after the parameters comes ->"),
    ],
)
def test_wrong_signatures(line: str, column: int, text: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        parse_line(line)
    assert text in str(caught.value)
    assert caught.value.offset == column + 1
