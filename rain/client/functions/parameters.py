"""The parameters of a remote function: what its signature and ``inputs=`` say of each."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rain.client.functions.annotations import declared_by, signature_of
from rain.client.io_spec import InputBase
from rain.common.errors import RainException
from rain.common.jupyter.tracebacks import shorten

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """The parameters of a function: of a remote one those after its context.

    Attributes
    ----------
    owner : str
        The function's name, for errors.
    signature : inspect.Signature
        The signature without the context; one that takes any arguments, if a function written in C has none.
    named : frozenset of str
        The parameters other than ``*args`` and ``**kwargs``.
    fixed : int
        How many parameters can be given by position.
    var_positional : str or None
        The name of ``*args``.
    inputs : dict of str to InputBase
        Declared inputs, by parameter.
    auto_load : bool
        Whether objects arrive as loaded values where nothing is declared.

    Raises
    ------
    RainException
        If the function has no context, or inputs are declared for parameters that it does not have.
    """

    __slots__ = (
        "_count_max", "_count_min", "_lead", "_names", "_var_keyword", "_whole", "auto_load", "fixed", "inputs",
        "named", "owner", "signature", "var_positional",
    )  # fmt: skip

    def __init__(
        self,
        function: Any,
        owner: str,
        annotations: dict[str, Any],
        inputs: Any,
        auto_load: bool,
        with_context: bool = True,
    ) -> None:
        self.owner = owner
        self.auto_load = auto_load
        self._lead = (None,) if with_context else ()
        self._read(_signature_with_context(function, owner) if with_context else _plain_signature(function))
        self.inputs = self._declared(annotations, inputs)

    def _read(self, signature: inspect.Signature) -> None:
        parameters = list(signature.parameters.values())
        self._whole = signature
        if self._lead and parameters[0].kind in _POSITIONAL:
            parameters = parameters[1:]
        self.signature = signature.replace(parameters=parameters)
        self._names = [parameter.name for parameter in parameters]
        self.named = frozenset(p.name for p in parameters if p.kind not in _VARIADIC)
        self.var_positional = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._var_keyword = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        self.fixed = sum(parameter.kind in _POSITIONAL for parameter in parameters)
        # Calls with so many positional arguments need no `bind`.
        plain = all(parameter.kind in _POSITIONAL for parameter in parameters)
        required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        self._count_min, self._count_max = (required, len(parameters)) if plain else (1, 0)

    def _declared(self, annotations: dict[str, Any], inputs: Any) -> dict[str, InputBase]:
        declared = {}
        for name in self._names:
            found = declared_by(annotations.get(name), InputBase)
            if found is not None:
                declared[name] = found
        if isinstance(inputs, Mapping):
            given = dict(inputs)
        else:
            given = {}
            for item in (inputs,) if isinstance(inputs, InputBase) or not isinstance(inputs, Iterable) else inputs:
                if not isinstance(item, InputBase) or item.label is None:
                    raise RainException(
                        f"remote function {self.owner}: inputs= is a dict of parameter names and Inputs, not {item!r}"
                    )
                given[item.label] = item
        for name, item in given.items():
            if name not in self._names and self._var_keyword is None:
                raise RainException(f"remote function {self.owner} has no parameter {name!r}, but inputs= names it")
            if isinstance(item, type) and issubclass(item, InputBase):
                item = item()
            if not isinstance(item, InputBase):
                raise RainException(f"remote function {self.owner}: inputs[{name!r}] is an Input, not {item!r}")
            declared[name] = item
        return declared

    def fits(self, count: int) -> bool:
        """Whether a call with `count` positional arguments, and no others, fits the signature without `bound`."""
        return self._count_min <= count <= self._count_max

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the function gets them.

        Raises
        ------
        TypeError
            If the arguments do not fit the signature.
        """
        try:
            bound = self._whole.bind(*self._lead, *args, **kwargs)
        except TypeError as error:
            wrong = TypeError(f"{self.owner}(): {error}{self._no_context()}")
            shorten(wrong)
            raise wrong from None
        return bound.args[len(self._lead) :], bound.kwargs

    def _no_context(self) -> str:
        """The hint for an error if the first parameter seems to be meant for a value, not for the context."""
        first = next(iter(self._whole.parameters.values()), None) if self._lead else None
        if first is None or first.kind not in _POSITIONAL:
            return ""
        told = f"{first.name} {first.annotation if first.annotation is not first.empty else ''}".lower()
        if first.name.startswith("_") or first.name == "c" or any(word in told for word in ("ctx", "context")):
            return ""
        return (
            f"; a remote function's first parameter, here {first.name!r}, is its context: write "
            f"def {self.owner}(ctx, {first.name}, …), or use @rain.task, whose functions have none"
        )

    def with_names(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Arguments with the names of their parameters."""
        names, fixed, rest = self._names, self.fixed, self.var_positional or ""
        named = [(names[index] if index < fixed else rest, value) for index, value in enumerate(args)]
        named += kwargs.items()
        return named

    def label(self, name: str, number: int) -> str:
        """The label of an object that is the argument with this name and number."""
        return f"{name}[{number - self.fixed}]" if name == self.var_positional else name

    def declared(self, name: str) -> InputBase | None:
        """The declared input of a parameter; None if nothing is declared."""
        return self.inputs.get(name) or (self.inputs.get(self._var_keyword or "") if name not in self._names else None)

    def is_loaded(self, name: str) -> bool:
        """Whether objects in this argument arrive as loaded values."""
        config = self.declared(name)
        return self.auto_load if config is None or config.load is None else config.load

    def is_writable(self, name: str) -> bool:
        """Whether the function may change what it loads of this argument."""
        config = self.declared(name)
        return config is None or config.writable


def _signature_with_context(function: Any, owner: str) -> inspect.Signature:
    try:
        signature = signature_of(function)
    except (TypeError, ValueError) as error:
        raise RainException(f"the signature of {function!r} cannot be read: {error}") from None
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
        raise RainException(
            f"the first parameter of remote function {owner} must be the context: def {owner}(ctx, ...); "
            "functions without one are tasks by @rain.task"
        )
    return signature


def _plain_signature(function: Any) -> inspect.Signature:
    try:
        return signature_of(function)
    except (TypeError, ValueError):  # written in C
        return inspect.signature(lambda *args, **kwargs: None)
