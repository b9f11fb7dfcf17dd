"""Stale results run again, with real processes: what the new tasks compute, also of a session that was attached."""

from __future__ import annotations

import pytest

from rain import Client
from tests.integration.cells import Shell, shell

__all__ = ["shell"]


def test_new_tasks_compute_with_new_code_and_new_inputs(shell: Shell) -> None:
    shell.cell("base = pickled(100)")
    shell.cell(
        """
        def helper(x):
            return x * 2

        @remote(auto_encode="json", inputs={"x": Input(load=True)})
        def fit(ctx, x, y=0):
            return helper(x) + y
        """
    )
    shell.cell(
        """
        @remote(auto_encode="json")
        def report(ctx, parts):
            return [part.load() for part in parts["all"]] + [first.load()]
        """
    )
    assert shell.cell("first = fit(pickled(1), y=10).output; first.keep()") == ""
    shell.cell("second = fit(first); told = report({'all': [first, second]}); told.keep_outputs()")
    shell.cell("session.submit(); session.wait_all()")
    assert shell.cell("print(told.output.fetch().load(), session.stale)") == "[12, 24, 12] []\n"
    shell.cell("def helper(x):\n    return x * 2  # unchanged")
    assert shell.cell("print(len(session.stale))") == "0\n"
    shell.cell("def helper(x):\n    return x * 3")
    assert "fit × 2, report" in shell.cell("again = session.rerun_stale(); session.wait_all()")
    assert shell.cell("print(told.renewed.output.fetch().load(), told.output.fetch().load())") == (
        "[13, 39, 13] [12, 24, 12]\n"
    )
    shell.cell("def helper(x):\n    return x * 4")
    shell.cell("again = session.rerun_stale(); session.wait_all()")
    assert shell.cell("print(told.renewed.output.fetch().load(), first.renewed.fetch().load())") == "[14, 56, 14] 14\n"


def test_plain_functions_of_cells_are_edited_and_run_again(shell: Shell) -> None:
    shell.cell(
        """
        import dataclasses, rain

        @dataclasses.dataclass
        class Part:
            n: int

        @rain.task
        def made(n):
            return Part(n)
        """
    )
    shell.cell("def doubled(part):\n    return Part(2 * part.n)")
    shell.cell("first = made(4); second = session.call(doubled, first); found = second.result()")
    assert shell.cell("print(found, type(found) is Part, session.stale)") == "Part(n=8) True []\n"
    shell.cell("@rain.task\ndef made(n):\n    return Part(n)  # unchanged")
    assert shell.cell("print(session.stale)") == "[]\n"
    shell.cell("def doubled(part):\n    return Part(3 * part.n)")
    assert "doubled" in shell.cell("again = session.rerun_stale()")
    assert shell.cell("print(second.renewed.result(), second.result())") == "Part(n=12) Part(n=8)\n"
    shell.cell("@rain.task\ndef made(n):\n    return Part(n + 1)")
    assert "made, doubled" in shell.cell("again = session.rerun_stale()")
    assert shell.cell("print(second.renewed.result())") == "Part(n=15)\n"


def test_magics_make_functions_that_can_be_edited_too(shell: Shell) -> None:
    pytest.importorskip("IPython")
    import rain.notebook.magics as magics

    magics.load(shell.shell)
    try:
        cell = "%%rain_remote shout(text: load) -> loud: text\nloud = text.{}()"
        shell.cell(cell.format("upper"))
        shell.cell("task = shout(blob('Be')); task.keep_outputs(); session.submit(); session.wait_all()")
        shell.cell(cell.format("upper"))
        assert shell.cell("print(session.stale)") == "[]\n"
        shell.cell(cell.format("lower"))
        assert "shout" in shell.cell("session.rerun_stale(); session.wait_all()")
        assert shell.cell("print(task.output.fetch().load(), task.renewed.output.fetch().load())") == "BE be\n"
    finally:
        magics.unload(shell.shell)


def test_a_session_that_is_attached_tomorrow_knows_what_was_edited_since(client: Client, shell: Shell) -> None:
    cell = "@remote(auto_encode='json')\ndef fit(ctx, x):\n    return x + {}\n"
    with Client(client.address, connection_file=client._cluster.connection_file) as first:
        session = first.new_session("tomorrow", persistent=True)
        shell.shell.user_ns["session"] = session
        shell.cell(cell.format(1))
        shell.cell("@remote(auto_load=True, auto_encode='json')\ndef twice(ctx, x):\n    return 2 * x\n")
        shell.cell("with session.bind_only():\n    task = twice(fit(1, name='fit'), name='twice'); task.keep_outputs()")
        shell.cell("session.submit(); session.wait_all()")
    with client.attach("tomorrow") as attached:
        assert attached.stale == []
        shell.cell(cell.format(2))
        first, last = attached.stale
        assert list(attached.rerun_stale()) == [first, last]
        attached.wait_all()
        assert (last.output.fetch().load(), last.renewed.output.fetch().load()) == (4, 6)
