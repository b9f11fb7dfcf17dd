"""Options that every task takes: checked once, merged cheaply.

A `Remote`, a `Program` or a builtin keeps its own `Options`; a call that gives none uses them as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rain.client.handles import Holder
from rain.common.attributes import check_user
from rain.common.errors import RainException
from rain.common.formatting import is_unicode
from rain.common.limits import TASK_NODES_MAX
from rain.common.spec import DEFAULT_OPTIONS, TaskOptions
from rain.common.suggestions.keywords import parameters_of
from rain.common.suggestions.nearest import hint

if TYPE_CHECKING:
    from rain.client.session import Session

NAMES = frozenset(
    {
        "name", "session", "cpus", "resources", "timeout", "retries", "retry_on", "rerun", "priority", "env", "fresh",
        "nodes", "user_spec", "cache",
    }
)  # fmt: skip
"""Every option's name."""

_RARE = ("timeout", "retries", "retry_on", "rerun", "priority", "env", "fresh", "nodes")
_INT_MAX = 1 << 31


class Options:
    """The options of a task, checked.

    Attributes
    ----------
    name : str or None
    session : Session or None
    resources : dict of str to float
        Holds ``"cpus"`` unless no cpu is asked for.
    rare : TaskOptions or None
    user : dict
    cache : bool or None
        Whether a result of an earlier run is reused; None if the session decides.

    Parameters
    ----------
    given : mapping of str to any
    owner : str
        For errors, as is `of`: the function or class that takes these options, if it has other parameters, too.
    """

    __slots__ = ("cache", "given", "name", "rare", "resources", "session", "user")

    def __init__(self, given: Mapping[str, Any], owner: str = "a task", of: Any = None) -> None:
        unknown = [name for name in given if name not in NAMES]
        if unknown:
            raise TypeError(unknown_option(owner, unknown[0], of))
        self.given = dict(given)
        self.name: str | None = _check_name(given.get("name"))
        self.session: Session | None = _check_session(given.get("session"))
        self.resources = _resources(given)
        self.rare = _rare(given)
        self.user = check_user(given.get("user_spec"))
        self.cache = _check_cache(given.get("cache"))

    def but(self, more: Mapping[str, Any], owner: str = "a task") -> Options:
        """These options with `more` replacing some."""
        if not more:
            return self
        given = self.given
        if "resources" in more and "cpus" in given and "cpus" not in more and "cpus" in (more["resources"] or ()):
            given = {name: value for name, value in given.items() if name != "cpus"}
        return Options({**given, **more}, owner)


