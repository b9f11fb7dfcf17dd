"""The server's core: events in, effects out.

Theory of operation
-------------------
`ServerCore.step` is the only way in. An event changes the graph at once; replies to a client's requests are effects of
the same step. What can wait is gathered: updates for clients, drops, cancellations, and all placing of tasks happen at
`TurnEnded`, so that each peer gets one batch per loop turn, however many tasks it is about.

The order of effects is that in which they have to be carried out. Within a turn a governor is sent first what to end
and to drop, then what to run.

The parts: `sessions` (clients come and go, sessions open and end), `attach`, `commands`, `queries`, `modules` (paths
and sources of users' code), `objects` (which objects are needed; lineage), `demand` (places that pools may bring, and
the work for them). In `lifecycle`: `cut`, `submit`, `families` (members that have no records), `placing` (the
scheduling policy is asked), `attempts` (their starts and results), `settle` (failure and cancellation spread),
`recovery` (governors and replicas that are lost), `succession` (their objects come back with others), `departure`
(governors that leave on purpose), `gangs` and `gang_losses` (tasks on several governors), `retry`. In `reporting`:
`updates` (batches), `output` (what tasks write), `libraries` (what governors have installed), `stalled` (nothing can
run), `explain`. `rain.server.states` has the states of records, and `rain.server.check` says what must hold after each
step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.server.core import attach, commands, demand, modules, pools, queries, sessions
from rain.server.core import events as ev
from rain.server.core.effects import DropGovernor, Effect
from rain.server.core.lifecycle import (
    attempts,
    departure,
    gang_losses,
    gangs,
    placing,
    recovery,
    retry,
    submit,
    succession,
)
from rain.server.core.reporting import libraries, output, progress, stalled, updates
from rain.server.core.state import State, internal
from rain.server.records.client import Client
from rain.server.records.governor import Governor
from rain.server.scheduling.locality import LocalityPolicy
from rain.server.scheduling.policy import DEFAULT_POLICY, SchedulingPolicy
from rain.server.states import LOST, OBJ_FINISHED, ClientState

_SESSION_REQUESTS: dict[type, Callable[..., None]] = {
    m.Submit: submit.submit,
    m.Keep: commands.keep,
    m.Unkeep: commands.unkeep,
    m.Cancel: commands.cancel_tasks,
    m.Retry: retry.retry,
    m.Forget: retry.forget,
    m.Update: queries.update,
    m.Locate: queries.locate,
}
_CLIENT_REQUESTS: dict[type, Callable[..., None]] = {
    m.NewSession: sessions.new_session,
    m.CloseSession: sessions.close_session,
    m.GetOutput: output.get_output,
    m.Explain: queries.explain,
    m.GetServerInfo: queries.get_server_info,
    m.Attach: attach.attach,
    m.ExpectGovernors: commands.expect_governors,
    m.OfferPlaces: demand.offer_places,
    m.OpenPool: pools.open_pool,
    m.ClosePool: pools.close_pool,
    m.GetDemand: demand.get_demand,
    m.ModuleFound: modules.module_found,
    m.DrainGovernors: departure.drain_governors,
}
_GOVERNOR_SAID: dict[type, Callable[[State, Governor, Any], None]] = {
    m.TookOver: succession.took_over,
    m.Libraries: libraries.libraries,
    m.Started: attempts.started,
    m.Finished: attempts.finished,
    m.Stopped: attempts.stopped,
    m.GaveBack: attempts.gave_back,
    m.InputsMissing: recovery.inputs_missing,
    m.Fetched: recovery.fetched,
    m.Moved: recovery.moved,
    m.ObjectsLost: recovery.objects_lost,
    m.Dropped: recovery.dropped,
    m.SessionEnded: sessions.session_ended,
    m.OutputRead: output.output_read,
    m.Progressed: progress.progressed,
    m.WantModule: modules.want_module,
    m.Draining: departure.draining,
    m.NotCopied: departure.not_copied,
    m.NodeReady: gangs.node_ready,
}


class ServerCore:
    """A server without IO.

    Parameters
    ----------
    address : str
        ``host:port`` of the server's listener, the place of constants.
    host_id : str
        The machine it runs on.
    http : str
        ``host:port`` of its HTTP listener.
    version : str
    log_dir : str
        Where logs are, for error texts.
    policy : callable
        Makes the scheduling policy.
    policy_name : str
        How error texts name it.

    Examples
    --------
    >>> from rain.server.core import ServerCore, events
    >>> core = ServerCore("127.0.0.1:7210", "this-host")
    >>> core.step(events.ClientJoined("client-1"), now=0.0)[-1]
    ToClient(client_id='client-1', message=GovernorCount(count=0))
    """

    __slots__ = ("_handlers", "state")

    def __init__(
        self,
        address: str,
        host_id: str,
        http: str = "",
        version: str = "",
        log_dir: str = "",
        policy: Callable[[], SchedulingPolicy] = LocalityPolicy,
        policy_name: str = DEFAULT_POLICY,
    ) -> None:
        self.state = State(address, host_id, http, version, log_dir, policy, policy_name)
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.ClientJoined: lambda event: sessions.client_joined(self.state, event.client_id, event.returns),
            ev.ClientGone: self._client_gone,
            ev.ClientPace: self._client_pace,
            ev.ClientSaid: self._client_said,
            ev.GovernorJoined: self._governor_joined,
            ev.GovernorGone: self._governor_gone,
            ev.GovernorSaid: self._governor_said,
            ev.AssignmentFailed: lambda event: attempts.assignment_failed(self.state, event),
            ev.SessionBroken: self._session_broken,
            ev.Tick: self._tick,
            ev.TurnEnded: self._turn_ended,
        }

    def step(self, event: ev.Event, now: float) -> list[Effect]:
        """What `event` leads to.

        Parameters
        ----------
        event : Event
        now : float
            Monotonic seconds.

        Returns
        -------
        list of Effect
            To be carried out in order.
        """
        state = self.state
        state.now = now
        self._handlers[type(event)](event)
        if state.stops:
            sessions.stop_sessions(state)
        out = state.out
        state.out = []
        return out

    def info(self, request: int, version: str, address: str, http: str) -> m.ServerInfo:
        """The present state in short."""
        return queries.server_info(self.state, request, version, address, http)

    def brief(self) -> m.ServerBrief:
        """The present state in figures."""
        return queries.server_brief(self.state)

    def predecessors(self, register: m.Register) -> list[str]:
        """Governors that have died, as another one that registers has taken over what they held."""
        return succession.predecessors(self.state, register)

    def object_data(self, id: ID) -> m.ObjectData | None:
        """The bytes or places of a finished object, or of what was refused in its place; None if there are none."""
        obj = self.state.graph.object(id)
        if obj is None or not (obj.state is OBJ_FINISHED or attempts.is_refused(obj)):
            return None
        return attempts.object_data(self.state, obj)

    def places_of_view(self, id: ID) -> tuple[m.ObjectData, m.SessionEnv, list[str]] | None:
        """Which governors to ask for a view of an object, and what they need; see `queries.places_of_view`."""
        return queries.places_of_view(self.state, id)

    def knows(self, session_id: int, governor_id: str) -> bool:
        """Whether there is such a session, and such a governor."""
        graph = self.state.graph
        return session_id in graph.sessions and governor_id in graph.governors

    # -- clients --------------------------------------------------------------------------------

    def _client_gone(self, event: ev.ClientGone) -> None:
        client = self.state.graph.clients.get(event.client_id)
        if client is not None:
            sessions.client_gone(self.state, client, event.waits_s)
            output.client_gone(self.state, client)

    def _client_pace(self, event: ev.ClientPace) -> None:
        client = self.state.graph.clients.get(event.client_id)
        if client is not None:
            client.state = ClientState.BEHIND if event.behind else ClientState.CURRENT

    def _client_said(self, event: ev.ClientSaid) -> None:
        state = self.state
        client = state.graph.clients.get(event.client_id)
        if client is None:
            return
        message = event.message
        kind = type(message)
        handler = _SESSION_REQUESTS.get(kind)
        if handler is not None:
            self._session_request(client, message, handler, event.trouble)
        elif event.trouble and isinstance(message, m.NewSession):
            state.refuse(client.id, message.request, event.trouble)
        elif kind is m.Goodbye:
            sessions.leave_sessions(state, client)
        else:
            _CLIENT_REQUESTS[kind](state, client, message)

    def _session_request(self, client: Client, message: Any, handler: Callable[..., None], trouble: str) -> None:
        state = self.state
        if type(message) is m.Locate:
            session = state.seen_by(client, message.session_id)
        else:
            session = client.sessions.get(message.session_id)
        if session is not None and not session.over:
            handler(state, client, session, message, *([trouble] if trouble else []))
            return
        if session is None:
            text = f"session {message.session_id} is not open: it was closed, or never was this client's"
        else:
            text = session.end_reason or f"session {session.id} {session.name!r} is being closed"
        submit.discard_uploads(state, getattr(message, "constants", ()))
        if type(message) is m.Submit and message.more:
            return  # the last piece is answered
        state.refuse(client.id, message.request, text, "session")

    # -- governors ------------------------------------------------------------------------------

    def _governor_joined(self, event: ev.GovernorJoined) -> None:
        state = self.state
        graph = state.graph
        before = graph.governors.get(event.governor_id)
        if before is not None:
            self._lose(before, "another governor registered under its name")
        graph.orders += 1
        governor = Governor(event.register, graph.orders)
        governor.id = event.governor_id
        governor.pool = event.pool
        graph.governors[governor.id] = governor
        if governor.arriving:
            graph.arriving[governor] = None
        graph.version += 1
        state.schedule_due = True
        state.happened("GovernorNew", values={"governor": governor.id, "resources": governor.resources})
        self._notify_count()
        if not governor.arriving:
            succession.joined(state, governor)
        pools.governor_joined(state, governor)

    def _governor_gone(self, event: ev.GovernorGone) -> None:
        governor = self.state.graph.governors.get(event.governor_id)
        if governor is not None:
            self._lose(governor, event.reason)
            self._notify_count()

    def _lose(self, governor: Governor, reason: str) -> None:
        state = self.state
        graph = state.graph
        governor.state = LOST
        del graph.governors[governor.id]
        graph.leaving.pop(governor, None)
        graph.arriving.pop(governor, None)
        on_purpose = governor.leaving is not None
        if governor.leaving is not None:
            reason = governor.leaving.reason
        graph.version += 1
        graph.lost_at, graph.lost_name, graph.lost_reason = state.now, governor.id, reason
        graph.lost_on_purpose = on_purpose
        state.schedule_due = True
        state.recheck = True
        state.tell_policy(state.policy.governor_lost, governor)
        values = {"governor": governor.id, "reason": reason, "on_purpose": on_purpose}
        state.happened("GovernorRemoved", values=values)
        for session in list(governor.sessions.values()):
            session.governors.pop(governor.id, None)
        absence = succession.remember(state, governor)
        gang_losses.governor_lost(state, governor, reason)
        recovery.governor_lost(state, governor, reason, absence)
        output.governor_lost(state, governor)
        for session in list(governor.sessions.values()):
            if session.over:
                sessions.left_governor(state, session, governor)
        departure.others_changed(state)

    def _notify_count(self) -> None:
        count = len(self.state.graph.governors)
        for client_id in self.state.graph.clients:
            self.state.to_client(client_id, m.GovernorCount(count))

    def _governor_said(self, event: ev.GovernorSaid) -> None:
        state = self.state
        governor = state.graph.governors.get(event.governor_id)
        if governor is None:
            return
        message = event.message
        if type(message) is m.Load:
            governor.load = message.values
            state.happened("Monitoring", values={"governor": governor.id, **message.values})
            return
        handler = _GOVERNOR_SAID.get(type(message))
        if handler is not None:
            handler(state, governor, message)

    # -- turns ----------------------------------------------------------------------------------

    def _tick(self, event: ev.Tick) -> None:
        succession.forget_old(self.state)
        recovery.wake_delayed(self.state)
        sessions.end_unclaimed(self.state)
        stalled.look(self.state)
        # Reservations and infeasible tasks are judged by time.
        self.state.schedule_due = True

    def _turn_ended(self, event: ev.TurnEnded) -> None:
        state = self.state
        if state.schedule_due:
            placing.fail_infeasible(state)
            if state.stops:
                sessions.stop_sessions(state)
        updates.flush_orders(state)
        updates.flush_resends(state)
        if state.schedule_due:
            self._place()
        if state.graph.leaving:
            departure.go_on(state)
        broken = updates.flush_updates(state)
        if state.progress_due:
            progress.flush_progress(state)
        for session, problem in broken:
            state.broke(f"the update of session {session.id}", problem)
            sessions.break_session(state, session, internal(problem))

    def _place(self) -> None:
        state = self.state
        failures = state.policy_failures
        for governor, tasks in placing.schedule(state).items():
            try:
                updates.assign(state, governor, tasks)
            except Exception as error:  # else tasks would be taken for assigned that no governor knows of
                state.broke(f"what governor {governor.id} should do", error)
                state.out.append(DropGovernor(governor.id, internal(error)))
        placing.steal(state)
        if state.policy_failures == failures:
            state.policy_failures = 0

    def _session_broken(self, event: ev.SessionBroken) -> None:
        client = self.state.graph.clients.get(event.client_id)
        session = None if client is None else client.sessions.get(event.session_id)
        if session is not None and not session.over:
            sessions.break_session(self.state, session, event.reason)
