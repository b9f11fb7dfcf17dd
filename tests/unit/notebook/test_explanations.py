"""Why a task waits, in one sentence."""

from __future__ import annotations

import pytest

from rain.notebook.explanations import SENTENCE_CHARS_MAX, in_a_sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Task a (1/9) waits for 2 of its 3 inputs:\n  object x (1/2), made by task b (1/1), which is running\n"
            "  object y (1/4), made by task c (1/3), which is ready\nIt was given to governor g:1 ahead of time.",
            "Waits for 2 of its 3 inputs: object x (1/2), made by task b (1/1), which is running (and 1 more)",
        ),
        (
            "Task a (1/9) is ready: all its inputs are there. It asks for 1 cpus, and waits for room on a governor:\n"
            "  g:1: 2 of 2 cpus asked for, 5 tasks",
            "It asks for 1 cpus, and waits for room on a governor: g:1: 2 of 2 cpus asked for, 5 tasks",
        ),
        (
            "Task a (1/9) is ready: all its inputs are there. It asks for 1 cpus, and waits for room on a governor:\n"
            "  g:1: 2 of 2 cpus asked for, 5 tasks\n  g:2: 2 of 2 cpus asked for, 4 tasks\n"
            "  or on a place of slurm with 4 cpus: 2 asked for, pending (Resources)",
            "It asks for 1 cpus, and waits for room on a governor: g:1: 2 of 2 cpus asked for, 5 tasks (and 1 more), "
            "or on a place of slurm with 4 cpus: 2 asked for, pending (Resources)",
        ),
        (
            "Task a (1/9) is ready: all its inputs are there. It asks for 1 gpus, which no governor here has, and "
            "waits for a place of slurm with 4 cpus, 1 gpus: 2 asked for, pending (Resources).",
            "It asks for 1 gpus, which no governor here has, and waits for a place of slurm with 4 cpus, 1 gpus: 2 "
            "asked for, pending (Resources).",
        ),
        (
            "Task a (1/9) is waiting. Nothing can run: no governor is here. This is attempt 2.",
            "Is waiting. Nothing can run: no governor is here.",
        ),
        ("", ""),
    ],
)
def test_one_sentence_is_left(text: str, sentence: str) -> None:
    assert in_a_sentence(text, "a (1/9)") == sentence


def test_names_may_be_long_and_odd() -> None:
    name = "is ready: all its inputs are there. <b>" + "x" * 1000
    said = in_a_sentence(f"Task {name} waits for 1 of its 1 inputs:\n  object o (1/1)", name)
    assert said == "Waits for 1 of its 1 inputs: object o (1/1)"
    assert len(in_a_sentence(f"Task a waits for 1 of its 1 inputs:\n  object {name}", "a")) == SENTENCE_CHARS_MAX
