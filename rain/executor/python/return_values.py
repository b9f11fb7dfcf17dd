"""From what a function returned to the outputs of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rain.common.attributes import check_user
from rain.common.errors import RainException
from rain.common.formatting import is_unicode
from rain.common.ids import ID
from rain.common.labeled_list import LabeledList
from rain.common.location import SameAs, Stored
from rain.common.protocol.messages import ExecutorInput, OutputResult
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.executor.staging import Staging
from rain.objects.content_types.registry import content_type_of, is_subtype
from rain.objects.content_types.text import text_encoding
from rain.objects.data_instance import DataInstance
from rain.objects.intake import output_of

_KEPT_AS = ("pickle", "cloudpickle")


class ReturnRefused(RainException):
    """What a function returned cannot be taken as the declared outputs.

    Attributes
    ----------
    outputs : list of OutputResult
        What it returned instead, pickled: so much of it as can be.
    """

    def __init__(self, message: str, outputs: list[OutputResult]) -> None:
        super().__init__(message)
        self.outputs = outputs


class ReturnValues:
    """Turns the value that a function returned into outputs.

    Parameters
    ----------
    name : str
        The function's, for messages.
    outputs : sequence of ObjectSpec
        What was declared.
    encode : sequence of (str or None)
        As what values are encoded, one for each output; empty: none is.
    inputs : mapping of ID to ExecutorInput
        The task's inputs: one that is returned passes through without a copy.
    staging : Staging
    plain : bool
        Whether any value is taken where nothing is declared.
    """

    __slots__ = ("_encode", "_inputs", "_name", "_outputs", "_plain", "_staging")

    def __init__(
        self,
        name: str,
        outputs: Sequence[ObjectSpec],
        encode: Sequence[str | None],
        inputs: Mapping[ID, ExecutorInput],
        staging: Staging,
        plain: bool = False,
    ) -> None:
        self._name = name
        self._outputs = outputs
        self._encode = encode or [None] * len(outputs)
        self._inputs = inputs
        self._staging = staging
        self._plain = plain

    def take(self, value: Any) -> list[OutputResult]:
        """The outputs, in order.

        Raises
        ------
        ReturnRefused
            If `value` is not what was declared, or cannot be encoded as that.
        """
        try:
            return self._taken(value)
        except RainException as error:
            self._staging.take_back()
            kept, whole = self._kept(value)
            raise ReturnRefused(f"{error}{self._where(value, kept, whole)}", kept) from error

    def _taken(self, value: Any) -> list[OutputResult]:
        outputs = self._outputs
        if len(outputs) == 1:
            return [self._one(value, outputs[0], self._encode[0])]
        if not outputs:
            if value is not None:
                raise RainException(
                    f"the function {self._name} returned {_what(value)}, but the task has no outputs: "
                    "declare outputs=, or return None"
                )
            return []
        values = self._several(value)
        return [self._one(*each) for each in zip(values, outputs, self._encode, strict=True)]

    def _kept(self, value: Any) -> tuple[list[OutputResult], bool]:
        """What was returned, pickled, each value in its output's place; or (True) the whole of it in the first."""
        values: Sequence[Any] = [value]
        whole = len(self._outputs) > 1
        if whole:
            try:
                values, whole = self._several(value), False
            except RainException:
                pass
        kept = [self._kept_one(*each) for each in zip(values, self._outputs, strict=False)]
        return [output for output in kept if output is not None], whole

    def _kept_one(self, value: Any, spec: ObjectSpec) -> OutputResult | None:
        if value is None:
            return None
        if isinstance(value, DataInstance):
            if value.reader.is_dir:
                return None
            return output_of(spec, self._location_of(value), value.content_type)
        for content_type in _KEPT_AS:
            try:
                stored = self._staging.store(value, content_type)
            except RainException:
                continue
            output = self._stored(stored, spec, None)
            output.info.content_type = content_type
            output.info.encoded = True
            return output
        return None

    def _where(self, value: Any, kept: Sequence[OutputResult], whole: bool) -> str:
        if kept:
            what = "all that it returned is" if whole else "what it returned is"
            return f". But {what} not lost: task.fetch_refused() gets it"
        lost = self._outputs and value is not None and not isinstance(value, DataInstance)
        return ". It could not be pickled either, and is lost" if lost else ""

    def _several(self, value: Any) -> Sequence[Any]:
        """One value for each of several outputs."""
        labels = [spec.label for spec in self._outputs]
        if isinstance(value, Mapping):
            return self._by_label(value, labels)
        if isinstance(value, LabeledList):
            given = list(value.labels)
            if any(label is not None for label in given):
                return self._by_label(dict(zip(given, value.data, strict=True)), labels)
            value = list(value.data)
        if not isinstance(value, list | tuple):
            raise RainException(
                f"the function {self._name} returned {_what(value)}, but the task has {len(labels)} outputs "
                f"({_listed(labels)}): return a list, tuple, LabeledList, or a dict by label"
            )
        if len(value) != len(labels):
            raise RainException(
                f"the function {self._name} returned {len(value)} values ({type(value).__name__}), but the task has "
                f"{len(labels)} outputs ({_listed(labels)})"
            )
        return value

    def _by_label(self, values: Mapping[Any, Any], labels: Sequence[str | None]) -> Sequence[Any]:
        if set(values) != set(labels) or len(values) != len(labels):
            missing = [label for label in labels if label not in values]
            unknown = [label for label in values if label not in labels]
            parts = [f"missing are {_listed(missing)}"] * bool(missing) + [f"unknown are {_listed(unknown)}"] * bool(
                unknown
            )
            raise RainException(
                f"the function {self._name} returned values with the labels {_listed(values)}, but the task has the "
                f"outputs {_listed(labels)}: {'; '.join(parts) or 'the labels of its outputs are not unique'}"
            )
        return [values[label] for label in labels]

    def _one(self, value: Any, spec: ObjectSpec, encode: str | None) -> OutputResult:
        if isinstance(value, DataInstance):
            return self._instance(value, spec, encode)
        if spec.data_type == "dir":
            raise self._wrong(value, spec, "a directory output takes what ctx.stage_directory(path) gives, or an input")
        if encode is not None:
            try:
                stored = self._staging.store(value, encode)
            except RainException as error:
                raise RainException(f"{_output(spec)} of {self._name}: {error}") from error
            output = self._stored(stored, spec, encode)
            output.info.encoded = True
            return output
        if self._plain:
            return self._any(value, spec)
        if isinstance(value, str):
            return self._text(value, spec)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._stored(self._staging.store_bytes(value), spec, None)
        raise self._wrong(
            value,
            spec,
            "without encode= it must be bytes, str or a DataInstance (from ctx.blob, ctx.pickled, ctx.stage_file, or "
            'an input); for other values declare for instance Output(encode="pickle"), or auto_encode="pickle", or use '
            "@rain.task, whose functions return any value",
        )

    def _any(self, value: Any, spec: ObjectSpec) -> OutputResult:
        """A value of which nothing is declared, so that it comes back as it is."""
        kind = type(value)
        if kind is bytes:
            return self._stored(self._staging.store_bytes(value), spec, None)
        if kind is str and is_unicode(value):
            return self._stored(self._staging.store_bytes(value.encode()), spec, "text")
        try:
            stored, content_type = self._staging.store(value, "pickle"), "pickle"
        except RainException:  # functions, and classes of a notebook or script
            try:
                stored, content_type = self._staging.store(value, "cloudpickle"), "cloudpickle"
            except RainException as error:
                raise RainException(f"what {self._name} returned cannot be stored: {error}") from error
        output = self._stored(stored, spec, content_type)
        output.info.encoded = True
        return output

    def _text(self, value: str, spec: ObjectSpec) -> OutputResult:
        declared = spec.content_type
        if declared is not None and not content_type_of(declared).holds_text:
            raise self._wrong(value, spec, f"a str is no data of type {declared!r}; use encode={declared!r}")
        try:
            data = value.encode(text_encoding(declared))
        except UnicodeEncodeError as error:
            raise RainException(
                f"{_output(spec)} of {self._name}: the text cannot be encoded as {declared or 'text'!r}: {error}"
            ) from None
        return self._stored(self._staging.store_bytes(data), spec, None if declared else "text")

    def _stored(self, stored: Stored, spec: ObjectSpec, content_type: str | None) -> OutputResult:
        """A new value; `content_type` is its dynamic type."""
        if content_type == spec.content_type:
            content_type = None
        return output_of(spec, self._staging.give(stored), content_type)

    def _instance(self, value: DataInstance, spec: ObjectSpec, encode: str | None) -> OutputResult:
        if value.data_type.value != spec.data_type:
            kinds = {"blob": "a blob", "dir": "a directory"}
            raise self._wrong(
                value,
                spec,
                f"it is {kinds[value.data_type.value]}, but the output was declared as {kinds[spec.data_type]}",
            )
        dynamic, declared = value.content_type, spec.content_type or encode
        if dynamic is not None and not is_subtype(dynamic, declared):
            raise self._wrong(value, spec, f"its content type {dynamic!r} is no subtype of the declared {declared!r}")
        if dynamic == spec.content_type:
            dynamic = None
        user = check_user(value.info.user, f"info.user of what {self._name} returned")
        info = ObjectInfo(size=value.reader.size, content_type=dynamic, user=user, encoded=value.info.encoded)
        if value.spec is not None and value.spec.id in self._inputs:
            return OutputResult(spec.id, info, SameAs(value.spec.id))
        return OutputResult(spec.id, info, self._location_of(value))

    def _location_of(self, value: DataInstance) -> Stored:
        reader = value.reader
        if self._staging.is_own(reader):
            return self._staging.give_staged(reader)
        if reader.is_dir:
            return self._staging.copy_directory(value)
        return self._staging.give(self._staging.store_bytes(reader.buffer()))

    def _wrong(self, value: Any, spec: ObjectSpec, why: str) -> RainException:
        declared = f"content type {spec.content_type!r}" if spec.content_type else "no content type"
        if spec.data_type == "dir":
            declared = "a directory"
        return RainException(
            f"the function {self._name} returned {_what(value)} as {_output(spec)} (declared: {declared}): {why}"
        )


def _what(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, DataInstance):
        return repr(value)
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    article = "an" if name[:1].lower() in "aeio" else "a"
    return f"{article} {name}"


def _output(spec: ObjectSpec) -> str:
    return f"output {spec.label!r}" if spec.label is not None else f"output {spec.id}"


def _listed(labels: Any) -> str:
    return ", ".join(map(repr, labels)) or "none"
