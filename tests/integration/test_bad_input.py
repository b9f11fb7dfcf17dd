"""What users do wrong: each mistake is refused where it is made, and the text says what was wrong and what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rain import (
    Client,
    DataObject,
    Input,
    InputDir,
    Output,
    OutputDir,
    Program,
    RainException,
    RainWarning,
    Session,
    SessionException,
    Task,
    TaskException,
    blob,
    directory,
    pickled,
    remote,
    tasks,
)


@remote(auto_load=True, auto_encode="pickle")
def same(ctx: Any, x: Any = None, *, keyword: Any = None) -> Any:
    return x


@remote()
def raw(ctx: Any, x: Any) -> Any:
    return x


@remote(inputs={"x": Input(content_type="json", load=True)}, auto_encode="json")
def takes_json(ctx: Any, x: Any) -> Any:
    return x


# -- refused where it is written ------------------------------------------------------------------


def two_outputs() -> Task:
    return Task([], 2, task_type="builtin/concat")


upper = Program(["tr", "a-z", "A-Z"], stdin="text", stdout="loud")

WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # wrong types
    "blob of an int": (lambda: blob(7), RainException, r"bytes or str.*int.*encode="),
    "blob of a list": (lambda: blob([1]), RainException, r"list.*pickled"),
    "encode and content_type": (lambda: blob("a", encode="json", content_type="json"), RainException, "not both"),
    "unknown content type": (lambda: blob("a", content_type="jpeg"), ValueError, "jpeg"),
    "not encodable": (lambda: blob({1, 2}, encode="json"), RainException, r"json|set"),
    "a str as an input": (lambda: Task(["text"], 1, task_type="builtin/concat"), RainException, "blob"),
    "bytes as an input": (lambda: tasks.Concat([b"text"]), RainException, "blob"),
    "a list as an input": (lambda: tasks.Concat([[blob("a")]]), RainException, "list"),
    "an int as inputs": (lambda: tasks.Concat(7), (RainException, TypeError), "int"),
    "negative outputs": (lambda: Task([], -1, task_type="builtin/concat"), RainException, "-1"),
    "a number as an output": (lambda: Task([], [7], task_type="builtin/concat"), RainException, "int"),
    "a path that is a number": (lambda: tasks.Load(7), (RainException, TypeError), "int"),
    "a label that is a number": (lambda: blob("a", label=7), RainException, r"label.*int"),
    "no such directory": (lambda: directory("/no/such/folder"), RainException, "/no/such/folder"),
    "a file as a directory": (lambda: directory(__file__), RainException, "not a directory"),
    "user_spec that is no JSON": (lambda: same(1, user_spec={"a": {1}}), RainException, "'?a'?"),
    "cpus that are text": (lambda: same(1, cpus="two"), RainException, r"cpus.*str"),
    "negative cpus": (lambda: same(1, cpus=-1), RainException, r"cpus.*-1"),
    "timeout of zero": (lambda: same(1, timeout=0), RainException, "timeout"),
    "retries that are text": (lambda: same(1, retries="many"), RainException, "retries"),
    "env of numbers": (lambda: same(1, env={"A": 1}), RainException, "env"),
    "rerun of another kind": (lambda: same(1, rerun="always"), RainException, r"rerun.*never"),
    # unknown keywords, wrong calls
    "unknown keyword of a function": (lambda: same(1, nme="a"), TypeError, "nme"),
    "missing argument": (lambda: raw(), TypeError, r"missing.*'x'"),
    "too many arguments": (lambda: same(1, 2, 3), TypeError, "positional"),
    "unknown option": (lambda: same.options(cpu=1), TypeError, r"cpu.*did you mean 'cpus'"),
    "unknown keyword of a task": (lambda: tasks.Concat([], nmae="a"), TypeError, "nmae"),
    "unknown keyword of a program": (lambda: upper(txt=blob("a")), TypeError, "txt"),
    "missing keyword of a program": (lambda: upper(), TypeError, "text"),
    "unknown client option": (lambda: Client.local(cpu=2), TypeError, "cpu"),
    "a function without a context": (lambda: remote()(eval("lambda: 1")), (RainException, TypeError), "[Cc]ontext|ctx"),
    "not a function": (lambda: remote()(7), RainException, "function.*7"),
    # labels
    "the same output twice": (lambda: Task([], ["a", "a"], task_type="builtin/concat"), RainException, "'?a'?"),
    "the same input twice": (
        lambda: Task([("a", blob("1")), ("a", blob("2"))], 1, task_type="builtin/concat"),
        RainException,
        "'?a'?",
    ),
    "the same output of a function": (lambda: remote(outputs=["a", "a"])(lambda ctx: 1), RainException, "'?a'?"),
    "a placeholder called like an option": (lambda: Program(["cat", Input("cpus")]), RainException, "cpus"),
    "more outputs than declared": (lambda: raw(1, outputs=["a", "b"]), RainException, r"1.*2|2.*1"),
    "output and outputs": (lambda: raw(1, output="a", outputs=["b"]), (RainException, TypeError), "output"),
    # data types and content types
    "a directory as a blob": (lambda: Input("a", dataobj=directory(Path(__file__).parent)), RainException, "Dir"),
    "a blob as a directory": (
        lambda: tasks.Execute(["ls"], input_paths=[InputDir("a", dataobj=blob("x"))]),
        RainException,
        "Input",
    ),
    "a directory for a blob's output": (lambda: raw(1, output=OutputDir("a")), RainException, "[Dd]ir"),
    "CBOR where JSON is wanted": (lambda: takes_json(blob("a", content_type="cbor")), RainException, "cbor|json"),
    "encode and content type disagree": (lambda: Output(encode="json", content_type="text"), RainException, "json"),
    "output of a task with two": (lambda: two_outputs().output, RainException, "2"),
    "a task with two as an input": (lambda: tasks.Concat([two_outputs()]), RainException, "2|output"),
    # paths
    "an absolute path in a program": (lambda: Input("a", path="/etc/passwd"), RainException, "inside"),
    "a path out of a program's folder": (lambda: Output("a", path="../a"), RainException, "inside"),
    "an empty command": (lambda: tasks.Execute([]), RainException, "args|command|empty"),
    "a number in a command": (lambda: tasks.Execute(["head", 7]), RainException, "int"),
    "an open quote": (lambda: tasks.Execute("echo 'a"), RainException, "quot"),
    # unpicklable
    "an argument that cannot be pickled": (lambda: same(threading.Lock()), RainException, "lock"),
    "a blob that cannot be pickled": (lambda: pickled(threading.Lock()), RainException, "lock"),
    "a generator that raises": (lambda: same(1 / 0 for _ in range(1)), ZeroDivisionError, "division"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_refused_where_it_is_written(session: Session, mistake: str) -> None:
    call, kind, text = WRONG[mistake]
    with pytest.raises(kind) as caught:
        call()
    assert re.search(text, str(caught.value), re.DOTALL), str(caught.value)
    assert session.run(same(1)) == 1  # and the session is as good as before


def test_a_function_that_cannot_be_pickled_is_named(session: Session) -> None:
    lock = threading.Lock()

    @remote()
    def holds_a_lock(ctx: Any) -> bytes:
        with lock:
            return b""

    with pytest.raises(RainException, match=r"(?s)holds_a_lock.*lock"):
        holds_a_lock()
        session.submit()
        session.wait_all()


def test_a_huge_argument_warns_and_works(session: Session) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = same(os.urandom(300_000))
    (warning,) = (each for each in caught if issubclass(each.category, RainWarning))
    assert re.match(r"Pickled object .* length \d+", str(warning.message))
    assert warning.filename == __file__
    assert len(session.run(task)) == 300_000


# -- sessions -------------------------------------------------------------------------------------


def test_no_session_is_open() -> None:
    with pytest.raises(RainException, match="session"):
        blob("a")


def test_a_detached_session_runs_nothing() -> None:
    with Session(None, 7).bind_only() as session:
        task = tasks.Concat([blob("a")])
        assert task.state is None
        with pytest.raises(RainException):
            session.submit()


def test_an_object_of_another_session(client: Client) -> None:
    with client.new_session("one") as one:
        a = blob("a")
        with client.new_session("two"):
            with pytest.raises(RainException, match=r"session"):
                tasks.Concat([a])
            with pytest.raises(RainException, match=r"session"):
                same(a)
        assert one.run(tasks.Concat([a])) == b"a"


def test_a_closed_session_says_how_to_keep_it_open(client: Client) -> None:
    with client.new_session("closed") as session:
        a = blob("a")
        task = tasks.Concat([a])
        task.keep_outputs()
        session.submit()
    for use in (session.submit, session.wait_all, task.output.fetch, task.wait, lambda: blob("a", session=session)):
        with pytest.raises(SessionException, match=r"(?s)closed.*bind_only|bind_only.*closed"):
            use()
    with pytest.raises(SessionException), session:
        pass
    session.close()


def test_a_cycle_is_refused_whole(session: Session) -> None:
    a, b = DataObject("a"), DataObject("b")
    Task([a], [b], task_type="builtin/concat", name="forth")
    Task([b], [a], task_type="builtin/concat", name="back")
    with pytest.raises(RainException, match=r"circle.*forth.*back"):
        session.submit()


def test_an_object_that_nothing_makes(session: Session) -> None:
    tasks.Concat([DataObject("orphan")])
    with pytest.raises(RainException, match=r"orphan|no task"):
        session.submit()


def test_an_output_of_two_tasks(session: Session) -> None:
    a = DataObject("twice")
    Task([], [a], task_type="builtin/concat")
    with pytest.raises(RainException, match=r"twice|already"):
        Task([], [a], task_type="builtin/concat")
        session.submit()


def test_fetching_what_is_not_submitted_or_not_kept(session: Session) -> None:
    task = tasks.Concat([blob("a")])
    with pytest.raises(RainException, match=r"submit\(\)"):
        task.output.fetch()
    with pytest.raises(RainException, match=r"submit\(\)"):
        task.wait()
    session.submit()
    with pytest.raises(RainException, match=r"keep\(\)"):
        task.output.fetch()
    task.wait()
    with pytest.raises(RainException, match=r"keep|gone|removed"):
        task.output.keep()


def test_timeouts_are_the_builtin_one(session: Session) -> None:
    task = tasks.Sleep(blob("a"), 60)
    session.submit()
    with pytest.raises(TimeoutError):
        task.wait(timeout=0.05)
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0.05)
    task.cancel()


# -- failures of tasks ----------------------------------------------------------------------------

FAILS: dict[str, tuple[Callable[[], Task], str]] = {
    "missing program": (lambda: tasks.Execute(["no-such-program", "a"]), r"no-such-program.*(not found|[Nn]o such)"),
    "wrong exit code": (lambda: tasks.Execute("echo oops >&2; exit 3", shell=True), r"(?s)3.*oops"),
    "program killed": (lambda: tasks.Execute("kill -SEGV $$", shell=True), "SIGSEGV"),
    "missing output file": (lambda: tasks.Execute(["true"], output_paths=["result.txt"]), "result.txt"),
    "output is a directory": (lambda: tasks.Execute(["mkdir", "d"], output_paths=["d"]), "d.*(directory|OutputDir)"),
    "program is a directory": (lambda: tasks.Execute(["/tmp"]), "/tmp"),
    "load of nothing": (lambda: tasks.Load("/no/such/file"), "/no/such/file"),
    "load of a relative path": (lambda: tasks.Load("file"), "absolute"),
    "load of a directory": (lambda: tasks.Load("/tmp"), "directory"),
    "load_dir of a file": (lambda: tasks.LoadDir(__file__), "not a directory"),
    "store into a file": (lambda: tasks.Store(blob("a"), __file__ + "/a"), re.escape(__file__)),
    "slice of nothing": (lambda: tasks.SliceDirectory(directory(Path(__file__).parent), "no/such"), "no/such"),
    "slice outside": (lambda: tasks.SliceDirectory(directory(Path(__file__).parent), "../up"), r"\.\./up"),
    "make directory outside": (lambda: tasks.MakeDirectory({"../up": blob("a")}), r"\.\./up"),
    "bytes are no JSON": (lambda: takes_json(blob(b"{", content_type="json")), "JSON|Expecting"),
    "a value that is not declared": (lambda: raw(7), r"int.*(bytes|str|encode)"),
    "an unknown executor": (lambda: Task([], 1, task_type="fortran/solve"), "fortran"),
    "an unknown builtin": (lambda: Task([], 1, task_type="builtin/fly"), "builtin/fly"),
    "more cpus than there are": (lambda: same(1, cpus=1000), r"1000.*cpus|cpus.*1000"),
    "a resource that nobody has": (lambda: same(1, resources={"unobtainium": 1}), "unobtainium"),
    "too slow": (lambda: tasks.Execute(["sleep", "60"], timeout=0.1), r"0\.1 s|timeout|time"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILS)
def test_failures_say_what_happened_and_where_the_task_was_made(session: Session, failure: str) -> None:
    make, text = FAILS[failure]
    with pytest.raises((TaskException, RainException)) as caught:
        task = make()
        session.submit()
        task.wait()
    said = str(caught.value)
    assert re.search(text, said), said
    if isinstance(caught.value, TaskException):
        assert str(task.id) in said
        assert Path(__file__).name in said


def test_a_client_side_fork_is_told_apart(client: Client) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.get_server_info()
        except RainException as error:
            status = 0 if "fork" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- connecting -----------------------------------------------------------------------------------


@pytest.fixture
def somebody_else():
    """The port of a listener that is not Rain: it answers like a web server."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def token() -> str:
    from rain.net.auth import Credentials

    return Credentials.generate().token("client")


