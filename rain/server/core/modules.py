"""Where code of a session finds its modules: the client's paths at each submit, and sources for other hosts.

A task keeps the environment of its submit by number (`TaskSpec.environment`). Sources that the client sent or was asked
for are held for executors on other hosts; what is not held the client is asked for while it is there. When a source
changes there is a new environment, because executors that imported the old one cannot run what is submitted now.
"""

from __future__ import annotations

from rain.common.limits import ENVIRONMENTS_MAX, MODULES_BYTES_MAX
from rain.common.protocol.messages import ModuleFound, OpenSession, SessionEnv, WantModule
from rain.common.task_configs import UserModule
from rain.server.core.state import State
from rain.server.environments import Environments
from rain.server.records.client import Client
from rain.server.records.governor import Governor
from rain.server.records.session import Session


def renew(session: Session, env: SessionEnv | None, modules: list[UserModule]) -> int:
    """Take in what a submit says of paths and modules; the number of its tasks' environment."""
    found = session.environments
    if modules:
        _hold(found, modules)
    if env is not None or found.changed:
        found.use(env or found.get(found.current), ENVIRONMENTS_MAX)
    return found.current


def _hold(found: Environments, modules: list[UserModule]) -> None:
    for module in modules:
        before = found.modules.get(module.name)
        found.changed |= before is not None and before.source != module.source
        found.modules[module.name] = module
    size = sum(len(module.source or b"") for module in found.modules.values())
    while size > MODULES_BYTES_MAX and len(found.modules) > 1:
        # The client is asked when one of these is needed after all.
        size -= len(found.modules.pop(next(iter(found.modules))).source or b"")


def send_environment(state: State, session: Session, governor: Governor, number: int) -> None:
    """Send a governor the environment `number`, unless it has it."""
    found = session.environments
    sent = found.sent.setdefault(governor.id, set())
    if number not in sent:
        sent.add(number)
        state.to_governor(governor, OpenSession(session.id, found.get(number), number))


def want_module(state: State, governor: Governor, message: WantModule) -> None:
    """`WantModule` of a governor: answered from what is held, or by the client."""
    session = governor.sessions.get(message.session_id)
    held = None if session is None else session.environments.modules.get(message.name)
    if session is None or session.over or held is not None or session.client is None:
        state.to_governor(governor, ModuleFound(message.session_id, message.name, held))
        return
    waits = session.environments.waits
    if message.name not in waits:
        waits[message.name] = []
        state.to_client(session.client.id, WantModule(session.id, message.name))
    waits[message.name].append(governor.id)


def module_found(state: State, client: Client, message: ModuleFound) -> None:
    """A client's answer."""
    session = client.sessions.get(message.session_id)
    if session is None:
        return
    if message.module is not None:
        _hold(session.environments, [message.module])
    _answer(state, session, message.name, message.module)


def _answer(state: State, session: Session, name: str, module: UserModule | None) -> None:
    for governor_id in session.environments.waits.pop(name, ()):
        governor = state.graph.governors.get(governor_id)
        if governor is not None:
            state.to_governor(governor, ModuleFound(session.id, name, module))


def client_left(state: State, session: Session) -> None:
    """The client that was asked for modules is gone: governors are answered without them."""
    for name in list(session.environments.waits):
        _answer(state, session, name, None)
