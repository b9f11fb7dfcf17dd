"""`Client.executor`, which loads its interface when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.interfaces.executor import RainExecutor


class Executors:
    """The part of `Client` that gives it the interface of `concurrent.futures`."""

    def executor(self, cpus: float = 1, *, session: Session | None = None, **options: Any) -> RainExecutor:
        """A `concurrent.futures.Executor` whose calls run as tasks.

        Parameters
        ----------
        cpus : float
            How many each call takes; 0 and fractions are allowed.
        session : Session, optional
            Where the tasks are made: then tasks and objects of it can be arguments, and what else is declared in it is
            submitted with them and kept as long as it is held. A session of its own, which ends with it, if not given.
        **options
            Further options of every task: see `Task`.

        Returns
        -------
        RainExecutor

        Raises
        ------
        TypeError
            If there is no such option.
        RainException
            If the client is closed or lost.

        Examples
        --------
        >>> with client.executor() as executor:
        ...     executor.submit(sum, [1, 2, 3]).result()
        6
        """
        from rain.interfaces.executor import RainExecutor

        client: Any = self
        return RainExecutor(client, {"cpus": cpus, **options}, session)