def test_nobody_listens() -> None:
    port = free_port()
    with pytest.raises(RainException, match=rf"(?s){port}.*(refused|listens|running|rain start)"):
        Client("localhost", port, token=token())


def test_no_key_is_known() -> None:
    port = free_port()
    with pytest.raises(RainException, match=rf"(?s){port}.*(token|connection file)"):
        Client("localhost", port)


def test_a_port_is_no_address() -> None:
    with pytest.raises(RainException, match=r"not int; a server at that port of this host is Client\(port=7211\)"):
        Client(7211)  # type: ignore[arg-type]


def test_somebody_else_listens(somebody_else: int) -> None:
    with pytest.raises(RainException, match=r"not a Rain server|right port"):
        Client("localhost", somebody_else, token=token())


def test_the_key_of_another_server(client: Client) -> None:
    address = client.get_server_info()["address"]
    with pytest.raises(RainException, match="key"):
        Client(address, token=token())


@pytest.mark.parametrize("text", ["", "secret", "rain1-AAAA", "rain1-!!!"])
def test_what_is_not_a_token(text: str) -> None:
    with pytest.raises(RainException, match="token") as caught:
        Client("localhost", 7210, token=text)
    assert not text or text not in str(caught.value)
    with pytest.raises(RainException, match="token is a text, not bytes"):
        Client("localhost", 7210, token=text.encode())  # type: ignore[arg-type]


