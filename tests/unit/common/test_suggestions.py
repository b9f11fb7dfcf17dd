"""The name that was meant is found by meaning, then by letters."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rain import Client, Input, Output, Program, Session, blob, remote, task, tasks
from rain.common.suggestions.nearest import hint, nearest

OPTIONS = ["cpus", "env", "name", "resources", "retries", "timeout", "input_paths", "output_paths", "stdout"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("inputs", "input_paths"),
        ("output", "output_paths"),
        ("cpu", "cpus"),
        ("num_cpus", "cpus"),
        ("threads", "cpus"),
        ("max_retries", "retries"),
        ("retry", "retries"),
        ("environment", "env"),
        ("stdot", "stdout"),
        ("gpus", 'resources={"gpus": 1}'),
        ("memory", 'resources={"mem": bytes}'),
        ("Timeout", "timeout"),
        ("colour", ""),
        ("x", ""),
    ],
)
def test_the_nearest_in_meaning_is_suggested(given: str, meant: str) -> None:
    assert nearest(given, OPTIONS) == meant


def test_nothing_is_suggested_of_nothing() -> None:
    assert hint("cpus", []) == ""
    assert nearest("--priorty", ["--priority", "--cpus"]) == "--priority"


def local(**options: Any) -> Any:
    return Client.local(**options)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Program("ls", inputs=["a"]), "did you mean 'input_paths'? (it takes args, stdout"),
        (lambda: Program(["cat", Input("text")])(txt=None), "no input or option 'txt'; did you mean 'text'?"),
        (lambda: tasks.Execute("ls", std_out=True), "did you mean"),
        (lambda: tasks.Concat([], label="x"), "did you mean 'name'?"),
        (lambda: remote(encode="json")(len), "did you mean 'auto_encode'?"),
        (lambda: task(gpus=1)(len), 'did you mean resources={"gpus": 1}?'),
        (lambda: local(workers=2), "Client.local() got an unexpected keyword argument 'workers'; did you mean 'gov"),
        (lambda: Client(tokn="x"), "Client() got an unexpected keyword argument 'tokn'; did you mean 'token'?"),
        (lambda: Output("x", encoding="json"), "Output() got an unexpected keyword argument 'encoding'; did"),
        (lambda: Input("x", auto_load=True), "did you mean 'load'?"),
        (lambda: blob([1], format="json"), "did you mean 'encode'?"),
        (lambda: Session(None, 1).wait_all(verbose=True), "did you mean 'progress'?"),
    ],
)  # fmt: skip
def test_every_place_that_takes_options_says_what_was_meant(call: Any, said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        call()


def test_other_errors_of_a_call_stay_as_they_are() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        blob()  # type: ignore[call-arg]
