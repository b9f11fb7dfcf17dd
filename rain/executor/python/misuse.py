"""What to say of the error of a remote function that took its context, or an input, for a value."""

from __future__ import annotations

_ERRORS = (TypeError, AttributeError)


def explain_misuse(error: BaseException, plain: bool) -> None:
    """Let `error` say what to do, if it is such a mistake. Functions that are `plain` get no context."""
    try:
        advice = _cure(error, plain)
        if advice:
            error.add_note(advice)
    except Exception:  # the class of an exception may be the user's
        return


def _cure(error: BaseException, plain: bool) -> str:
    if not isinstance(error, _ERRORS):
        return ""
    text = str(error)
    if "'DataInstance'" in text:
        return (
            "Inputs of a remote function come as DataInstance: have them loaded by @remote(auto_load=True) or "
            "Input(load=True), call load(), or use @rain.task, whose functions get values."
        )
    if "'Context'" in text and not plain:
        return (
            "The first parameter of a remote function is its context: write def f(ctx, …), or use @rain.task, whose "
            "functions have none."
        )
    return ""