class Configured:
    """A kind of task (a class) with options that are not the default ones."""

    __slots__ = ("_given", "_kind")

    def __init__(self, kind: Any, given: dict[str, Any]) -> None:
        self._kind = kind
        self._given = given

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the task; keywords given here replace the options."""
        return self._kind(*args, **kwargs, _given=self._given)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"{self._kind.__name__}.options({options})"


def merged_options(given: dict[str, Any], owner: str, of: Any = None) -> Options:
    """Options given at a call of `of` (None: not given); they replace those of `Task.options`, given as ``_given``."""
    configured = given.pop("_given", None)
    chosen = {name: value for name, value in given.items() if value is not None}
    if configured:
        return Options(configured, owner).but(chosen, f"{owner}()")
    return Options(chosen, f"{owner}()", of) if chosen else DEFAULT


def unknown_option(owner: str, name: str, of: Any = None) -> str:
    """The text for a keyword that is neither a parameter of `of` nor an option."""
    own = [] if of is None else [known for known in parameters_of(of) if known not in NAMES and known != "self"]
    takes = f"it takes {', '.join(own)}; " if own else ""
    meant = hint(name, [*own, *sorted(NAMES)])
    return f"{owner} got an unexpected keyword {name!r}{meant} ({takes}options are {', '.join(sorted(NAMES))})"


def _check_name(name: Any) -> str | None:
    if name is not None and not isinstance(name, str):
        raise RainException(f"a task's name is a str, not {type(name).__name__} ({name!r})")
    if name is not None and not is_unicode(name):
        raise RainException(f"a task's name is Unicode text, not {name!r}")
    return name


def _check_session(session: Any) -> Any:
    if session is not None and not isinstance(session, Holder):
        raise RainException(f"session= is a Session, not {type(session).__name__}")
    return session


def _check_cache(cache: Any) -> bool | None:
    if cache not in (None, True, False):
        raise RainException(
            f"cache= of a task is True or False, not {cache!r}; the folder is named by new_session(cache=)"
        )
    return cache if cache is None else bool(cache)


def _plain(value: Any) -> Any:
    """A NumPy number as a Python number; any other value as it is."""
    return value.item() if hasattr(value, "dtype") and not hasattr(value, "__len__") else value


def _amount(value: Any, what: str) -> float:
    number: float = _plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise RainException(f"{what} is a number, not {type(value).__name__} ({value!r})")
    if not 0 <= number <= sys.float_info.max:
        raise RainException(f"{what} is a finite number that is not negative, not {value!r}")
    return number


def _resources(given: Mapping[str, Any]) -> dict[str, float]:
    asked = given.get("resources")
    resources: dict[str, float] = {}
    if asked is not None:
        if not isinstance(asked, Mapping):
            raise RainException(
                f'resources= is a dict of amounts, for instance {{"gpus": 1}}, not {type(asked).__name__}'
            )
        for name, value in asked.items():
            if not isinstance(name, str) or not name or not is_unicode(name):
                raise RainException(f"a resource's name is a str, not {name!r}")
            resources[name] = _amount(value, f"resource {name!r}")
    cpus = given.get("cpus")
    if cpus is None:
        resources.setdefault("cpus", 1)
    else:
        if "cpus" in resources and resources["cpus"] != cpus:
            raise RainException(f"cpus={cpus!r} and resources={dict(asked or ())!r} contradict each other")
        resources["cpus"] = _amount(cpus, "cpus")
    return {name: value for name, value in resources.items() if value}


def _integer(value: Any, what: str, least: int) -> int:
    number: int = _plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise RainException(f"{what} is an integer, not {type(value).__name__} ({value!r})")
    if not least <= number < _INT_MAX:
        raise RainException(f"{what} is an integer from {least} to {_INT_MAX - 1}, not {value}")
    return number


def _rare(given: Mapping[str, Any]) -> TaskOptions | None:
    if not any(name in given for name in _RARE):
        return None
    timeout = given.get("timeout")
    if timeout is not None:
        timeout = _amount(timeout, "timeout (seconds)")
        if timeout == 0:
            raise RainException("timeout (seconds) is more than 0")
    rerun = given.get("rerun")
    if rerun not in (None, "", "never"):
        raise RainException(f'rerun is "never" or not given, not {rerun!r}')
    fresh = given.get("fresh")
    if fresh not in (None, True, False):
        raise RainException(f"fresh is True or False, not {fresh!r}")
    priority = given.get("priority")
    rare = TaskOptions(
        timeout=timeout,
        retries=_integer(given.get("retries") or 0, "retries", 0),
        retry_on=_class_names(given.get("retry_on")),
        rerun=rerun or "",
        priority=0 if priority is None else _integer(priority, "priority", -_INT_MAX),
        env=_env(given.get("env")),
        fresh=bool(fresh),
        nodes=_nodes(given.get("nodes")),
    )
    return None if rare == DEFAULT_OPTIONS else rare


def _nodes(nodes: Any) -> int:
    count = 1 if nodes is None else _integer(nodes, "nodes", 1)
    if count > TASK_NODES_MAX:
        raise RainException(f"nodes is at most TASK_NODES_MAX ({TASK_NODES_MAX}), not {count}")
    return count


def _class_names(classes: Any) -> tuple[str, ...]:
    if classes is None:
        return ()
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        classes = (classes,)
    names = []
    for item in classes:
        if isinstance(item, type) and issubclass(item, BaseException):
            names.append(f"{item.__module__}.{item.__qualname__}")
        elif isinstance(item, str) and item and is_unicode(item):
            names.append(item)
        else:
            raise RainException(f"retry_on takes exception classes (or their qualified names), not {item!r}")
    return tuple(names)


def _env(env: Any) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise RainException(f"env is a dict of environment variables, not {type(env).__name__}")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise RainException(f"env is a dict of str to str, but it has {name!r}: {value!r}")
        if not name or "=" in name or "\0" in name + value or not is_unicode(name + value):
            raise RainException(f"{name!r} cannot be an environment variable with the value {value!r}")
    return dict(env)


DEFAULT = Options({})
"""The options of a task for which none are given."""