def test_another_protocol_version(somebody_with_version_99: int) -> None:
    with pytest.raises(RainException, match=r"99.*version.*same version|version.*99"):
        Client("localhost", somebody_with_version_99, token=token())


@pytest.fixture
def somebody_with_version_99():
    """The port of a listener that answers the handshake as a later version of Rain would."""
    from rain.net.auth import ANSWER_BYTES, OPENING_BYTES

    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                opening = connection.recv(OPENING_BYTES, socket.MSG_WAITALL)
                connection.sendall((opening[:4] + b"\x63\0" + opening[6:]).ljust(ANSWER_BYTES, b"\0"))

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("address", ["localhost:port", "localhost:70000", "", "a b"])
def test_wrong_addresses(address: str) -> None:
    with pytest.raises((RainException, ValueError)) as caught:
        Client(address, token=token(), timeout=2)
    assert address in str(caught.value)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "rain", "server", "--listen", str(port), "--http-listen", "0", "--logdir", tmp_path],
            capture_output=True,
            text=True,
        )
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert re.search("in use|taken", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["governor"], "SERVER"),
        (["governor", "localhost:1", "--cpus", "many"], "many"),
        (["governor", "localhost:1", "--config", "/no/such.toml"], "/no/such.toml"),
        (["server", "--listen", "nowhere:port"], "port"),
        (["fly"], "fly"),
    ],
)
def test_wrong_command_lines(arguments: list[str], text: str) -> None:
    done = subprocess.run([sys.executable, "-m", "rain", *arguments], capture_output=True, text=True)
    assert done.returncode != 0
    assert text in done.stderr
    assert "Traceback" not in done.stderr
