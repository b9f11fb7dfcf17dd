"""What an executor is told when it is started: where it works, where results go, how its session's process looks."""

from __future__ import annotations

from collections.abc import Mapping

from rain.common.protocol.messages import ExecutorSetup, SessionEnv
from rain.governor.store import Store


def setup_of(
    executor_id: int,
    session_id: int,
    governor_id: str,
    folder: str,
    store: Store,
    here: SessionEnv | None,
    env: Mapping[str, str],
    resources: Mapping[str, float],
) -> ExecutorSetup:
    """The setup of one executor.

    Parameters
    ----------
    executor_id, session_id : int
    governor_id : str
    folder : str
        For its work, of its own.
    store : Store
        Which takes its results.
    here : SessionEnv or None
        How the session's process looks, if that is on this host.
    env : mapping of str to str
        Variables beside those of the governor.
    resources : mapping of str to float
        That it may use.
    """
    return ExecutorSetup(
        executor_id=executor_id,
        session_id=session_id,
        governor_id=governor_id,
        work_dir=folder,
        store_dir=store.incoming,
        spill_dir=store.incoming_disk,
        store_bytes_max=store.incoming_bytes_max,
        sys_path=here.sys_path if here else None,
        cwd=here.cwd if here else None,
        env=dict(env),
        resources=dict(resources),
    )


def if_here(env: SessionEnv | None, host_id: str) -> SessionEnv | None:
    """What is known of a session's process, if that is on this host."""
    return env if env is not None and env.host_id == host_id else None
