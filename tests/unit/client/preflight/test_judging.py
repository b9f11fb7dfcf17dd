"""From what is needed and what is there to problems."""

from __future__ import annotations

from rain.client.preflight.judging import Cluster, There, problems_of, wanted_of
from rain.client.preflight.needs import EXECUTOR, FILE, MODULE, PATH, PROGRAM, Group
from rain.client.preflight.report import FAILURE, WARNING, CheckReport, Problem
from rain.common.protocol.surroundings import Surroundings, Wanted

NOTHING = Wanted()


def there(id: str, without: Wanted | str = NOTHING, python: str = "3.11.7", **resources: float) -> There:
    found = without if isinstance(without, str) else Surroundings("h", f"host-{id}", python, "/bin", without)
    return There(id, {"cpus": 2.0, **resources}, found)


def group(**resources: float) -> Group:
    found = Group("File x.py, line 1", {"cpus": 1.0, **resources})
    found.begin(7, "task 'fit'")
    return found


def told(groups: list[Group], *governors: There, grows: bool = False) -> list[tuple[str, str]]:
    cluster = Cluster(governors, "3.11.2", grows)
    return [(problem.level, problem.what) for problem in problems_of(groups, cluster, None)]


def test_each_thing_is_asked_for_once() -> None:
    first, second = group(), group()
    for one in (first, second):
        one.need(MODULE, "numpy", "f needs")
        one.need(PROGRAM, "gcc", "it runs", "/opt/bin")
        one.need(PROGRAM, "gcc", "it runs")
        one.need(PATH, "/a", "it names")
        one.need(FILE, "/a", "it loads")
    assert wanted_of([first, second]) == Wanted(["numpy"], [("gcc", "/opt/bin"), ("gcc", None)], ["/a"])


def test_who_lacks_what() -> None:
    one = group()
    one.need(MODULE, "numpy", "f needs")
    one.need(PROGRAM, "gcc", "it runs", "/opt/bin")
    one.need(PATH, "/a", "its arguments name")
    one.need(FILE, "/b", "it loads")
    none = Wanted(["numpy"], [("gcc", "/opt/bin")], ["/a", "/b"])
    assert told([one], there("a"), there("b")) == []
    assert told([one], there("a", none)) == [
        (FAILURE, "f needs the module 'numpy', which is not on the only governor"),
        (FAILURE, "it runs 'gcc', which is not on the only governor; PATH is /opt/bin"),
        (WARNING, "its arguments name '/a', which is here but not on the only governor"),
        (FAILURE, "it loads '/b', which is not on the only governor"),
    ]
    some = [text for _, text in told([one], there("a", Wanted(["numpy"])), there("b"))]
    assert some == ["f needs the module 'numpy', which is not on governor a on host-a (1 of 2)"]
    many = [there(str(n), Wanted(["numpy"])) for n in range(5)]
    (text,) = [text for _, text in told([one], *many, there("b"))]
    assert "governors 0 on host-0, 1 on host-1, 2 on host-2 and 2 more (5 of 6)" in text


def test_governors_without_an_executor_in_another_language() -> None:
    one = group()
    one.need(EXECUTOR, "julia", "it is of type 'julia/fit'")
    none = Surroundings("h", "host", "3.11.7", "/bin", Wanted(executors=["julia"]), ["r"])
    broken = Surroundings("h", "host", "3.11.7", "/bin", Wanted(), ["julia", "r"], {"julia": "/opt/julia"})
    has = Surroundings("h", "host", "3.11.7", "/bin", Wanted(), ["julia"])
    cpus = {"cpus": 2.0}
    assert wanted_of([one]) == Wanted(executors=["julia"])
    assert told([one], There("a", cpus, has), There("b", cpus, none)) == [], "it is placed where the executor is"
    nobody = (
        "it is of type 'julia/fit', and no governor that has its resources has an executor 'julia' (they offer 'r')"
    )
    assert told([one], There("a", {"cpus": 0.5}, has), There("b", cpus, none)) == [(FAILURE, nobody)]
    assert told([one], There("b", cpus, none), grows=True) == [(WARNING, nobody)]
    assert told([one], There("a", cpus, broken), There("b", cpus, none)) == [
        (FAILURE, "it is of type 'julia/fit', and '/opt/julia', the program of the executor 'julia', is not on the "
                  "only governor that can run it")
    ]  # fmt: skip
    assert told([one], There("a", cpus, none), there("b", "it is busy"))[0] == (WARNING, nobody)
    assert told([one], there("a", "it is busy")) == [(WARNING, "could not be asked: it is busy")]


def test_only_governors_count_on_which_the_task_can_run() -> None:
    one = group(gpus=1)
    one.need(MODULE, "torch", "f needs")
    assert told([one], there("a", Wanted(["torch"])), there("b", gpus=2)) == []


def test_resources_that_no_governor_has() -> None:
    one = group(gpus=4)
    what = "it asks for cpus=1, gpus=4, which no governor has; the most that one of them has is cpus=2, gpus=2"
    assert told([one], there("a"), there("b", gpus=2)) == [(FAILURE, what)]
    assert told([one], there("b", gpus=2), grows=True) == [(WARNING, what)]
    assert told([group()]) == [(FAILURE, "no governor is there")]
    gang = Group("", {"cpus": 2.0}, 3)
    gang.begin(1, "task")
    assert told([gang], there("a"), there("b")) == [(FAILURE, "it asks for 3 governors with cpus=2; 2 could run it")]


def test_another_python_is_told_where_code_travels() -> None:
    one = group()
    assert told([one], there("a", python="3.13.0")) == []
    one.by_value = True
    assert told([one], there("a", python="3.11.9")) == []
    ((level, what),) = told([one], there("a", python="3.13.0"), there("b"))
    assert (level, what) == (
        FAILURE,
        "its code is sent as that of Python 3.11.2; governor a on host-a (1 of 2) has Python 3.13.0",
    )


def test_a_governor_that_does_not_answer_is_told() -> None:
    one = group()
    one.need(MODULE, "numpy", "f needs")
    assert told([one], there("a", "it is asleep"), there("b")) == [(WARNING, "could not be asked: it is asleep")]


def test_tasks_of_one_line_are_one_problem() -> None:
    one = group()
    for number in range(3):
        one.begin(number, f"task {number}")
        one.need(FILE, "/b", "it loads")
    (problem,) = problems_of([one], Cluster([there("a", Wanted(paths=["/b"]))], "3.11.2", False), None)
    assert (problem.count, problem.about) == (3, "task 0 and 2 more, File x.py, line 1")


def test_the_report_in_text_and_as_a_table() -> None:
    hostile = Problem(WARNING, "<script>alert(1)</script>\x1b[31m", "do & go", "task '<b>'")
    report = CheckReport([hostile, Problem(FAILURE, "it fails", "mend it", "task 'a'", "line 1", 2)], "3 tasks")
    assert not report
    assert [problem.level for problem in report.problems] == [FAILURE, WARNING]
    assert repr(report).splitlines()[:3] == [
        "check of 3 tasks: 1 failure, 1 warning",
        "failure  task 'a' and 1 more, line 1",
        "         it fails",
    ]
    assert "\x1b" not in repr(report)
    page = report._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "task &#x27;&lt;b&gt;&#x27;" in page
    good = CheckReport([hostile], "1 task")
    assert good
    good.raise_failures()
    many = CheckReport([hostile] * 60, "60 tasks")
    assert repr(many).endswith("… and 10 more")
    assert "… and 10 more" in many._repr_html_()
