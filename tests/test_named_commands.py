"""Commands of `rain` that texts and pages tell users to type exist, with the options that are named."""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rain.cli.commands import app
from rain.cli.daemon import _parser
from rain.deploy.pools.choice import SUPPLIES, options_of

ROOT = Path(__file__).parents[1]
GROUPS = "|".join(f"{group.name or group.typer_instance.info.name} " for group in app.registered_groups)
NAMED = re.compile(rf"(?:`|^ *|[:,;(] |\")rain ((?:{GROUPS})?[a-z][a-z0-9-]*)((?: [^`;)\"'|#]*)?)")
OPTION = re.compile(r"(?<![\w=-])--[a-z][a-z-]*|(?<![\w=-])-[a-zA-Z](?![\w-])")
INTERNAL = {"guardian", "hold", "hosts", "pool-keeper"}
"""Commands that processes of Rain start, and no user."""
THREADS = {"connector", "executor", "listener", "results"}
"""Names of threads, which begin with the word too."""


def _texts() -> Iterator[tuple[str, str]]:
    """Where each text stands, and the text."""
    for path in sorted(ROOT.glob("rain/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
                yield f"{path}:{node.lineno}", "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path}:{node.lineno}", node.value
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield f"{path}:{number}", line
    for path in ROOT.glob("notebooks/*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            for line in cell["source"]:
                yield str(path), line


def _options() -> dict[str, set[str]]:
    """The options of each command."""
    found: dict[str, set[str]] = {}

    def add(command: object, name: str) -> None:
        for word, inner in getattr(command, "commands", {}).items():
            add(inner, f"{name} {word}".strip())
        found[name] = {option for one in getattr(command, "params", ()) for option in (*one.opts, *one.secondary_opts)}

    add(typer.main.get_command(app), "")
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                found[name] = set(parser._option_string_actions)
    found["help"] = set()
    return found


def _of_places() -> set[str]:
    """Options that some engine takes for its places."""
    own = {f"--{option.replace('_', '-')}" for engine in SUPPLIES for option in options_of(engine)}
    return own | {"--nodes", "--name"}


def _has_engine(command: str, words: list[str], rest: str) -> bool:
    return command == "pool add" or "--on" in words or (command == "doctor" and any(one in rest for one in SUPPLIES))


def _named(text: str) -> Iterator[tuple[str, list[str], str]]:
    """The commands in a text, their options, and all that stands behind them."""
    for match in NAMED.finditer(text):
        yield match[1], OPTION.findall(match[2].partition(" -- ")[0]), match[2]


def test_commands_that_texts_name_exist() -> None:
    options, of_places = _options(), _of_places()
    wrong, seen = [], set()
    for where, text in _texts():
        if "rain " not in text:
            continue
        for command, words, rest in _named(text):
            if command in INTERNAL | THREADS:
                continue
            seen.add(command)
            known = options.get(command)
            if known is None:
                wrong.append(f"{where}: rain {command}")
                continue
            known = known | {"--help"} | (of_places if _has_engine(command, words, rest) else set())
            wrong += [f"{where}: rain {command} {word}" for word in words if word not in known]
    assert not wrong, "\n".join(wrong)
    assert {"start", "status", "doctor", "pool add", "journal check", "governor"} <= seen


def test_the_list_of_commands_says_all_of_each() -> None:
    listed = CliRunner().invoke(app, ["--help"], prog_name="rain").stdout
    assert "doctor" in listed
    assert "...\n" not in listed.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("in use: rain start --port N takes another one", ("start", ["--port"])),
        ("`rain pool add slurm --nodes 2 -- --account=abc`", ("pool add", ["--nodes"])),
        ("    rain status --token --role governor   # for hosts", ("status", ["--token", "--role"])),
    ],
)
def test_what_a_text_names(text: str, named: tuple[str, list[str]]) -> None:
    assert [found[:2] for found in _named(text)] == [named]
