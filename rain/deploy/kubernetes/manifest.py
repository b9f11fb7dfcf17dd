"""A manifest with which Kubernetes runs governors: an Indexed Job, and a Secret with their token.

Written after the API's description (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/) for
Kubernetes 1.29 and newer. What it says and why:

* The governors dial out to the server; nothing has to be able to reach into the cluster for that.
* The token is a file of a Secret. It is in no argument and no variable, which all can read who may list pods.
* An index whose governor fails four times is given up, and alone: with the usual ``backoffLimit`` the failures of one
  node would end the whole Job. A governor that is evicted leaves politely within its grace, says so by its exit status,
  and its pod is replaced, uncounted. One that its server dismissed has completed.
* Containers have 64 MiB in ``/dev/shm`` by themselves, where governors keep large objects; a memory volume replaces it.
* It keeps to the "restricted" Pod Security Standard, which many clusters demand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import LEAVE_S, PLACES_MAX
from rain.deploy.kubernetes.yaml import yaml_of
from rain.host.signals import LEFT_STATUS

_FAILURES_MAX = 3
_KEPT_S = 3600
_SPARE_S = 10
_TOKEN_FOLDER = "/run/rain"
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_CHARS_MAX, _SUBDOMAIN_CHARS_MAX = 63, 253
"""Of names, by RFC 1123 as Kubernetes reads it."""
_ROOT_USER = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of Kubernetes.

    Attributes
    ----------
    image : str
        A container image with Rain in its Python.
    server : str
        ``host:port`` as pods reach it; several with commas between them.
    places, cpus, gpus : int
        How many pods, and what each has.
    memory_bytes : int
        Of each pod; 0: no limit.
    time_s : int
        After which each ends; 0: no limit.
    name : str
        Of the Job, and the beginning of the Secret's.
    namespace : str
        Empty: the one of ``kubectl``.
    secret : str
        A Secret that is there, with the token under the key ``token``; empty: one is part of the manifest.
    python : str
        The image's Python with Rain; empty: its command ``rain``.
    user : int
        As which governors run; 0 is root.
    host_network : bool
        Whether governors use the networks of their nodes, so that clients outside of the cluster reach them.
    gpu_resource : str
        What Kubernetes calls the GPUs.
    """

    image: str
    server: str
    places: int = 1
    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0
    time_s: int = 0
    name: str = "rain"
    namespace: str = ""
    secret: str = ""
    python: str = ""
    user: int = 1000
    host_network: bool = False
    gpu_resource: str = "nvidia.com/gpu"


def manifest(wanted: Wanted, token: str) -> str:
    """The manifest, as YAML for ``kubectl apply -f -``.

    Parameters
    ----------
    wanted : Wanted
    token : str
        For governors; not used where `wanted` names a Secret.

    Raises
    ------
    RainException
        If something that is wanted has no meaning.

    Examples
    --------
    >>> text = manifest(Wanted("registry/rain:1", "10.0.0.1:7210", secret="rain-token"), "")
    >>> print(text.splitlines()[1])
    kind: Job
    """
    check(wanted)
    documents = [] if wanted.secret else [secret_of(wanted, token)]
    return "---\n".join(map(yaml_of, [*documents, job_of(wanted)]))


