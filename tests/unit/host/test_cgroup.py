"""Limits of control groups, on made-up trees."""

import pytest

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import GIB, MIB
from rain.host import cgroup
from rain.host.shares import memory_share
from rain.processes import memory_folders


@pytest.fixture
def tree(tmp_path):
    """Makes a root folder with this ``/proc/self/cgroup`` and these files of control groups."""

    def make(own, files):
        for name, text in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{key}": files[key] for key in files}}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return str(tmp_path)

    return make


@pytest.mark.parametrize(
    ("own", "files", "cpus"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "50000 100000"}, 0.5),
        ("4:cpu,cpuacct:/j\n", {"cpu,cpuacct/j/cpu.cfs_quota_us": "300000"}, 3.0),
        ("4:cpu:/j\n", {"cpu/j/cpu.cfs_quota_us": "-1", "cpu/j/cpu.cfs_period_us": "100000"}, None),
        ("0::/a\n", {"a/cpu.max": "garbage"}, None),
        ("", {}, None),
    ],
)
def test_cpus(tree, own, files, cpus):
    assert min((limit for limit, _ in cgroup.cpu_limits(tree(own, files))), default=None) == cpus


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/a/b\n", {"a/memory.max": 3 * GIB, "a/b/memory.max": "max", "a/b/memory.high": "max"}, 3 * GIB),
        ("0::/a/b\n", {"a/memory.max": 3 * GIB, "a/b/memory.high": GIB, "a/b/memory.max": 2 * GIB}, GIB),
        ("0::/a\n", {"a/memory.max": "max"}, None),
        ("0::/\n", {"memory.max": GIB}, GIB),  # a container with a namespace of its own
        ("0::/system.slice/docker-1.scope\n", {"memory.max": GIB}, GIB),  # … and one that sees the host's path
        ("0::/../../job\n", {"job/memory.max": GIB}, GIB),
        ("9:memory:/docker/1\n0::/x\n", {"memory/memory.limit_in_bytes": GIB}, GIB),
        ("9:memory:/a/b\n", {"memory/a/memory.limit_in_bytes": GIB,
                             "memory/a/b/memory.limit_in_bytes": 9223372036854771712}, GIB),
        ("9:memory:/a\n", {"memory/a/memory.limit_in_bytes": 9223372036854771712,
                           "memory/a/memory.stat": f"cache 5\nhierarchical_memory_limit {GIB}\n"}, GIB),
        ("9:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": 2 * GIB, "unified/memory.max": GIB}, GIB),
        ("0::/a\n", {"a/memory.max": "garbage", "a/memory.high": ""}, None),
        ("", {}, None),
    ],
)  # fmt: skip
def test_memory(tree, own, files, limit):
    root = tree(own, files)
    assert cgroup.memory_limit(root) == limit
    if limit is not None:
        share = memory_share({}, root)
        assert share.amount <= limit
        assert memory_folders.store_memory(root) == int(share.amount * 0.4)


def test_what_is_left(tree):
    files = {
        "a/memory.max": 1000 * MIB, "a/memory.current": 900 * MIB,
        "a/memory.stat": f"anon 1\ninactive_file {300 * MIB}\n",
        "a/b/memory.max": 800 * MIB, "a/b/memory.current": 500 * MIB,
    }  # fmt: skip
    assert cgroup.memory_left(tree("0::/a/b\n", files)) == 300 * MIB
    files["a/b/memory.current"] = 100 * MIB
    assert cgroup.memory_left(tree("0::/a/b\n", files)) == 400 * MIB
    assert cgroup.memory_left(tree("0::/c\n", {})) is None


def test_what_is_left_in_version_1(tree):
    files = {
        "memory/a/memory.limit_in_bytes": GIB, "memory/a/memory.usage_in_bytes": GIB - MIB,
        "memory/a/memory.stat": f"total_inactive_file {4 * MIB}\n",
    }  # fmt: skip
    assert cgroup.memory_left(tree("9:memory:/a\n", files)) == 5 * MIB


def test_sizes():
    assert [parse_bytes(text) for text in ("0", 7, "1k", "1.5M", "2 GiB", "3gb", " 1T ")] == [
        0, 7, 1024, 3 << 19, 2 << 30, 3 << 30, 1 << 40,
    ]  # fmt: skip
    for wrong in ("", "many", "-1", "1X", "1e3", "M", True, "nan"):
        with pytest.raises(RainException, match="is not a size"):
            parse_bytes(wrong)


def test_the_option_goes_before_the_variable(monkeypatch):
    monkeypatch.delenv(memory_folders.STORE_MEMORY_VARIABLE, raising=False)
    assert memory_folders.chosen_memory("") is None
    monkeypatch.setenv(memory_folders.STORE_MEMORY_VARIABLE, "2M")
    assert memory_folders.chosen_memory("") == 2 * MIB
    assert memory_folders.chosen_memory("1G") == GIB
    monkeypatch.setenv(memory_folders.STORE_MEMORY_VARIABLE, "much")
    with pytest.raises(RainException, match="RAIN_STORE_MEMORY: 'much' is not a size"):
        memory_folders.chosen_memory("")
