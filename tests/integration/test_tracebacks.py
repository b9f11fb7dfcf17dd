"""Failure texts as a notebook shows them: the notebook's own lines, and nothing of Rain."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.cells import Shell, shell

__all__ = ["shell"]


def test_cells_helpers_and_carets(shell: Shell) -> None:
    shell.cell(
        """
        def helper(x):
            return [1 / (i - 3)
                    for i in range(x)]
        """
    )
    helper = shell.number
    shell.cell(
        """
        @remote
        def f(ctx, x):
            def nested(v):
                return (lambda q: helper(q))(v)
            return nested(x)
        """
    )
    function = shell.number
    text = shell.cell("task = f(10)\nsession.run(task)")
    assert text.startswith("TaskException: Task 'f' (")
    # From Python 3.13 on there are no marks under what is all of a line.
    marked = rf"  Cell In\[{function}\], line 5, in f\n    return nested\(x\)\n(           [\^]{{9}}\n)?  Cell"
    assert re.search(marked, text)
    assert f"  Cell In[{function}], line 4, in <lambda>\n" in text
    assert f"  Cell In[{helper}], line 2, in helper\n    return [1 / (i - 3)\n" in text
    assert "            ~~^~~~~~~~~\nZeroDivisionError: division by zero\n" in text
    assert f"The task was made at Cell In[{shell.number}], line 1\n" in text
    assert "session.retry()" in text
    for ours in (
        "rain/client",
        "rain/executor",
        "cloudpickle",
        "dynamic-code",
        "ipython-input",
        "Traceback (most recent call last)\n",
    ):
        assert ours not in text


def test_chains_groups_and_code_that_is_no_cell(shell: Shell, tmp_path: Path) -> None:
    shell.cell(
        """
        import local_helper
        @remote
        def imported(ctx):
            return local_helper.boom(3)
        @remote
        def chained(ctx):
            try:
                local_helper.boom(3)
            except ZeroDivisionError as error:
                raise ValueError("no inverse") from error
        @remote
        def grouped(ctx):
            raise ExceptionGroup("several", [KeyError("one"), ValueError("two")])
        @remote
        def syntax(ctx):
            exec("a = = 2")
        @remote
        def misuse(ctx):
            return ctx.blob(12)
        """
    )
    cell = f"  Cell In[{shell.number}], line "
    text = shell.cell("session.run(imported())")
    assert f"{cell}4, in imported\n    return local_helper.boom(3)\n" in text
    assert f'  File "{tmp_path}/local_helper.py", line 2, in boom\n    return x / 0\n           ~~^~~\n' in text
    text = shell.cell("session.run(chained())")
    assert "The above exception was the direct cause of the following exception:" in text
    assert f'{cell}10, in chained\n    raise ValueError("no inverse") from error\nValueError: no inverse' in text
    text = shell.cell("session.run(grouped())")
    assert f"  | {cell}13, in grouped\n" in text
    assert "    | KeyError: 'one'" in text
    text = shell.cell("session.run(syntax())")
    assert re.search(
        re.escape(f'{cell}16, in syntax\n    exec("a = = 2")\n')
        + r"(    [~^]+\n)?"  # from Python 3.13 on
        + re.escape('  File "<string>", line 1\n    a = = 2\n        ^\nSyntaxError'),
        text,
    )
    text = shell.cell("session.run(misuse())")
    assert f"{cell}19, in misuse\n    return ctx.blob(12)\n" in text


def test_code_among_the_arguments(shell: Shell) -> None:
    shell.cell("@remote\ndef apply(ctx, function, value):\n    return function(value)")
    shell.cell(
        """
        class Model:
            @property
            def score(self):
                return self.missing
            @staticmethod
            def check(x):
                raise ValueError(x)
        """
    )
    model = shell.number
    text = shell.cell("session.run(apply(lambda x: x['k'], {}))")
    assert f"  Cell In[{shell.number}], line 1, in <lambda>\n    session.run(apply(lambda x: x['k'], {{}}))\n" in text
    text = shell.cell("session.run(apply(lambda m: m.score, Model()))")
    assert f"  Cell In[{model}], line 4, in score\n    return self.missing\n" in text
    text = shell.cell("session.run(apply(Model.check, 3))")
    assert f"  Cell In[{model}], line 7, in check\n    raise ValueError(x)\n" in text


def test_programs_and_dependents(shell: Shell) -> None:
    text = shell.cell("session.run(tasks.Execute('ls /no/such/place'))")
    assert "exit status 2" in text
    assert re.search(r"session\.find\('\d+/\d+'\)\.capsule\('folder'\) to run the program here", text)
    shell.cell("@remote\ndef f(ctx, x):\n    return 1 / 0")
    function = shell.number
    text = shell.cell("session.run(f(f(1, name='first'), name='second'))")
    assert text.startswith("TaskException: Task 'second' (")
    assert "was not run, because a task that it needs failed:\n\nTask 'first' (" in text
    assert f"  Cell In[{function}], line 3, in f\n" in text


def test_misuse_shows_the_users_lines_only(shell: Shell) -> None:
    shell.cell(
        """
        def helper(x):
            return blob(x)
        """
    )
    helper = shell.number
    text = shell.cell("helper(5)")
    assert f"Cell In[{shell.number}], line 1" in text
    assert f"Cell In[{helper}], line 2, in helper(x)" in text
    assert text.endswith("or pickled(value)\n")
    assert "rain/client" not in text
    shell.cell("@remote\ndef f(ctx, x):\n    return b''")
    text = shell.cell("f()")
    assert "TypeError: f(): missing a required argument: 'x'" in text
    assert "rain/client" not in text
    text = shell.cell("import time\nsession.wait(f(1), timeout=5)")
    assert "call session.submit() first" in text
    assert "rain/client" not in text
    text = shell.cell("@remote\ndef long(ctx):\n    import time; time.sleep(600)\n")
    text = shell.cell("task = long()\nsession.submit()\nsession.wait(task, timeout=0.05)")
    assert "TimeoutError: 1 of 1 items are not finished: not done after 0.05 s" in text
    assert "rain/client" not in text
    shell.cell("session.cancel()")


def test_crashes_show_the_users_frames_only(shell: Shell) -> None:
    shell.cell(
        """
        @remote
        def crash(ctx):
            import os, signal
            os.kill(os.getpid(), signal.SIGSEGV)
        """
    )
    function = shell.number
    for text in (shell.cell("task = crash()\nsession.run(task)"), shell.cell("task")):
        assert "Segmentation fault" in text
        assert f"  Cell In[{function}], line 4, in crash\n" in text
        for ours in ("rain/executor", "threading.py", "Extension modules", "ipython-input", "<string>"):
            assert ours not in text


def test_callables_and_exceptions_of_a_notebook(shell: Shell) -> None:
    shell.cell(
        """
        import functools, typing
        @functools.cache
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        Point = typing.TypedDict("Point", {"x": int})
        class Wrong(Exception):
            def __init__(self, a, b):
                super().__init__(f"{a}, {b}")
                self.a = a
        class Leaves(Exception):
            def __reduce__(self):
                return exit, (3,)
        """
    )
    shell.cell(
        """
        @remote(auto_encode="json")
        def f(ctx, function):
            return [function(10), Point(x=1), fib(20)]
        @remote
        def fail(ctx, kind, *args):
            raise kind(*args)
        """
    )
    assert shell.cell("print(session.run(f(fib)))") == "[55, {'x': 1}, 6765]\n"
    text = """
        task = fail({0})
        session.submit()
        try:
            task.wait()
        except TaskException as error:
            print(type(error.__cause__).__name__, getattr(error.__cause__, "a", None))
        """
    assert shell.cell(text.format("Wrong, 1, 2")) == "Wrong 1\n"
    assert shell.cell(text.format("Leaves")) == "NoneType None\n"
