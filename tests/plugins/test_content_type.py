"""A content type that another distribution adds: named everywhere, loaded only where values are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rain import Client, Input, Output, RainException, blob, remote
from rain.common.content_type import check_content_type, decode_value, encode_value, is_subtype, merge_content_types
from rain.objects.content_types import registry
from tests.plugins.conftest import Install

COLUMNS = "[rain.content_types]\ncolumns = rain_columns:Columns\n"
VALUE = {"x": [1.0, 2.5], "y": [0.0, -1.0]}


def test_there_and_back(install: Install) -> None:
    install("rain_columns", COLUMNS)
    data = encode_value(VALUE, "plugin/columns")
    assert data.startswith(b'{"names": ["x", "y"], "rows": 2}\n')
    assert decode_value(data, "plugin/columns") == VALUE
    assert "plugin/columns" in registry.names()
    with pytest.raises(RainException, match=r"a dict cannot be encoded as 'plugin/columns': ValueError: the columns"):
        encode_value({"x": [1.0], "y": []}, "plugin/columns")
    with pytest.raises(RainException, match=r"cannot be loaded as 'plugin/columns': ValueError: the data are cut off"):
        decode_value(data[:-1], "plugin/columns")


def test_names_need_no_plugin() -> None:
    assert check_content_type("plugin/nowhere/2") == "plugin/nowhere/2"
    assert is_subtype("plugin/a/b", "plugin/a")
    assert not is_subtype("plugin/ab", "plugin/a")
    assert merge_content_types("plugin/a", "plugin/a/b/c") == "plugin/a/b/c"
    for name in ("plugin/", "plugin//a", "plugin/a/", "plugin/a b", "plugin"):
        with pytest.raises(ValueError, match="unknown content type"):
            check_content_type(name)


def test_a_plugin_that_is_not_installed() -> None:
    for use in (lambda: encode_value(1, "plugin/nowhere"), lambda: decode_value(b"1", "plugin/nowhere")):
        with pytest.raises(RainException, match=r"'plugin/nowhere' needs a plug-in that is not installed here") as said:
            use()
        assert "get_bytes()" in str(said.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import nothing_of_this_name\n", r"rain_broken:Made \(rain_broken 2.1\).* cannot be loaded: ModuleNotFound"),
        ("def Made(): pass\n", r"is no rain.objects.content_types.ContentType but a function"),
        ("class Made: pass\n", r"is no rain.objects.content_types.ContentType but a Made"),
    ],
)
def test_a_plugin_that_is_none(install: Install, source: str, expected: str) -> None:
    install("rain_broken", "[rain.content_types]\nbroken = rain_broken:Made\n", "2.1", source)
    with pytest.raises(RainException, match=expected):
        decode_value(b"", "plugin/broken")


def test_two_plugins_of_one_name(install: Install) -> None:
    install("rain_columns", COLUMNS)
    install("rain_others", "[rain.content_types]\ncolumns = rain_others:Made\n", "1.0", "")
    with pytest.raises(RainException, match=r"more than one plug-in: rain_columns:Columns \(rain_columns"):
        encode_value(VALUE, "plugin/columns")


@remote(inputs=[Input("columns", load=True)], outputs=[Output("sums", encode="plugin/columns")])
def sums(ctx, columns):
    return {name: [sum(column)] for name, column in columns.items()}


def test_tasks_take_and_give_it(install: Install) -> None:
    install("rain_columns", COLUMNS)
    with Client.local(cpus=1) as client, client.new_session("columns") as session:
        task = sums(blob(VALUE, encode="plugin/columns"))
        task.output.keep()
        session.submit()
        data = task.output.fetch()
        assert data.content_type == "plugin/columns"
        assert data.load() == {"x": [3.5], "y": [-1.0]}


def test_daemons_never_load_it(install: Install, tmp_path: Path) -> None:
    site = install("rain_columns", COLUMNS)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import rain.server.shell, rain.governor.shell\n"
        "assert not {'rain_columns', 'rain.objects.content_types.registry'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
