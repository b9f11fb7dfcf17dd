"""What tests are written with."""

from __future__ import annotations

import pytest

from tests.support.graphs import parse


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
