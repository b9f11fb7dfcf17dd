"""The magics in a real kernel, as a front end drives it; nothing here has a browser."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")

from tests import snippets
from tests.integration.kernels import Kernel, kernel
from tests.support.processes import Marked

TOUR = Path(__file__).parents[1] / "tour.md"


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as found:
        text = found.good("%rain_connect --local 2 --session tests").text()
        assert text.startswith("Started a private cluster with 2 cpus at 127.0.0.1:")
        assert text.endswith("; new session 1 'tests', the default now.\n")
        found.good("import rain\nfrom rain import blob, pickled\nsession = rain.get_active_session()")
        found.good("%%rain_remote --auto-encode json\ndef power(ctx, x): return x ** 2")
        yield found


@pytest.fixture
def finished(started: Kernel) -> Kernel:
    """With a task ``train/fold1`` that has finished in the active session; its output is `done`."""
    started.good(
        "if globals().get('done_in') is not rain.get_active_session():\n"
        "    done_in = rain.get_active_session()\n"
        "    done = power(2, name='train/fold1').output\n"
        "    done.keep()\n"
        "    done_in.submit()\n"
        "    done_in.wait_all()"
    )
    return started


def test_tour(started: Kernel) -> None:
    for _, source in snippets.blocks(TOUR, "ipython"):
        shown = started.good(source)
    assert shown.displayed or shown.result
    started.good("%rain_connect --local 2 --session tests\nsession = rain.get_active_session()")


# -- functions -----------------------------------------------------------------------------------------


def test_functions_and_other_statements(started: Kernel) -> None:
    shown = started.good(
        "%%rain_remote --auto-encode json\n"
        "import math\n"
        "BASE = 10\n"
        "def helper(x):\n"
        "    return x + BASE\n"
        "def add(ctx, a, b=1):\n"
        "    return helper(a) + b\n"
        "async def later(context: 'rain.Context', a):\n"
        "    import asyncio\n"
        "    return await asyncio.sleep(0, result=math.floor(a))\n"
        "print(type(add).__name__)\n"
        "helper(1)\n"
    )
    assert shown.text() == "Remote\n"
    assert shown.result == "11"
    assert started.good("session.run(add(1, 2), add(3), later(2.5)), type(helper).__name__").result == (
        "([13, 14, 2], 'function')"
    )


def test_last_expression_with_semicolon_shows_nothing(started: Kernel) -> None:
    assert started.good("%%rain_remote\ndef f(ctx): return b''\n1 + 1;").result == ""


def test_await_between_functions(started: Kernel) -> None:
    shown = started.good(
        "%%rain_remote\n"
        "import asyncio\n"
        "loop = asyncio.get_running_loop()\n"
        "await asyncio.sleep(0)\n"
        "def f(ctx): return b'1'\n"
        "await asyncio.sleep(0, result=(asyncio.get_running_loop() is loop))"
    )
    assert shown.result == "True"
    assert started.good("await session.run_async(f())").result == "b'1'"


def test_await_through_run_cell_magic(started: Kernel) -> None:
    shown = started.good(
        "get_ipython().run_cell_magic('rain_remote', '', "
        "'import asyncio\\ndef g(ctx): return b\"2\"\\nawait asyncio.sleep(0, result=g)')"
    )
    assert shown.result.startswith("<Remote g()>")


def test_decorators_and_annotations(started: Kernel) -> None:
    started.good(
        "%%rain_remote\n"
        "import functools\n"
        "from rain import Input, Output, remote\n"
        "def twice(function):\n"
        "    @functools.wraps(function)\n"
        "    def both(*args):\n"
        "        return function(*args) * 2\n"
        "    return both\n"
        "@twice\n"
        "def shout(ctx, text: Input(load=True)) -> Output('loud', encode='json'):\n"
        "    return text.upper()\n"
        "@remote(outputs=['a', 'b'])\n"
        "def pair(ctx):\n"
        "    return b'1', b'2'\n"
    )
    assert started.good("session.run(shout(blob('ab')))").result == "'ABAB'"
    assert started.good("[label for label, _ in shout(blob('x')).outputs.items()]").result == "['loud']"
    assert started.good("session.run(pair())").result == "[b'1', b'2']"


def test_options(started: Kernel) -> None:
    started.good(
        "%%rain_remote --cpus 2 --outputs low,high --name sort/half --auto-load --auto-encode json\n"
        "def halve(ctx, values):\n"
        "    half = len(values) // 2\n"
        "    return values[:half], values[half:]\n"
    )
    shown = started.good(
        "task = halve(pickled([1, 2, 3]))\n(task.name, task.spec.resources, session.run(task), "
        "[output.content_type for output in task.outputs])"
    )
    assert shown.result == "('sort/half', {'cpus': 2}, [[1], [2, 3]], ['json', 'json'])"


def test_magics_inside_the_cell(started: Kernel) -> None:
    shown = started.good("%%rain_remote\nx = !echo hello\ndef f(ctx): return x[0]\n%rain_tasks --limit 0")
    assert "in session 'tests'" in shown.text()
    assert started.good("session.run(f())").result == "'hello'"


# -- bodies ----------------------------------------------------------------------------------------------


def test_body(started: Kernel) -> None:
    started.good(
        "%%rain_remote --cpus 1 measure(text: load, raw, table: json, *more: load, sep=' ') -> "
        "n: json, name, kind: text\n"
        "ctx.debug('{}', len(more))\n"
        "n = [len(text.split(sep)), table['x'], sum(more)]\n"
        "name = type(raw).__name__\n"
        "kind = '''a\n"
        "b'''\n"
    )
    shown = started.good(
        "task = measure(blob('a b'), blob('r'), blob({'x': 7}, encode='json'), pickled(1), pickled(2))\n"
        "(session.run(task), task.info.debug)"
    )
    assert shown.result == "([[2, 7, 3], 'DataInstance', 'a\\nb'], '2')"


def test_body_with_await_and_without_outputs(started: Kernel) -> None:
    started.good("%%rain_remote nap(x)\nimport asyncio\nawait asyncio.sleep(0)\nctx.info.user['x'] = x")
    assert started.good("task = nap(3)\nsession.run(task)\ntask.info.user").result == "{'x': 3}"


def test_body_passes_an_input_through(started: Kernel) -> None:
    started.good("%%rain_remote same(x) -> x\n# nothing to do")
    assert started.good("session.run(same(blob('a')))").result == "'a'"


def test_directories(started: Kernel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    started.good(
        "%%rain_remote more(given: dir) -> made: dir\n"
        "import pathlib\n"
        "given.write('made')\n"
        "pathlib.Path('made/b.txt').write_text('b')\n"
        "made = ctx.stage_directory('made')"
    )
    started.good(f"made = more(rain.directory({str(tmp_path)!r})).output\nmade.keep()\n%rain_submit\n%rain_wait")
    found = started.good(f"made.fetch().write({str(tmp_path / 'out')!r})")
    assert not found.error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "b.txt"]


def test_run(started: Kernel) -> None:
    started.good(
        "doc = blob('a b a')\n"
        "get_ipython().run_cell_magic('rain_remote', "
        "'--run text=doc extra=[1, 2] words(text: load, extra) -> found: json, n: json', "
        "'found = text.split()\\nn = len(found) + len(extra)')"
    )
    assert (
        started.good("a = %rain_fetch found\nb = %rain_fetch n\n(a.load(), b.load())").result == "(['a', 'b', 'a'], 5)"
    )
    shown = started.good("%%rain_remote one(x) -> y: json --run x=1+1\ny = x")
    assert not shown.text()
    assert started.good("y.fetch().load()").result == "2"
    shown = started.run("%%rain_remote --run x=1\ndef f(ctx, x): pass\ndef g(ctx, x): pass")
    assert "RainException: %%rain_remote: --run needs a cell with one function, this one has 2" in shown.error
    shown = started.run("%%rain_remote --run x=missing f(x) -> y\ny = x")
    assert "NameError: name 'missing' is not defined" in shown.error
    assert "This is what %%rain_remote --run gives for 'x': missing" in shown.error


# -- places ------------------------------------------------------------------------------------------------


def test_loops_and_functions(started: Kernel) -> None:
    started.good("%%rain_remote --auto-encode json\ndef power(ctx, x): return x ** 2")
    shown = started.good(
        "values = []\n"
        "for i in range(3):\n"
        "    made = power(i, name=f'p{i}').output\n"
        "    made.keep()\n"
        "    %rain_submit\n"
        "    got = %rain_fetch p{i}\n"
        "    values.append(got.load())\n"
        "def inside():\n"
        "    hidden = power(5).output\n"
        "    hidden.keep()\n"
        "    %rain_submit\n"
        "    return get_ipython().run_line_magic('rain_fetch', 'hidden').load()\n"
        "values.append(inside())\n"
        "values\n"
    )
    assert shown.result == "[0, 1, 4, 25]"
    assert shown.text() == "Submitted 1 task and 1 data object in session 'tests'.\n" * 4


def test_await_around_line_magics(started: Kernel) -> None:
    shown = started.good(
        "import asyncio\n"
        "one = power(7).output\none.keep()\n"
        "await asyncio.sleep(0)\n"
        "%rain_submit\n%rain_wait\n"
        "value = await one.fetch_async()\nvalue.load()"
    )
    assert shown.result == "49"


def test_retry_takes_the_function_of_the_cell_that_was_run_again(started: Kernel) -> None:
    started.good("%%rain_remote inverse(x) -> y: json\ny = 1 / x")
    started.good("bad = inverse(0)\nbad.keep_outputs()\n%rain_submit")
    assert started.run("%rain_wait").error_name == "TaskException"
    started.good("%%rain_remote inverse(x) -> y: json\ny = 1 / x if x else 'none'")
    assert started.good("session.retry()\n%rain_wait\nbad.output.fetch().load()").result == "'none'"


# -- errors ------------------------------------------------------------------------------------------------


def test_remote_traceback_shows_the_cell(started: Kernel) -> None:
    source = "\n%%rain_remote split(text: load) -> parts: json\ntext = '''\nx'''\nparts = [\n"
    source += "    1 / len(part) for part in ['']]"
    assert not started.run(source).error
    here = int(started.good("len(In) - 2").result)
    shown = started.run("session.run(split(blob('a')))")
    assert shown.error_name == "TaskException"
    # From Python 3.12 on comprehensions have no frame of their own.
    inner = "<listcomp>" if sys.version_info < (3, 12) else "split"
    assert (
        f"  Cell In[{here}], line 6, in {inner}\n    1 / len(part) for part in ['']]\n    ~~^~~~~~~~~~~\n"
        in shown.error
    )
    assert f"  Cell In[{here}], line 5, in split\n    parts = [\n            ^\n" in shown.error or inner == "split"
    assert "ZeroDivisionError: division by zero" in shown.error
    assert "site-packages" not in shown.error
    assert "rain/executor" not in shown.error
    assert "async def" not in shown.error


def test_traceback_of_other_statements(started: Kernel) -> None:
    shown = started.run("%%rain_remote\ndef f(ctx): pass\n\n1 / 0")
    assert shown.error_name == "ZeroDivisionError"
    assert "line 4" in shown.error
    assert "----> 4 1 / 0" in shown.error
    assert "cell.py" not in shown.error


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("%%rain_remote f(a) -> b\nb = 1\nb = = 2", 3, "invalid syntax"),
        ("%%rain_remote f(a) -> b\nb = 1\nif b:\nb = 2", 4, "expected an indented block"),
        ("%%rain_remote f(a) -> b\nb = (1", 2, "'(' was never closed"),
        ("%%rain_remote f(a) -> b\nb = 1\n\nreturn b", 4, "assign the outputs (b) instead"),
        ("%%rain_remote f(a) -> b\nb = 1\nyield b", 3, "'yield' in the body"),
        ("%%rain_remote f(a) -> b\nc = a", 1, "output 'b' is never assigned in the body"),
        ("%%rain_remote f(a: loud) -> b\nb = a", 1, "unknown content type 'loud'"),
        ("%%rain_remote f(a -> b\nb = a", 1, "'(' was never closed"),
        ("%%rain_remote f(a) b\nb = a", 1, "after the parameters comes ->"),
        ("%%rain_remote f(a, a) -> b\nb = a", 1, "duplicate argument 'a'"),
        ("%%rain_remote f(ctx) -> b\nb = a", 1, "ctx is always there"),
        ("%%rain_remote for(a) -> b\nb = a", 1, "is a keyword"),
        ("%%rain_remote nonsense\nb = a", 1, "neither an option nor a signature"),
        ("%%rain_remote f(a) -> b", 1, "output 'b' is never assigned in the body"),
        ("%%rain_remote\ndef f(ctx):\n    return 1 +", 3, "invalid syntax"),
    ],
)  # fmt: skip
def test_syntax_errors_show_the_cell_and_the_line(started: Kernel, source: str, line: int, text: str) -> None:
    shown = started.run(source)
    assert shown.error_name in ("SyntaxError", "IndentationError")
    assert re.search(rf"Cell In\[\d+\], line {line}\n", shown.error), shown.error
    assert source.split("\n")[line - 1].strip() in shown.error
    assert text in shown.error


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("%rain_connect --lcal 2", "unrecognized arguments: --lcal\nusage: %rain_connect [HOST[:PORT]] [--local N]"),
        ("%rain_connect --local two", "argument --local: invalid int value: 'two'"),
        (
            "%rain_connect localhost:1 --local 2",
            "give an address, or ask for a private cluster, or for places on an engine",
        ),
        ("%rain_connect 127.0.0.1:1", "127.0.0.1:1"),
        ("%rain_submit now", "%rain_submit takes no arguments"),
        ("%rain_fetch", "usage: %rain_fetch NAME"),
        ("%rain_fetch nothing", "has no task or object called 'nothing'"),
        ("%rain_inspect", "usage: %rain_inspect EXPR"),
        ("%rain_inspect 5", "5 is int, not a task, a data object or a data instance"),
        ("%%rain_remote --cpus\ndef f(ctx): pass", "--cpus needs a value\nusage: %%rain_remote"),
        ("%%rain_remote --cpu 2\ndef f(ctx): pass", "there is no option --cpu, did you mean --cpus?"),
        ("%%rain_remote --cpus many\ndef f(ctx): pass", "--cpus takes a number, not 'many'"),
        ("%%rain_remote --auto-encode jsn\ndef f(ctx): pass", "unknown content type 'jsn'"),
        ("%%rain_remote --outputs a f(x) -> b\nb = x", "outputs are given by --outputs and after ->"),
        ("%%rain_remote\nx = 1", "no function of the cell has ctx as its first parameter"),
        ("%%rain_remote --run\ndef f(ctx): pass\ndef g(ctx): pass", "needs a cell with one function"),
    ],
)
def test_errors_are_ordinary(started: Kernel, source: str, text: str) -> None:
    shown = started.run(source)
    assert shown.error_name == "RainException", shown.error
    assert text in shown.error


@pytest.mark.parametrize(
    "source",
    [
        "%rain_inspect 1 / 0",
        "%rain_fetch 1 / 0",
        "%%rain_remote --run a=1/0 f(a) -> b\nb = a",
        "%rain_inspect broken()",
    ],
)
def test_errors_in_expressions_show_the_users_lines_only(started: Kernel, source: str) -> None:
    started.good("def broken():\n    return 1 / 0")
    shown = started.run(source)
    assert shown.error_name == "ZeroDivisionError"
    assert "Cell In[" in shown.error
    assert "rain/" not in shown.error
    assert "<string>" not in shown.error
    if "broken" in source:
        assert "----> 2     return 1 / 0" in shown.error


def test_missing_output_names_it(started: Kernel) -> None:
    started.good("%%rain_remote maybe(x) -> a, b\na = b''\nif x:\n    b = b''\nelse:\n    a")
    shown = started.run("session.run(maybe(0))")
    assert "UnboundLocalError" in shown.error or "has not assigned its output" in shown.error


# -- help, completion, showing -------------------------------------------------------------------------------


MAGICS = ["connect", "submit", "wait", "fetch", "graph", "tasks", "status", "inspect"]


@pytest.mark.parametrize("name", [*(f"%rain_{name}" for name in MAGICS), "%%rain_remote"])
def test_help(started: Kernel, name: str) -> None:
    text = started.help(name)
    assert "In plain Python:" in text
    assert "Docstring" in text


def test_help_by_question_mark(started: Kernel) -> None:
    for source in ("%rain_connect?", "%%rain_remote?", "?%%rain_remote"):
        reply = started.good(source).reply
        assert "In plain Python:" in reply["payload"][0]["data"]["text/plain"]


def test_completion(finished: Kernel) -> None:
    assert finished.complete("%rain_connect --lo") == ["%rain_connect --local"]
    assert finished.complete("%rain_connect --session te") == ["%rain_connect --session tests"]
    line = "%%rain_remote --cpus 2 --"
    assert finished.complete(f"{line}a") == [f"{line}auto-encode", f"{line}auto-load"]
    assert f"{line}cpus" not in finished.complete(line)
    assert finished.complete("%%rain_remote f(a: lo") == ["%%rain_remote f(a: load"]
    assert finished.complete("%%rain_remote f(a: load) -> b: js") == ["%%rain_remote f(a: load) -> b: json"]
    assert finished.complete("%%rain_remote --auto-encode arr") == ["%%rain_remote --auto-encode arrow"]
    assert finished.complete("%rain_fetch train/f") == ["%rain_fetch train/fold1"]
    assert "%rain_inspect done" in finished.complete("%rain_inspect do")
    assert "x = %rain_fetch done" in finished.complete("x = %rain_fetch do")
    assert "%%rain_remote --run x=done" in finished.complete("%%rain_remote --run x=do")
    assert "%rain_connect" in finished.complete("%rain_con")


def test_tables(finished: Kernel) -> None:
    text = finished.good("%rain_tasks").text()
    assert re.search(r"✓ +\d+  train/fold1 +py/ +finished +\d\.\d{3}  127\.0\.0\.1:\d+", text), text
    assert text.splitlines()[0].split() == ["id", "name", "type", "state", "seconds", "governor"]
    assert re.search(r"\d+ tasks in session 'tests': .*\d+ finished", text)


def test_showing(finished: Kernel) -> None:
    for source in ("%rain_graph", "%rain_status", "%rain_inspect done", "%rain_inspect done.fetch()"):
        shown = finished.good(source)
        assert shown.displayed or shown.text(), source


def test_progress(started: Kernel) -> None:
    started.good("other = session.client.new_session('progress', default=True)")
    started.good("nap = rain.tasks.Sleep(blob('x'), 0.6)\n%rain_submit")
    shown = started.good("%rain_wait")
    assert shown.displayed or "task/s" in shown.text("stderr")
    assert started.good("%rain_wait").text("stderr") == ""
    started.good("nap = rain.tasks.Sleep(blob('x'), 0.6).output\nnap.keep()\n%rain_submit")
    shown = started.good("value = %rain_fetch nap\nvalue.load()")
    assert shown.result == "'x'"
    assert shown.displayed or "task/s" in shown.text("stderr")
    started.good("session.set_as_default()")


def test_connecting_again_closes_what_was_before(started: Kernel) -> None:
    started.good("before = session.client")
    shown = started.good("%rain_connect --local 1 --session second")
    assert shown.text().startswith("Started a private cluster with 1 cpu at ")
    assert shown.text().endswith("the default now. Closed the private cluster of before.\n")
    assert started.good("before._connection.core.over_because, before._cluster").result == "('closed', None)"
    port = started.good("second = rain.get_active_session()\nsecond.client.address").result
    assert started.run("%rain_connect 127.0.0.1:1").error_name == "RainException"
    assert started.good("rain.get_active_session() is second").result == "True"
    assert port
    started.good("%rain_connect --local 2 --session tests\nsession = rain.get_active_session()")


def test_servers_and_persistent_sessions(started: Kernel, tmp_path: Path) -> None:
    started.good(
        "import os\n"
        f"os.environ['XDG_RUNTIME_DIR'] = {str(tmp_path)!r}\n"
        "from rain.client.local_cluster import LocalCluster\n"
        "from rain.processes import connection_files\n"
        "cluster = LocalCluster(1)\n"
        "connection_files.write(connection_files.read(cluster.connection_file))\n"
        "address = cluster.address"
    )
    shown = started.good("%rain_connect $address --session mine")
    assert re.fullmatch(
        r"Connected to 127\.0\.0\.1:\d+; new session 1 'mine', the default now\. "
        r"Closed the private cluster of before\.\n",
        shown.text(),
    )
    started.good("kept = rain.get_active_session().client.new_session('kept', persistent=True)")
    started.good("with kept.bind_only():\n    blob('a', label='first').keep()\n    kept.submit()")
    shown = started.good("%rain_connect {cluster.address} --session kept")
    assert "; persistent session 2 'kept', the default now. Closed the connection of before.\n" in shown.text()
    assert started.good("first = %rain_fetch first\nfirst.load()").result == "'a'"
    shown = started.good("%rain_connect --session mine")
    assert shown.text().startswith("Started a private cluster with ")
    started.good("cluster.close()\n%rain_connect --local 2 --session tests\nsession = rain.get_active_session()")


@pytest.mark.parametrize("killed", [False, True])
def test_private_clusters_end_with_the_kernel(marked: Marked, killed: bool) -> None:
    with kernel(killed) as found:
        found.good("%rain_connect --local 1")
        assert marked.named("rain-governor")


def test_unload(started: Kernel) -> None:
    started.good("%unload_ext rain.notebook")
    assert started.run("%rain_tasks").reply["status"] == "error"
    assert "%rain_connect --local" not in started.complete("%rain_connect --lo")
    started.good("%load_ext rain.notebook\n%rain_tasks")