def check(wanted: Wanted) -> None:
    """Raise RainException if something that is wanted has no meaning."""
    if not wanted.image.strip():
        raise RainException("governors in Kubernetes need a container image with Rain: --image")
    for what, value, least, most in (
        ("places", wanted.places, 1, PLACES_MAX), ("cpus", wanted.cpus, 1, 10_000), ("gpus", wanted.gpus, 0, 1_000),
        ("user", wanted.user, 0, 2**31 - 1),
    ):  # fmt: skip
        if not least <= value <= most:
            raise RainException(f"{what} is a number from {least} to {most}, not {value}")
    # Pods are called as the Job is, a dash and their number, and that is the name of a host.
    most = _LABEL_CHARS_MAX - len(f"-{wanted.places - 1}")
    for what, text, pattern, chars, also in (
        ("name", wanted.name, _LABEL, most, ""),
        ("namespace", wanted.namespace or "default", _LABEL, _LABEL_CHARS_MAX, ""),
        ("secret", wanted.secret or "token", _SUBDOMAIN, _SUBDOMAIN_CHARS_MAX, ", may have dots between such words"),
    ):
        if len(text) > chars or not re.fullmatch(pattern, text):
            raise RainException(
                f"{what} is of small letters, digits and dashes, {chars} at most{also}, and neither begins nor ends "
                f"with a dash: {text!r} is not"
            )
    if wanted.gpus and not re.fullmatch(
        rf"({_SUBDOMAIN}/)?[A-Za-z0-9]([\w.-]{{0,61}}[A-Za-z0-9])?", wanted.gpu_resource
    ):
        raise RainException(f"gpu-resource is a name as nvidia.com/gpu, not {wanted.gpu_resource!r}")


def secret_of(wanted: Wanted, token: str) -> dict[str, Any]:
    """The Secret with the governors' token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(wanted, f"{wanted.name}-token"),
        "type": "Opaque",
        "stringData": {"token": f"{token}\n"},
    }


def job_of(wanted: Wanted) -> dict[str, Any]:
    """The Job, one pod a place."""
    ignored = [
        {"action": "Ignore", "onExitCodes": {"containerName": "governor", "operator": "In", "values": [LEFT_STATUS]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(wanted, wanted.name),
        "spec": {
            "completionMode": "Indexed",
            "completions": wanted.places,
            "parallelism": wanted.places,
            "backoffLimitPerIndex": _FAILURES_MAX,
            "podFailurePolicy": {"rules": ignored},
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": _labels(wanted)}, "spec": _pod(wanted)},
        },
    }


def _pod(wanted: Wanted) -> dict[str, Any]:
    is_root = wanted.user == _ROOT_USER
    shared: dict[str, Any] = {"medium": "Memory"}
    if wanted.memory_bytes:
        shared["sizeLimit"] = str(wanted.memory_bytes // 2)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": int(LEAVE_S) + _SPARE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": not is_root,
            "runAsUser": wanted.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(wanted)],
        "volumes": [
            # Files of Secrets belong to root; the group is the governor's.
            {
                "name": "token",
                "secret": {
                    "secretName": wanted.secret or f"{wanted.name}-token",
                    "defaultMode": 0o400 if is_root else 0o440,
                    "items": [{"key": "token", "path": "token"}],
                },
            },
            {"name": "shared-memory", "emptyDir": shared},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    if not is_root:
        pod["securityContext"] |= {"runAsGroup": wanted.user, "fsGroup": wanted.user}
    if wanted.host_network:
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return pod


def _container(wanted: Wanted) -> dict[str, Any]:
    amounts: dict[str, Any] = {"cpu": str(wanted.cpus)}
    if wanted.memory_bytes:
        amounts["memory"] = str(wanted.memory_bytes)
    if wanted.gpus:
        amounts[wanted.gpu_resource] = str(wanted.gpus)
    words = [*([wanted.python, "-m", "rain"] if wanted.python else ["rain"]), "governor", wanted.server]
    words += ["--token-file", f"{_TOKEN_FOLDER}/token", "--cpus", str(wanted.cpus), "--leave-status", str(LEFT_STATUS)]
    words += [] if wanted.gpus else ["--gpus", ""]
    words += ["--walltime", str(wanted.time_s)] if wanted.time_s else []
    return {
        "name": "governor",
        "image": wanted.image,
        "command": words,
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }


def _labels(wanted: Wanted) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "rain",
        "app.kubernetes.io/component": "governor",
        "app.kubernetes.io/instance": wanted.name,
    }


def _metadata(wanted: Wanted, name: str) -> dict[str, Any]:
    place = {"namespace": wanted.namespace} if wanted.namespace else {}
    return {"name": name, **place, "labels": _labels(wanted)}
