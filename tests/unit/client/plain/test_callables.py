"""Callables are taken apart into a function and the arguments before those of a call."""

from __future__ import annotations

import functools
from typing import Any

from rain.client.plain.callables import taken_apart


class Model:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x

    def fit(self, x: int) -> int:
        return self.factor + x

    @classmethod
    def made(cls, x: int) -> Any:
        return cls(x)

    @staticmethod
    def same(x: int) -> int:
        return x


def test_a_method_is_its_function_with_the_instance_first() -> None:
    model = Model(3)
    called = taken_apart(model.fit)
    assert called.function is vars(Model)["fit"]
    assert called.args == (model,)
    assert called.name == "fit"
    assert taken_apart(Model.made).args == (Model,)
    assert taken_apart(Model.same).args == ()


def test_partials_give_their_arguments_innermost_first() -> None:
    inner = functools.partial(pow, 2, mod=5)
    called = taken_apart(functools.partial(inner, 3, mod=7))
    assert called.function is pow
    assert called.args == (2, 3)
    assert called.kwargs == {"mod": 7}
    model = Model(3)
    assert taken_apart(functools.partial(model.fit, 4)).args == (model, 4)


def test_an_instance_with_a_call_is_named_after_its_class() -> None:
    model = Model(3)
    called = taken_apart(model)
    assert called.function(*called.args, 4) == 12
    assert called.name == "Model"


def test_functions_classes_and_builtin_methods_stay_as_they_are() -> None:
    for callable_ in (len, Model, lambda x: x, "ab".upper):
        assert taken_apart(callable_)[:3] == (callable_, (), {})
