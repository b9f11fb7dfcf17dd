"""Remote functions as they are declared and called."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from rain import (
    DataObject,
    Input,
    InputDir,
    Output,
    OutputDir,
    RainException,
    RainWarning,
    Remote,
    Session,
    Task,
    blob,
    directory,
    pickled,
    remote,
    tasks,
)
from rain.common.ids import ID
from rain.common.task_configs import PyConfig, decode_function
from rain.objects.pickling.placeholders import resolving
from tests.unit.client.fake import constant


def config(task: Task) -> PyConfig:
    found = task.spec.config
    assert isinstance(found, PyConfig)
    return found


def arguments(task: Task) -> Any:
    """What the function would get; objects as their ids."""
    with resolving(lambda id: ("object", id.id)):
        return pickle.loads(config(task).args)


def function_of(task: Task) -> Callable[..., Any]:
    """The function as an executor would have it."""
    assert task.spec.function is not None
    record: Any = task._session._inside.mirror.records[task.spec.function.id]
    with resolving(lambda id: ("object", id.id)):
        return pickle.loads(decode_function(record.value.data).code)  # type: ignore[no-any-return]


@remote()
def same(ctx: Any, x: Any = None, *, keyword: Any = None) -> Any:
    return x


@remote
def bare(ctx: Any, *parts: Any, **named: Any) -> Any:
    return b"bare"


# -- calls ----------------------------------------------------------------------------------------


def test_a_call_makes_a_task(detached: Session) -> None:
    task = same(3)
    assert (task.task_type, task.name, task.outputs.labels) == ("py/", "same", ["out0"])
    assert arguments(task) == ((3,), {})
    assert (config(task).load, config(task).encode) == (False, [])
    assert function_of(task)(None, 5) == 5
    assert repr(same).startswith("<Remote same(x")
    assert same.__doc__ is None
    assert same.function(None, 4) == 4


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1,), {}),
        ((1,), {"keyword": 2}),
        ((), {"x": [1, {"a": (2.5, None, b"c")}]}),
        (({1, 2},), {}),
    ],
)
def test_arguments_arrive_as_they_were(detached: Session, args: Any, kwargs: Any) -> None:
    got, named = arguments(same(*args, **kwargs))
    bound = same.__signature__.bind(*args, **kwargs)
    again = same.__signature__.bind(*got, **named)
    assert again.arguments == bound.arguments


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: same(1, 2), "too many positional"),
        (lambda: same(y=1), "unexpected keyword argument 'y'"),
        (lambda: remote(lambda ctx, a: a)(), "missing a required argument: 'a'"),
        (lambda: same.options(nonsense=1), "nonsense"),
    ],
)
def test_wrong_calls_are_type_errors(detached: Session, call: Callable[[], Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call()
    assert detached.task_count == 0


def test_options(detached: Session) -> None:
    task = same(1, name="a", cpus=2, retries=1, timeout=5)
    assert (task.name, task.spec.resources) == ("a", {"cpus": 2})
    assert task.spec.options is not None
    assert (task.spec.options.retries, task.spec.options.timeout) == (1, 5)
    other = same.options(name="b", fresh=True)
    assert other(1).name == "b"
    assert same(1).name == "same"
    assert same(1, name="c").spec.function == task.spec.function == other(1).spec.function

    @remote(name="mine", cpus=3)
    def takes_name(ctx: Any, name: str) -> str:
        return name

    assert takes_name(name="x").name == "mine"
    assert arguments(takes_name(name="x")) == (("x",), {})
    assert takes_name.options(name="y")(name="x").name == "y"
    assert takes_name(name="x").spec.resources == {"cpus": 3}
    assert arguments(bare(1, colour=2, cpus=0)) == ((1,), {"colour": 2})


def test_map(detached: Session) -> None:
    made = same.map(range(3), cpus=0)
    assert [arguments(task)[0] for task in made] == [(0,), (1,), (2,)]
    assert [arguments(task)[0] for task in remote(lambda ctx, a, b: a).map("ab", [1, 2])] == [("a", 1), ("b", 2)]
    with pytest.raises(TypeError):
        same.map()


# -- objects in arguments -------------------------------------------------------------------------


def test_objects_become_inputs(detached: Session) -> None:
    a, b = blob("a"), blob("b")
    made = tasks.Concat([a])
    task = same([a, {"k": (b, a)}], keyword=made)
    assert list(task.inputs) == [a, b, made.output]
    assert task.inputs.labels == [None, None, "keyword"]
    assert arguments(task) == (
        ([("object", a.id.id), {"k": (("object", b.id.id), ("object", a.id.id))}],),
        {"keyword": ("object", made.output.id.id)},
    )
    assert same(a).inputs.labels == ["x"]
    assert bare(a, b, b, z=made).inputs.labels == ["parts[0]", "parts[1]", "z"]


def test_objects_in_attributes_closures_globals_and_defaults(detached: Session) -> None:
    class Holder:
        def __init__(self, value: Any) -> None:
            self.value = value

    a, b, c = blob("a"), blob("b"), blob("c")
    assert list(same(Holder(a)).inputs) == [a]

    @remote(auto_encode="pickle")
    def closure(ctx: Any, x: Any = b) -> Any:
        return c, x

    task = closure()
    assert set(task.inputs) == {b, c}
    assert function_of(task)(None) == (("object", c.id.id), ("object", b.id.id))
    assert next(iter(closure(a).inputs)) == a


def test_generators_are_run_at_the_call(detached: Session) -> None:
    a = blob("a")
    task = same(item for item in (1, a))
    got = arguments(task)[0][0]
    assert list(got) == [1, ("object", a.id.id)]
    assert list(task.inputs) == [a]
    nested = arguments(same([(i for i in range(2))]))[0][0]
    assert list(nested[0]) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        same(1 / 0 for _ in range(1))


def test_tasks_with_several_outputs_cannot_be_arguments(detached: Session) -> None:
    two = Task([], 2, task_type="a/b")
    with pytest.raises(RainException, match="2 outputs"):
        same(two)
    with pytest.raises(RainException, match="2 outputs"):
        same([two])
    assert same(two.outputs["out1"]).inputs[0] == two.outputs[1]


# -- declarations ---------------------------------------------------------------------------------


def test_outputs(detached: Session) -> None:
    assert remote(outputs=2)(lambda ctx: 1)().outputs.labels == ["out0", "out1"]
    assert remote(outputs=0)(lambda ctx: 1)().outputs.labels == []
    assert remote(outputs="a")(lambda ctx: b"")().outputs.labels == ["a"]
    declared = remote(outputs=["a", Output("b", encode="json"), OutputDir("c")])(lambda ctx: 1)
    task = declared()
    assert [output.content_type for output in task.outputs] == [None, "json", "dir"]
    assert config(task).encode == [None, "json", None]
    given = declared(outputs=["x", None, None])
    assert given.outputs.labels == ["x", "b", "c"]
    assert remote(lambda ctx: "1")(output=Output(content_type="json")).output.content_type == "json"
    for wrong in (-1, 10**12, True, 1.5, ["a", "a"], [7], {"a", "b"}, {"a": Output(content_type="json")}):
        with pytest.raises(RainException):
            remote(outputs=wrong)(lambda ctx: 1)
    for unordered in ({"x", "y", "z"}, dict.fromkeys("xyz")):
        with pytest.raises(RainException, match=r"outputs of .* are given in a list, not as (set|dict)"):
            declared(outputs=unordered)


def test_auto_encode(detached: Session) -> None:
    function = remote(outputs=["a", Output("b", content_type="text"), OutputDir("c")], auto_encode="json")(
        lambda ctx: 1
    )
    task = function()
    assert config(task).encode == ["json", None, None]
    assert [output.content_type for output in task.outputs] == ["json", "text", "dir"]
    given = function(outputs=[Output(content_type="cbor"), None, None])
    assert config(given).encode == []
    assert given.outputs[0].content_type == "cbor"


def test_return_annotations(detached: Session) -> None:
    def one(ctx: Any) -> Output("x", encode="json"):  # type: ignore[valid-type]
        return "1"

    def several(ctx: Any) -> (Output("a"), Output("b")):  # type: ignore[syntax]
        return 1, 2

    def labels(ctx: Any) -> Any:
        return 1, 2

    labels.__annotations__["return"] = ["a", Output("b")]

    def other(ctx: Any) -> str:
        return "1"

    assert remote(one)().outputs.labels == ["x"]
    assert remote(several)().outputs.labels == ["a", "b"]
    assert remote(labels)().outputs.labels == ["a", "b"]
    assert remote(other)().outputs.labels == ["out0"]
    assert remote(outputs=["y"])(one)().outputs.labels == ["y"]


def test_inputs_by_annotation_and_by_dict(detached: Session) -> None:
    a, b, c = pickled(1), pickled(2), pickled(3)

    def function(ctx: Any, x: Input(load=True), y: Annotated[int, Input(load=True)], z: "Nonsense") -> Any:  # type: ignore[valid-type]  # noqa: F821, UP037
        return x

    loads = remote(function)(a, [b], c)
    assert config(loads).load == [tuple(a.id), tuple(b.id)]
    by_dict = remote(inputs={"z": Input(load=True)})(lambda ctx, x, z: x)(a, c)
    assert config(by_dict).load == [tuple(c.id)]
    by_list = remote(inputs=[Input("z", load=True)])(lambda ctx, x, z: x)(a, c)
    assert config(by_list).load == [tuple(c.id)]
    most = remote(inputs={"x": Input(load=False)}, auto_load=True)(lambda ctx, x, *rest: x)(a, b, c)
    assert config(most).load == [tuple(b.id), tuple(c.id)]
    variadic = remote(inputs={"rest": Input(load=True), "named": Input(load=True)})(lambda ctx, x, *rest, **named: x)
    assert config(variadic(a, b, k=c)).load == [tuple(b.id), tuple(c.id)]
    assert config(remote(auto_load=True)(lambda ctx, x: x)(a)).load is True
    assert config(Remote(lambda ctx, x: x, autoload=True)(a)).load is True
    with pytest.raises(RainException, match="no parameter 'q'"):
        remote(inputs={"q": Input()})(lambda ctx, x: x)
    with pytest.raises(RainException, match="inputs= is a dict of parameter names and Inputs, not 5"):
        remote(inputs=5)(lambda ctx, x: x)  # type: ignore[arg-type]
    with pytest.raises(RainException, match="alike"):
        remote(inputs={"x": Input(load=True)})(lambda ctx, x, y: x)(a, a)


def test_declared_content_and_data_types(detached: Session, tmp_path: Any) -> None:
    function = remote(inputs={"x": Input(content_type="json"), "d": InputDir()})(lambda ctx, x=None, d=None: x)
    plain = blob(b"{}")
    function(plain)
    assert plain.content_type == "json"
    with pytest.raises(RainException, match="content type 'json'"):
        function(blob("text"))
    with pytest.raises(RainException, match="content type 'json'"):
        function([blob("text")])
    function(d=directory(tmp_path))
    with pytest.raises(RainException, match="takes a directory"):
        function(d=plain)
    with pytest.raises(RainException, match="use InputDir"):
        function(directory(tmp_path))


def test_what_is_no_remote_function() -> None:
    for wrong in (7, "f", same):
        with pytest.raises(RainException, match="made of a function"):
            Remote(wrong)  # type: ignore[arg-type]
    for no_context in (lambda: 1, lambda *, x: x, lambda **named: 1):
        with pytest.raises(RainException, match="context"):
            remote(no_context)
    with pytest.raises(ValueError, match="jason"):
        remote(auto_encode="jason")(lambda ctx: 1)


# -- functions that travel ------------------------------------------------------------------------


def test_a_function_is_sent_once(detached: Session) -> None:
    first, second = same(1), same(2)
    assert first.spec.function == second.spec.function
    other = remote(lambda ctx: b"1")()
    assert other.spec.function != first.spec.function
    hidden = [record for record in detached._inside.mirror.records.values() if getattr(record, "hidden", False)]
    assert len(hidden) == 2
    assert all(obj.label != "same" for obj in detached.objects)


factor = 2


def test_a_changed_global_is_another_function(detached: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @remote()
    def scaled(ctx: Any, x: int) -> int:
        return x * factor

    first = scaled(1)
    assert function_of(first)(None, 3) == 6
    monkeypatch.setitem(globals(), "factor", 5)
    second = scaled(1)
    assert second.spec.function != first.spec.function
    assert function_of(second)(None, 3) == 15
    monkeypatch.setitem(globals(), "factor", 2)
    assert scaled(1).spec.function == first.spec.function


def test_annotations_do_not_travel(detached: Session) -> None:
    class Unpicklable:
        def __reduce__(self) -> Any:
            raise TypeError("stays here")

    def function(ctx: Any, x: Unpicklable()) -> Any:  # type: ignore[valid-type]
        return x

    function.__annotations__["x"] = Unpicklable()
    assert function_of(remote(function)(1))(None, 1) == 1


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 the definition itself raises")
def test_annotations_may_name_what_is_not_there(detached: Session) -> None:
    names: dict[str, Any] = {"__name__": "__main__", "Annotated": Annotated, "Input": Input, "Output": Output}
    source = (
        "def helper(x: Missing) -> Missing:\n    return helper2(x)\n"
        "def helper2(x: Missing, n: int = 2) -> int:\n    return x * n if n else helper(x)\n"
        "def function(ctx, x: Annotated[Missing, Input(load=True)], y: Missing = 1) -> Output('z'):\n"
        "    return helper(x)\n"
    )
    exec(compile(source, "<missing>", "exec", dont_inherit=True), names)
    made = remote(names["function"])
    task = made(pickled(4))
    assert task.outputs.labels == ["z"]
    assert "x" in str(made.__signature__)  # type: ignore[attr-defined]
    function = function_of(task)
    assert function(None, 4) == 8
    assert function.__globals__["helper2"].__annotations__ == {"x": "Missing", "n": "int", "return": "int"}
    with pytest.raises(NameError):  # the user's own function is left as it is
        names["helper"].__annotations__  # noqa: B018


def test_recursion_through_the_remote_itself(detached: Session) -> None:
    task = recursive(3)
    assert function_of(task)(None, 3) == 6


@remote()
def recursive(ctx: Any, n: int) -> int:
    return 1 if n == 0 else n * recursive.function(ctx, n - 1)


def test_what_cannot_be_pickled_is_named(detached: Session) -> None:
    lock = threading.Lock()

    @remote()
    def uses_lock(ctx: Any) -> Any:
        return lock

    with pytest.raises(RainException, match=r"variable 'lock' that function .*uses_lock uses.*lock"):
        uses_lock()
    with pytest.raises(RainException, match=r"argument 'x'\['a'\]\[1\] \(of type lock\) cannot be pickled"):
        same({"a": [1, lock]})
    with pytest.raises(RainException, match="session"):
        same(detached)
    assert detached.task_count == 0


def test_the_member_that_cannot_be_pickled_is_named_not_one_that_refers_to_it(detached: Session) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    text = (
        "class K:\n    def first(self): return K\n    lock = threading.Lock()\n    def last(self): return K, other()\n"
    )
    exec(f"import threading\ndef other(): return K\n{text}def use(ctx): return K", space)
    with pytest.raises(RainException, match=r"global 'K' that function use uses, at \.lock \(of type lock\) cannot"):
        remote()(space["use"])()


def test_a_cached_function_is_pickled_once(detached: Session) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("import functools\n@functools.cache\ndef g(x): return x\ndef use(ctx): return g(1)", space)
    use = remote()(space["use"])
    use()
    first = use._source._payloads[False]
    use()
    assert use._source._payloads[False] is first
    space["g"] = lambda x: 2
    use()
    assert use._source._payloads[False] is not first


def test_large_arguments_travel_as_blobs(detached: Session) -> None:
    with pytest.warns(RainWarning, match=r"Pickled object x length \d+ ") as caught:
        task = same(b"x" * 300_000)
    assert caught[0].filename == __file__
    (large,) = task.inputs
    assert (large.label, config(task).load) == ("x", [tuple(large.id)])
    assert pickle.loads(constant(large)) == b"x" * 300_000
    assert large not in detached.objects
    with pytest.warns(RainWarning, match="Pickled object x "):
        listed = same(list(range(200_000)))
    assert len(config(listed).args) < 1000
    a = blob("a")
    with pytest.warns(RainWarning):
        mixed = same([a, b"x" * 300_000])
    assert set(mixed.inputs) > {a}


def test_large_closures_warn(detached: Session) -> None:
    data = b"x" * 300_000
    with pytest.warns(RainWarning, match="Pickled object .*closure"):
        remote(lambda ctx: data)()


def test_local_calls(detached: Session) -> None:
    @remote(inputs={"x": Input(load=True)})
    def doubled(ctx: Any, x: Any, y: Any = 1) -> Any:
        ctx.debug("called {}", x)
        return [x, y.get_bytes() if y != 1 else None, ctx.blob("text").get_bytes()]

    assert doubled.local(pickled([1]), blob("b")) == [[1], b"b", b"text"]
    assert doubled.local(7) == [7, None, b"text"]
    with pytest.raises(TypeError, match="missing"):
        doubled.local()


def test_local_calls_find_objects_wherever_they_are(detached: Session) -> None:
    held = blob("held")

    @remote(auto_load=True)
    def joined(ctx, parts, more=None):
        return [*parts, held.get_str(), more]

    empty = blob("")
    assert joined.local([pickled(1), empty], more={"k": pickled(2)}) == [1, "", "held", {"k": 2}]
    assert joined.local(pickled(n) for n in range(2)) == [0, 1, "held", None]
    assert joined.local(n for n in range(2)) == [0, 1, "held", None]
    assert joined.local(map(pickled, [0, 1])) == [0, 1, "held", None]
    assert joined.local(empty) == ["held", None]
    unpicklable = threading.Lock()
    assert joined.local([unpicklable]) == [unpicklable, "held", None]


def test_objects_made_elsewhere(detached: Session) -> None:
    strange = blob("a", session=Session(None, 2, "other"))
    with pytest.raises(RainException, match="'other'"):
        same(strange)
    assert isinstance(DataObject("x"), DataObject)
    assert ID(1, 2) == (1, 2)


def test_options_beside_a_function_hold(session: Session) -> None:
    """`remote(function, auto_encode="pickle")`: they were dropped without a word."""

    def made(ctx: Any, part: Any) -> Any:
        return part

    task = remote(made, auto_encode="pickle", name="mine", cpus=3, retries=2)(1)
    assert task.output.content_type == "pickle"
    assert (task.name, task.spec.resources) == ("mine", {"cpus": 3})
    assert task.spec.options is not None
    assert task.spec.options.retries == 2
    with pytest.raises(TypeError, match="colour"):
        remote(made, colour=2)
