"""Manifests for Kubernetes: what its own schemas say of them, and what is in them."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.deploy.kubernetes.manifest import Wanted, manifest
from rain.deploy.kubernetes.yaml import yaml_of

TOKEN = "rain1-abc"
SIMPLE = Wanted("registry/rain:1", "10.0.0.1:7210")
FULL = Wanted(
    "registry/rain:1", "10.0.0.1:7210,login:7210", places=8, cpus=16, gpus=2, memory_bytes=32 << 30, time_s=7200,
    name="fits", namespace="physics", python="/opt/venv/bin/python", user=0, host_network=True,
)  # fmt: skip


def documents(wanted: Wanted) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest(wanted, TOKEN)))


@pytest.mark.parametrize("version", ["1.29", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("wanted", [SIMPLE, FULL], ids=["simple", "full"])
def test_it_is_what_the_schemas_of_kubernetes_want(wanted: Wanted, version: str) -> None:
    for document in documents(wanted):
        kubernetes_validate.validate(document, version, strict=True)
    job = documents(wanted)[-1]
    job["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, version, strict=True)


def test_what_is_wanted_is_asked_for() -> None:
    secret, job = documents(FULL)
    assert secret["metadata"]["namespace"] == job["metadata"]["namespace"] == "physics"
    spec = job["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (8, 8, "Indexed")
    assert container["resources"]["limits"] == {"cpu": "16", "memory": str(32 << 30), "nvidia.com/gpu": "2"}
    assert container["command"] == [
        "/opt/venv/bin/python", "-m", "rain", "governor", "10.0.0.1:7210,login:7210", "--token-file", "/run/rain/token",
        "--cpus", "16", "--leave-status", "75", "--walltime", "7200",
    ]  # fmt: skip
    assert pod["hostNetwork"] is True
    assert [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "shared-memory"] == [
        {"medium": "Memory", "sizeLimit": str(16 << 30)}
    ]


def test_the_token_is_in_the_secret_and_nowhere_else() -> None:
    secret, job = documents(SIMPLE)
    assert secret["stringData"] == {"token": f"{TOKEN}\n"}
    assert TOKEN not in yaml_of(job)
    [mounted] = [v["secret"] for v in job["spec"]["template"]["spec"]["volumes"] if "secret" in v]
    assert mounted["secretName"] == secret["metadata"]["name"]
    [alone] = documents(Wanted("i", "h:1", secret="mine"))
    assert TOKEN not in yaml_of(alone)
    assert "secretName: mine" in yaml_of(alone)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"image": " "}, "need a container image with Rain: --image"),
        ({"places": 0}, "places is a number from 1 to 1000, not 0"),
        ({"gpus": -1}, "gpus is a number from 0"),
        ({"name": "Rain_1"}, "name is of small letters, digits and dashes, 61 at most"),
        ({"name": ""}, "name is of small letters, digits and dashes"),
        ({"name": "a" * 61, "places": 11}, "name is of small letters, digits and dashes, 60 at most"),
        ({"name": "a.b"}, "name is of small letters, digits and dashes"),
        ({"name": "a\n"}, "name is of small letters, digits and dashes"),
        ({"namespace": "-a"}, "neither begins nor ends with a dash"),
        ({"namespace": "a.b"}, "namespace is of small letters, digits and dashes, 63 at most, and"),
        ({"namespace": "a" * 64}, "63 at most"),
        ({"secret": "a..b"}, "secret is of small letters, digits and dashes, 253 at most, may have dots"),
        ({"gpus": 1, "gpu_resource": ""}, "gpu-resource is a name as nvidia.com/gpu, not ''"),
        ({"secret": "a" * 254}, "253 at most"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(RainException, match=text):
        manifest(Wanted(**{"image": "i", "server": "h:1", **options}), TOKEN)


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_names_may_be_as_long_as_kubernetes_has_them(version: str) -> None:
    wanted = Wanted("i", "h:1", name="a" * 61, namespace="n" * 63, secret=f"team-1.tokens.{'s' * 239}")
    [job] = documents(wanted)
    kubernetes_validate.validate(job, version, strict=True)
    assert len(f"{job['metadata']['name']}-0") == 63
    [volume] = [one["secret"] for one in job["spec"]["template"]["spec"]["volumes"] if "secret" in one]
    assert volume["secretName"] == wanted.secret


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["on", "1e3", "~", "0o7", "a: b", "- a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_as_yaml_is_read_as_it_was(value: Any) -> None:
    assert yaml.load(yaml_of(value), Loader=yaml.SafeLoader) == value


@pytest.mark.parametrize("length", [1022, 1023, 1024, 1025, 5000])
def test_long_keys_are_read_as_they_were(length: int) -> None:
    for char in "a ":
        key = char * length
        value = {key: 1, "other": [{key: {key: [2]}}, {key: None}]}
        assert yaml.load(yaml_of(value), Loader=yaml.SafeLoader) == value


def test_a_value_that_yaml_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be written as YAML"):
        yaml_of({"a": {1}})
    with pytest.raises(TypeError, match="a key is a text"):
        yaml_of({1: "a"})
