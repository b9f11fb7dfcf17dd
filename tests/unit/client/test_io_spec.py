"""Inputs, outputs, and how they are merged."""

from __future__ import annotations

from typing import Any

import pytest

from rain import DataObject, DataType, Input, InputDir, Output, OutputDir, RainException, Session, blob
from rain.client.io_spec import merge_outputs


def test_representations() -> None:
    assert repr(Input("a", path="b.txt", load=True)) == "Input('a', path='b.txt', load=True)"
    assert repr(OutputDir("a", size_hint=3)) == "OutputDir('a', size_hint=3)"


def test_a_size_is_a_number_of_bytes(detached: Session) -> None:
    numpy = pytest.importorskip("numpy")
    for given, bytes_ in ((0, 0), (1.5e6, 1_500_000), (0.1, 1), (numpy.float32(2.5), 3), (numpy.int64(7), 7)):
        assert Output("a", size_hint=given).size_hint == bytes_
        assert DataObject(size_hint=given).spec.size_hint == bytes_
    for wrong in (-1, -0.5, float("nan"), float("inf"), 1e30, True, "3", b"3", [], 2j):
        for make in (Output, OutputDir, DataObject):
            with pytest.raises(RainException, match=r"size_hint of .* is a number of bytes"):
                make(size_hint=wrong)


@pytest.mark.parametrize(
    ("prototype", "given", "label", "content_type"),
    [
        (Output("a", encode="json"), None, "a", "json"),
        (Output("a", encode="json"), "b", "b", "json"),
        (Output("a", content_type="text"), Output("b"), "b", "text"),
        (Output("a", content_type="text"), Output(content_type="text-latin-1"), "a", "text-latin-1"),
        (Output("a"), Output(content_type="json"), "a", "json"),
        (Output("a", content_type="pickle"), Output(encode="cloudpickle"), "a", "cloudpickle"),
        (OutputDir("a"), OutputDir("b"), "b", "dir"),
        (OutputDir("a"), "b", "b", "dir"),
    ],
)
def test_merging(prototype: Any, given: Any, label: str, content_type: str) -> None:
    merged = prototype.merge(given)
    assert (merged.label, merged.declared_type) == (label, content_type)
    assert type(merged) is type(prototype)


@pytest.mark.parametrize(
    ("prototype", "given"),
    [
        (Output("a", content_type="text"), Output("b", content_type="json")),
        (Output("a", encode="json"), Output("b", encode="pickle")),
        (Output("a"), OutputDir("a")),
        (OutputDir("a"), Output("a")),
        (Output("a"), 7),
    ],
)
def test_what_does_not_fit(prototype: Any, given: Any) -> None:
    with pytest.raises(RainException):
        prototype.merge(given)


def test_outputs_are_merged_in_order_and_must_be_as_many() -> None:
    prototypes: list[Any] = [Output("a", encode="json"), Output("b")]
    merged = merge_outputs(prototypes, None, [None, Output("c", content_type="text")], "f")
    assert [(item.label, item.declared_type) for item in merged] == [("a", "json"), ("c", "text")]
    assert merge_outputs(prototypes, None, None, "f") is prototypes
    assert merge_outputs(prototypes, None, 2, "f") is prototypes
    assert [item.label for item in merge_outputs([Output("a")], "x", None, "f")] == ["x"]
    with pytest.raises(RainException, match="2 outputs, but 1"):
        merge_outputs(prototypes, None, ["a"], "f")
    with pytest.raises(RainException, match="2 outputs, not 3"):
        merge_outputs(prototypes, None, 3, "f")
    with pytest.raises(RainException, match="not both"):
        merge_outputs(prototypes, "a", ["a", "b"], "f")


def test_encode_and_content_type_agree() -> None:
    assert Output("a", encode="text-utf-8", content_type="text").declared_type == "text-utf-8"
    with pytest.raises(RainException, match="contradict"):
        Output("a", encode="json", content_type="text")
    with pytest.raises(ValueError, match="unknown content type"):
        Output("a", encode="jsn")
    with pytest.raises(RainException, match="OutputDir"):
        Output("a", content_type="dir")
    with pytest.raises(RainException, match="directory"):
        OutputDir("a", encode="json")


@pytest.mark.parametrize("path", ["/etc", "..", "../a", "a/../../b", "", ".", "a\0"])
def test_paths_stay_inside(path: str) -> None:
    with pytest.raises(RainException, match="path"):
        Input("a", path=path)
    with pytest.raises(RainException, match="path"):
        Output("a", path=path)


def test_inputs_check_their_object(detached: Session) -> None:
    assert Input("a", dataobj=blob("text")).dataobj is not None
    with pytest.raises(RainException, match="content type 'json'"):
        Input("a", dataobj=blob("text"), content_type="json")
    with pytest.raises(RainException, match="use Input"):
        InputDir("a", dataobj=blob("text"))
    with pytest.raises(RainException, match="loaded"):
        InputDir("a", load=True)
    with pytest.raises(RainException, match="label"):
        Input(7)  # type: ignore[arg-type]
    assert InputDir("a").data_type is DataType.DIRECTORY
