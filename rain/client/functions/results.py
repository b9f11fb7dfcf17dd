"""The outputs of a remote function as declared, and how what it returns is encoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rain.client.building.given import check_labels
from rain.client.io_spec import Output, OutputBase, as_output, check_output_count, listed, merge_outputs
from rain.common.errors import RainException
from rain.common.states import DataType
from rain.objects.content_types.registry import merge_content_types


class Results:
    """The outputs that a remote function declares.

    Attributes
    ----------
    declared : list of OutputBase
        The outputs as they were declared.
    outputs : list of OutputBase
        The outputs with `auto_encode` where they declare no encoding.
    encode : list of (str or None)
        How each output is encoded; empty if none is.

    Raises
    ------
    RainException
        If `outputs` declares no outputs, or `auto_encode` is no encoding.
    """

    __slots__ = ("_auto_encode", "_owner", "declared", "encode", "outputs")

    def __init__(self, owner: str, outputs: Any, auto_encode: str | None) -> None:
        self._owner = owner
        self._auto_encode = auto_encode
        self.declared = self._declared(outputs)
        self.outputs, self.encode = self._finished(self.declared)

    def merged(self, output: Any, outputs: Any) -> tuple[list[OutputBase], list[str | None]]:
        """Outputs and encodings of a call that gives outputs of its own.

        Raises
        ------
        RainException
            If those do not fit the declared ones.
        """
        made, encode = self._finished(merge_outputs(self.declared, output, outputs, self._owner))
        check_labels([item.label for item in made], f"outputs of {self._owner}")
        return made, encode

    def _declared(self, outputs: Any) -> list[OutputBase]:
        owner = self._owner
        if outputs is None:
            outputs = 1
        if isinstance(outputs, bool):
            raise RainException(f"{owner}: outputs are a number, labels or Outputs, not {outputs}")
        if isinstance(outputs, int):
            outputs = [None] * check_output_count(outputs, owner)
        elif isinstance(outputs, str | OutputBase) or not isinstance(outputs, Iterable):
            outputs = [outputs]
        made = []
        for index, item in enumerate(listed(outputs, f"outputs of {owner}")):
            output = as_output(item, owner)
            made.append(output.merge(f"out{index}") if output.label is None else output)
        check_labels([output.label for output in made], f"outputs of {owner}")
        return made

    def _finished(self, prototypes: list[OutputBase]) -> tuple[list[OutputBase], list[str | None]]:
        """Outputs with `auto_encode` where they declare no encoding, and how each is encoded."""
        made, encode = [], []
        for output in prototypes:
            if self._auto_encode is not None and output.encode is None and output.data_type is DataType.BLOB:
                try:
                    merge_content_types(output.content_type, self._auto_encode)
                except RainException:
                    pass  # it has another content type, in which the function itself writes it
                else:
                    output = output.merge(Output(encode=self._auto_encode))
            made.append(output)
            encode.append(output.encode)
        return made, encode if any(encode) else []
