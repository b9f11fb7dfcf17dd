"""Secrets in texts, also such as overlap."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rain.client.report.call_text import HIDDEN
from rain.notebook.report.redaction import CHARS_MIN, Secrets


@given(st.lists(st.text("abc", min_size=CHARS_MIN, max_size=9), min_size=1, max_size=5), st.text("abc", max_size=60))
@example(["abcabca", "bcacaabb"], "abcabcacaabb")
def test_no_character_of_a_secret_stays(secrets: list[str], text: str) -> None:
    for secret in (*secrets, ""):
        text += secret[: len(secret) - 2]  # so that they are met, whole and in part
    covered = [False] * len(text)
    for secret in secrets:
        for start in range(len(text) - len(secret) + 1):
            if text.startswith(secret, start):
                covered[start : start + len(secret)] = [True] * len(secret)
    hidden = Secrets({}, [], secrets).hide(text)
    assert hidden.replace(HIDDEN, "") == "".join(char for char, one in zip(text, covered, strict=True) if not one)
    assert (HIDDEN in hidden) == any(covered)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0123456789abcdefghij.", "•••."),
        ("…456789abcdefghij.", "…•••."),  # the beginning was cut off
        ("0123456789abcdefgh…", "•••…"),
        ("…456789abcdefgh…", "…•••…"),
        ("0123456789abcdef cdefghij", "••• •••"),
        ("0123456789abcdefcdefghij", "••••••"),
    ],
)
def test_secrets_that_overlap_where_texts_were_cut(text: str, shown: str) -> None:
    assert Secrets({}, [], ["0123456789abcdef", "cdefghij"]).hide(text) == shown
