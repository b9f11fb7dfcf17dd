"""What tests are written with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.graphs import parse

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("a", {"a": []}),
        ("a -> b", {"a": [], "b": ["a"]}),
        ("a -> b c -> d", {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}),
        ("a -> c\nb -> c; d", {"a": [], "b": [], "c": ["a", "b"], "d": []}),
        ("a -> b; c -> a", {"c": [], "a": ["c"], "b": ["a"]}),
        ("a*2 -> b", {"a0": [], "a1": [], "b": ["a0", "a1"]}),
    ],
)
def test_a_text_is_a_graph(text: str, inputs: dict[str, list[str]]) -> None:
    nodes = parse(text)
    assert [(node.name, node.inputs) for node in nodes] == list(inputs.items())


def test_a_task_has_options() -> None:
    first, second = parse("first [cpus=2, priority=-1] -> second[kind='x/y']")
    assert first.options == {"cpus": 2, "priority": -1}
    assert second.options == {"kind": "x/y"}


@pytest.mark.parametrize("text", ["a -> b -> a", "a -> -> b", "a -> ", "a - b"])
def test_what_is_no_graph(text: str) -> None:
    with pytest.raises(ValueError, match=r"circle|empty|not a graph"):
        parse(text)


def test_interrupts_are_not_ignored() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_are_not_ignored_in_a_run_in_the_background() -> None:
    """As ``nohup make test &`` of a script starts it."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-p", "xdist", "-n", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"{__file__}::{test_interrupts_are_not_ignored.__name__}"],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
