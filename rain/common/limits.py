"""Every bound of Rain, in one place; the unit is the last word of the name.

An error that is raised because of a bound names it, so that a user can find it here.
"""

from __future__ import annotations

from typing import NamedTuple

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

# -- wire -----------------------------------------------------------------------------------------
PROTOCOL_VERSION = 8
PROTOCOL_VERSION_MIN = 8
"""The oldest that is still spoken with peers of earlier versions of Rain. It stays where a message only gets fields at
its end; what such a peer would not understand raises it to `PROTOCOL_VERSION`."""
FRAME_BYTES_MAX = 64 * MIB
"""Largest frame that a peer may send; a longer length prefix closes the connection."""
BATCH_BYTES_TARGET = 1 * MIB
"""A sender starts a new frame when the present one has grown past this."""
UNACKED_BYTES_MAX = 256 * MIB
"""What a channel keeps for a peer that is away, before it gives the peer up."""
UPDATES_BACKLOG_BYTES_MAX = 64 * MIB
"""What may wait for a client's acknowledgement before the server gathers further updates instead of sending them."""
UPDATES_TURN_BYTES_MAX = 64 * MIB
"""... and what it sends a client of updates in one turn."""
BACKLOG_BYTES_MAX = 64 * MIB
"""What may wait for a peer's acknowledgement before the next message is encoded."""
ACK_EVERY_FRAMES = 32
CHUNK_BYTES = 1 * MIB
"""Piece in which large objects travel on data connections."""
INLINE_BYTES_MAX = 64 * KIB
"""Objects up to this size travel inside messages; larger ones stay where they are, as files."""

# -- how long peers wait for each other -----------------------------------------------------------
# Chosen together: a process that holds something for a peer waits longer than the longest silence that the peer allows
# itself (see `Deadlines.check`). It does not hold time in which it stood still itself against its peers.
HANDSHAKE_S = 5.0
HEARTBEAT_S = 1.0
LINK_SILENT_S = 5.0
"""After this long without a word from the server a client or governor drops the connection and dials again."""
LINK_UNHEARD_S = 15.0
"""... and after this long in which the server talked, but acknowledged nothing of what had left; twice as long each
time that a new connection brought nothing either."""
REDIAL_PAUSE_S = 0.5
"""Longest pause between two attempts to dial."""
INTERRUPTION_S = 60.0
"""The longest pause between a client and its server that is an interruption and nothing else."""
SERVER_AWAY_S = 75.0
"""How long a client waits for a server whose machine cannot be reached, and with it the client's blocked calls: the
server may live, and counts `CLIENT_GRACE_S`."""
SERVER_RETURN_S = 300.0
"""How long clients and governors wait for a server of which they saw that it does not run: its machine refuses
connections, or accepts them and no process answers. It cannot have given them up meanwhile, and everything goes on when
it is started again."""
CLIENT_RETURN_S = 600.0
"""How long sessions wait for another client after theirs was given up without a goodbye: its connection was lost, or it
was a notebook's kernel, which may have been started anew."""
CLIENT_GRACE_S = 90.0
"""How long a client that went without a goodbye may come back before its sessions end. Where the server sees that the
client's process has ended (on the same machine), they end at once."""
CLIENT_SILENT_S = 30.0
"""After this long without an acknowledgement from the kernel of a client on another machine its connection is broken,
and its grace begins."""
GOVERNOR_LOST_S = 10.0
"""Silence after which the server declares a governor lost, and a governor a server that cannot be reached."""
GOVERNOR_RECONNECT_S = 8.0
"""How long a governor whose connection was closed (not merely silent) may come back before it is declared lost. Where
the server sees that the governor's process has ended (on the same machine), it is lost at once."""
RESTART_S = 60.0
"""How long a server that `rain restart` puts in the place of another may take to be ready, before that comes back."""
GOVERNOR_RETURN_S = 10.0
"""For how long the server does not make again what lay on a governor that died, if its host starts another one in its
place, which takes over what there is."""
STORE_KEPT_S = 60.0
"""How long what a governor kept stays on its host after its death, for another one to take it over."""
SERVER_SOUGHT_S = 60.0
"""How long a governor without a conversation looks for its server before it ends."""
TERMINATED_HOLD_S = 1.0
"""How long the failure of a task that was ended by a signal like SIGTERM waits, as its governor may leave too."""
LEAVE_S = 20.0
"""What a governor takes at most to leave after SIGTERM; batch systems mostly kill 30 s after that signal."""
LEAVE_NOTICE_S = 60.0
"""... after SIGUSR1 or SIGUSR2, and before a known end of its time; less where the time is short from the beginning."""
LEAVE_ASKED_S = 600.0
"""... after a user asked for it, who named no other time."""
LEAVE_MOVE_S = 30.0
"""Of that, what is left to bring results elsewhere after the last task was ended; at most half of it."""


class Deadlines(NamedTuple):
    """The limits above in one value, as components are given them; each is described there. Tests run with `scaled`
    ones."""

    handshake_s: float = HANDSHAKE_S
    heartbeat_s: float = HEARTBEAT_S
    link_silent_s: float = LINK_SILENT_S
    link_unheard_s: float = LINK_UNHEARD_S
    redial_pause_s: float = REDIAL_PAUSE_S
    interruption_s: float = INTERRUPTION_S
    server_away_s: float = SERVER_AWAY_S
    server_return_s: float = SERVER_RETURN_S
    client_grace_s: float = CLIENT_GRACE_S
    client_return_s: float = CLIENT_RETURN_S
    client_silent_s: float = CLIENT_SILENT_S
    governor_lost_s: float = GOVERNOR_LOST_S
    governor_reconnect_s: float = GOVERNOR_RECONNECT_S
    governor_return_s: float = GOVERNOR_RETURN_S
    store_kept_s: float = STORE_KEPT_S
    server_sought_s: float = SERVER_SOUGHT_S

    def scaled(self, factor: float) -> Deadlines:
        """All of them times `factor`.

        Examples
        --------
        >>> Deadlines().scaled(0.1).client_grace_s
        9.0
        """
        return Deadlines(*(factor * seconds for seconds in self))

    def check(self) -> None:
        """What has to hold between them.

        Raises
        ------
        ValueError
            If a side would give up what the other still counts on.
        """
        notice_s = self.link_silent_s + self.heartbeat_s  # silence is looked for once a heartbeat
        back_s = self.redial_pause_s + self.handshake_s  # from the end of an interruption to the next connection
        rules = {
            "two heartbeats may be late before a link counts as silent": 3 * self.heartbeat_s <= self.link_silent_s,
            "a governor that drops a silent link is back before it is lost": notice_s + self.redial_pause_s
            < self.governor_reconnect_s,
            "a silent governor is lost no sooner than a disconnected one": self.governor_reconnect_s
            <= self.governor_lost_s,
            "a governor notices a silent server before it is lost itself": notice_s < self.governor_lost_s,
            "a client is back after an interruption while it still waits": self.interruption_s
            + self.handshake_s  # the attempt that the end of the interruption finds under way
            + back_s
            <= self.server_away_s,
            "a client is awaited for longer than it waits": self.server_away_s + notice_s < self.client_grace_s,
            "a server that does not run is waited for longer than it waits for its peers": self.client_grace_s
            < self.server_return_s,
            "a governor is back at a server that was started again before it is lost there": back_s
            < self.governor_reconnect_s,
            "a client is awaited through an interruption": self.interruption_s + notice_s + back_s
            < self.client_grace_s,
            "what a dead governor kept stays for longer than another one is awaited": self.governor_lost_s
            + self.governor_return_s
            < self.store_kept_s,
            "a client's silent machine is noticed before an interruption ends": self.client_silent_s
            < self.interruption_s,
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(f"the deadlines do not fit together: it must be that {rule}; they are {self}")


DEADLINES = Deadlines()

# -- time -----------------------------------------------------------------------------------------
STALLED_S = 8.0
"""After this long in which nothing of a session could run, or the server was away, the user is told."""
CANCEL_GRACE_S = 1.0
"""From SIGINT to SIGKILL when a running task is cancelled."""
FETCH_DELAY_S = 0.05
"""Before a client asks once more for data that no place has any more, twice as long each time: the server may not know
yet that they are lost."""
FETCH_ATTEMPTS_MAX = 8
"""How often a client tries to get data before it says that they cannot be had."""
TRANSFER_STALL_S = 30.0
"""How long a peer may move nothing of an object before the transfer is given up."""
LOG_BYTES_MAX = 16 * MIB
"""Size of a log above which it becomes ``NAME.1``, and what was called so is let go."""
EVENTS_BYTES_MAX = 64 * MIB
"""What the event log keeps; the oldest events are let go beyond it."""
LOGS_KEPT_S = 86_400.0
"""How long logs that were kept in a private folder stay when what wrote them was killed."""
CONNECT_S = 10.0
"""How long a client tries to connect, unless it is told."""
EXECUTOR_IDLE_S = 60.0
EXECUTOR_START_S = 30.0
MODULE_WAIT_S = 10.0
"""How long an import on another host waits for the client's module before it fails."""

# -- connections ----------------------------------------------------------------------------------
HANDSHAKES_PENDING_MAX = 64
SPARE_DESCRIPTORS_COUNT = 1024
"""How far a process that runs users' code goes above its soft limit of open files, while it opens one of Rain's."""
SPARE_MAPPINGS_COUNT = 4096
"""What mapped files leave of a process's mappings (vm.max_map_count) to its heap, threads and libraries."""

# -- tasks ----------------------------------------------------------------------------------------
CRASHES_MAX = 3
"""Attempts of a task that may end in a crash before the task fails."""
TASK_OUTPUT_BYTES_MAX = 64 * KIB
"""Tail of each of stdout and stderr that is kept with a task."""
PROGRAM_COPY_BYTES_MAX = 256 * KIB
"""An input's file up to this size is copied for a program where it cannot be mounted; a larger one is a link."""
PROGRAM_MOUNTS_MAX = 20_000
"""Inputs that are mounted for one program; the host allows a process so many at most (fs.mount-max: 100,000)."""
OUTPUT_TASKS_MAX = 100
"""Tasks of which one `GetOutput` may ask what they wrote."""
ECHO_EVERY_S = 0.2
"""How often a session that echoes asks at most what its tasks have printed."""
ECHO_BYTES_PER_S = 256 * KIB
"""What a session shows of that at most; of more it shows the ends, and says how much is left out."""
ECHO_UNASKED_TASKS_MAX = 100
"""Of so many tasks of a session scripts show unasked what they print."""
ECHO_FLUSH_S = 1.0
"""How long waiting for tasks may take longer so that what they printed is shown before it returns."""
ECHO_LINE_CHARS_MAX = 4096
"""A line that has not ended is shown all the same when it is longer."""
ECHO_HELD_CHARS_MAX = 256 * KIB
"""What is kept of that for the next cell of a notebook that a program runs, while no cell runs; of more the end."""
SAID_CHARS_MAX = 64 * KIB
"""What tasks of one cell printed last, remembered for pages that were not open then."""
SAID_CELLS_MAX = 50
"""Cells of which that is remembered."""
SAID_CODE_CHARS_MAX = 20_000
"""Longer cells are not recognised by a page that was loaded again."""
ERROR_OUTPUT_BYTES_MAX = 4 * KIB
"""Tail of stderr that is quoted in an error's text."""
DEBUG_BYTES_MAX = 64 * KIB
SMAPS_BYTES_MAX = 32 * GIB
"""Of a process that uses more than this it is not looked up where its memory lies: that takes its time."""
PICKLED_ARGUMENT_WARN_BYTES = 256 * KIB
SHARED_ARRAY_BYTES_MIN = 256 * KIB
"""Arrays of at least this size among the arguments of an executor's or joblib's calls are sent once for all of them."""
SHARED_ARRAY_SAMPLE_BYTES = 4 * KIB
"""So much of such an array is compared before it is taken for the one that was sent for the call of joblib."""
INTERFACE_SESSION_TASKS_MAX = 100_000
"""A session in which graphs of Dask run has another one in its place after so many tasks."""
RESULT_LOADERS_MAX = 4
"""Threads of an executor that read results from other hosts."""
JSON_CHECKED_BYTES_MAX = 4 * MIB
"""Up to this much JSON is read back when it is written, to tell what changes."""
RESULT_BYTES_MAX = 16 * MIB
"""How a task ended, as it travels: its info, the tails of what it wrote, and the outputs that travel with it."""
ERROR_TEXT_CHARS_MAX = 64 * KIB
"""Longest text of an error; the middle of a longer one is left out."""
CBOR_MEMORY_BYTES_MAX = 128_000
"""Inputs of cbor-1 executors up to this size are sent in memory, larger ones as a path."""
CBOR_CALL_BYTES_MAX = 64 * MIB
"""Inputs in memory that one call of a cbor-1 executor has in all; further ones are sent as paths too."""

# -- directories ----------------------------------------------------------------------------------
ARCHIVE_ENTRIES_MAX = 100_000
"""Files, folders and links in a directory object."""
ARCHIVE_DEPTH_MAX = 200
"""Folders inside each other in a directory object."""
OPEN_FOLDERS_MAX = 32
"""Descriptors that a walk holds of the folders on its way down."""
ARCHIVE_NAME_BYTES_MAX = 3000
ARCHIVE_BYTES_MAX = 1024 * GIB
LISTING_ENTRIES_MAX = 5000
"""Entries of a folder in one answer; a reader that wants more asks again."""

CBOR_FRAME_BYTES_MAX = 256 * MIB
"""Largest frame that a cbor-1 executor may send; larger results come as a path."""
CBOR_LOG_BYTES_MAX = 16 * MIB
"""Size of a cbor-1 executor's log files above which they are cut between tasks."""

# -- work ahead -----------------------------------------------------------------------------------
POLICY_FAILURES_MAX = 3
"""Passes in a row in which the scheduling policy may raise before the sessions with ready tasks are ended."""
POLICY_S = 2.0
"""Processor time of one call of a scheduling policy that is not Rain's own; less than LINK_SILENT_S, so that the
server's peers do not drop their connections meanwhile."""
AHEAD_S = 0.1
"""Estimated work that the server gives a governor beyond what it can run at once, per cpu."""
AHEAD_TASKS_MAX = 512
"""... and the number of tasks it gives ahead at most, per cpu."""
PREFETCH_S = 0.005
"""Estimated work that is queued in an executor behind the running task."""
PREFETCH_MEMBERS_S = 0.016
"""The same of members of families, of whose results more are held."""
PREFETCH_TASKS_MAX = 64
PREFETCH_MEMBERS_MAX = 2048
"""Members of a family that an executor is given at once."""
HANDED_ON_COUNT_MAX = 256
HANDED_ON_BYTES_MAX = MIB
"""Outputs that an executor keeps for tasks that follow in its queue."""
RESULT_HOLD_S = 0.002
"""How long an executor may hold finished results to send several at once."""
MEMBERS_HOLD_S = 0.008
"""How long it may hold those of members of a family and of links of a chain, once it has told the first."""

EXECUTORS_MAX = 8192
"""Executors of one governor that may be alive at a time."""
WORDS_BYTES = 8 * EXECUTORS_MAX
"""The beginning of the memory that a governor shares with its executors: a word for each, the number of its task."""
LEDGER_BYTES = 256 * KIB
"""What follows for each: the ledger of results that it holds (`rain.common.protocol.ledger`)."""

# -- memory -----------------------------------------------------------------------------------------
STORE_MEMORY_SHARE = 0.4
"""Of the memory that a process may count on (its control group's limit, or the machine's): what governors together keep
of objects in memory before they spill them to disk."""
CONSTANTS_MEMORY_SHARE = 0.1
"""... and what the server keeps of large constants and arguments."""
INDEX_BYTES_MIN = 1 * MIB
"""The index of a governor's store is written anew when it is longer than this, and twice as long as it need be."""
SPARE_MEMORY_SHARE = 0.1
"""Of the control group's limit: with less left a governor spills objects, whatever its own limit is."""
FAST_BYTES_MIN = 16 * MIB
"""A memory file system with less room than this is not used."""

# -- views of data, and previews ---------------------------------------------------------------------
PREVIEW_BYTES_MAX = 8 * KIB
"""Largest preview of a result."""
PREVIEW_S = 10.0
"""How long the executor that makes a preview may take, imports and loading the value included; then it is ended."""
PREVIEWED_TASKS_MAX = 200
"""Tasks of a session up to which a governor has previews of all kept results made by the executors that made these."""
PREVIEWED_TASK_S = 0.5
"""... beyond that of tasks that took so long: a preview costs less than a hundredth of that."""
PREVIEW_REST_S = 0.05
"""How long an executor has had nothing to do before it makes previews of its results."""
PREVIEW_YIELD_S = 0.005
"""How long such a preview may take while a task waits for the executor; then it is given up."""
PREVIEW_OWN_S = 0.1
"""How much processor time it may take in any case."""
PREVIEW_WAIT_S = 1.0
"""... and how long by the clock, for what waits in it and for what a busy machine does meanwhile."""
PREVIEW_SLOW_S = 0.2
"""An executor that has not come back from a preview after this long gets no task before it has."""
PREVIEW_LATE_S = 2.0
"""... and is ended after this long."""
PREVIEWS_GIVEN_UP_MAX = 3
"""Previews of one function's results that may be given up before its results get none unasked."""
PREVIEW_LOADED_BYTES_MAX = 256 * KIB
"""What has to be read of a value, mapped arrays apart, for such a preview."""
PREVIEWS_DUE_MAX = 64
"""Results of which an executor owes previews; of more the last ones."""
PREVIEWS_BYTES_MAX = 16 * MIB
"""Previews that a governor keeps; the longest unused are made again when they are asked for."""
VIEW_S = 600.0
"""How long any other view of an object may take, while its asker is there."""
VIEW_SIGN_S = 1.0
"""How often an asker is told that its view is being made."""
VIEW_BYTES_MAX = 4 * MIB
"""Longest answer of a view."""
VIEW_MEMORY_BYTES_MAX = 2 * GIB
"""Memory of its own that an executor may use which makes views; objects that it maps do not count."""
VIEW_EXECUTORS_MAX = 4
"""Executors of a governor that make views."""
VIEW_IDLE_S = 60.0
"""How long one of them waits for the next question, with what it has found out."""
TABLE_STEP_S = 0.8
"""How long an executor looks through a table before it tells how far it came, and others get their turn."""
TABLE_SCAN_S = 900.0
"""How long it may look through one table for one question, all steps together."""
TABLE_SORTED_ROWS = 1000
"""Rows of a sorted table that are found."""
TABLE_MATCHES_MAX = 1_000_000
"""Rows that filters let through of which the numbers are kept."""
TABLE_VIEWERS_MAX = 8
"""Tables of a session that an executor has open."""
TABLE_CELL_CHARS = 200

# -- what running tasks say of themselves -------------------------------------------------------------
PROGRESS_EVERY_S = 0.2
"""How often an executor tells at most how far its task is, and what it shows."""
PROGRESS_NOTE_CHARS_MAX = 200
"""Characters of a note or a title; of longer ones the end is left out."""
SHOW_SHARE = 0.1
"""Of a task's time `ctx.show` may take at most; what is shown more often than that allows is left out."""

# -- server ---------------------------------------------------------------------------------------
TASK_OUTPUTS_MAX = 1_000_000
SESSION_TASKS_MAX = 10_000_000
HISTORY_BYTES_MAX = 256 * MIB
"""About what a persistent session keeps of finished tasks whose objects are not needed any more, so that `attach` shows
them; the oldest are let go beyond it."""
HISTORY_RETURN_BYTES_MAX = 32 * MIB
"""The same of other sessions of notebooks, to which the next kernel may attach."""
ENDED_EXECUTORS_KEPT_MAX = 20
"""Executors that ended before they registered whose stdout and stderr a governor keeps."""
ENVIRONMENTS_MAX = 1000
"""Different paths of its client that a session remembers; of older ones tasks get the newest instead."""
MODULE_BYTES_MAX = 4 * MIB
"""Largest source of a module that is sent to other hosts."""
MODULES_BYTES_MAX = 64 * MIB
"""Sources of a client's modules that the server holds for a session."""
LIBRARIES_MAX = 64
"""Libraries whose versions a governor tells."""
LIBRARIES_GOVERNORS_MAX = 10_000
"""Governors, those that are gone included, whose libraries a client knows."""
LIBRARIES_SHOWN_MAX = 20
"""Rows of the table about libraries that differ."""
VERSION_CHARS_MAX = 64
"""Of the name, and of the version, of one of them."""
NODES_MAX = 10_000
"""Hosts that a batch system's list may name."""
PLACE_COMES_S = 0.1
"""How often a pool looks whether the governor of a place has registered; that costs the engine nothing."""
TASK_NODES_MAX = 1_000
"""On how many governors one task may run at once."""
LAUNCH_CONNECT_S = 30.0
"""How long the first governor of a task on several may take to reach another of them."""
LAUNCH_OUTPUT_S = 1.0
"""How long after the end of a program there what it has left running may still add to its output."""
LAUNCH_LINE_BYTES_MAX = 64 * KIB
"""A line of its output that is longer may have another node's in its midst."""
LAUNCH_BYTES_MAX = 16 * MIB
"""A command line, or a piece of output, between them."""
PLACES_MAX = 1_000
"""Places of one pool: jobs that a batch system is asked for."""
ARRAY_PLACES_MIN = 8
"""From how many places at once on a batch system is asked for them as one job array."""
POOLS_MAX = 255
"""Pools of a server at a time: their numbers are bytes of the handshake."""
POOL_SALT_BYTES = 32
"""What makes the key of a pool's governors of that of all governors."""
POOL_RECORD_BYTES_MAX = 16 * MIB
"""Largest record of a pool on disk, and largest request of another process."""
POOL_RECORD_S = 60.0
"""How old a pool's record may become: core-hours of a process that is killed are known up to then."""
POOL_REQUEST_LOOK_S = 1.0
"""How often a pool looks for requests of other processes."""
POOL_REQUEST_S = 90.0
"""How long a request may take: the engine's command runs meanwhile."""
DOCTOR_JOB_S = 300.0
"""How long the job of `rain doctor` may wait and run."""
ENGINE_COMMAND_S = 60.0
"""How long a batch system's command may take to answer."""
TOKEN_COMES_S = 50.0
"""How long a governor waits for its token where it may start before its server: longer than the server may take
(`EXECUTOR_START_S`), and not so long that the place of a client that was killed is paid for a minute."""
SERVER_ANSWER_S = 30.0
"""How long a pool waits for an answer of the server."""
DEMAND_LOOK_S = 1.0
"""How often an elastic pool asks how much work waits."""
ENGINE_LOOK_S = 2.0
"""How often a batch system is asked what became of jobs."""
ENGINE_IDLE_LOOK_S = 30.0
"""How often it is asked while all places are up and none is asked for or leaves."""
STEP_LOOK_S = 0.25
"""How often it is looked whether steps on the hosts of this process's own batch job have ended."""
ENGINE_WHY_S = 10.0
"""How often it is asked why jobs wait, where that is a command of its own."""
ENGINE_SILENT_S = 120.0
"""How long a batch system may fail to tell what became of jobs before `Pool.wait` raises."""
ENGINE_END_S = 10.0
"""How long jobs whose governors were dismissed may take to end by themselves."""
HOST_CONNECT_S = 10.0
"""How long ssh may take to connect to a host, unless the user names another time."""
HOST_START_S = 60.0
"""How long a governor on a host may take from the connection by ssh until it has registered."""
HOST_PAUSE_S = 30.0
"""Longest pause between two attempts to connect to a host whose ssh connection was lost, or whose governor died."""
HOST_LOST_S = 15.0
"""After this long without an ssh connection a host's place does not count as up any more."""
HOST_AWAY_S = 600.0
"""How long a pool tries to reach a host whose ssh connection was lost before the place has ended."""
HOST_ALIVE_S = 10.0
"""How often a host says over ssh that it is there."""
HELD_END_S = 60.0
"""How long the end of a governor that was started over ssh is kept on its host for a connection that was lost."""
FRAMEWORK_LOOK_S = 0.2
"""How often workers of Dask and actors of Ray are asked for governors that start or leave."""
FRAMEWORK_WAIT_LOOK_S = 1.0
"""... and how often it is asked what is free, while places wait for that."""
FRAMEWORK_STEP_S = 30.0
"""How long a worker of Dask, or an actor of Ray, may take to start a governor."""
FRAMEWORK_ANSWER_S = 5.0
"""How long it may take to say how its governor is, before that stays unknown until the next time."""
FRAMEWORK_BEGIN_S = 60.0
"""How long a worker of Dask is kept for a pool that has asked for a place there, and sends no token."""
FRAMEWORK_END_S = 10.0
"""How long a governor in a process of another framework may take to end when its lifeline was dropped."""
GOVERNOR_TRANSFERS_MAX = 8
"""Fetches that a governor runs at the same time."""
TRANSFERS_TOLD_MAX = 8
"""Transfers that are told of a task: the longest."""

# -- looking before a run ------------------------------------------------------------------------------
CHECK_MEMBERS_MAX = 1_000
"""Calls that differ by their arguments only of which the arguments are looked at."""
CHECK_REPEATED_BYTES_MIN = 1 * MIB
"""Constants from this size on are compared with each other."""
CHECK_GOVERNORS_MAX = 64
"""Governors that are asked what they have."""
CHECK_ASKED_AT_ONCE_MAX = 8
CHECK_ASK_S = 30.0
"""How long one may take to answer."""

# -- the server's journal ------------------------------------------------------------------------------
JOURNAL_RECORD_BYTES_MAX = 2 * FRAME_BYTES_MAX
"""Largest record: a frame of a peer, and what the server knew beside it."""
JOURNAL_AHEAD_BYTES = 8 * MIB
"""Pieces in which room on the disk is taken before it is needed."""
JOURNAL_RESERVE_BYTES = 64 * MIB
"""Room that is kept for what is under way when the disk is full, while submits are refused; less on small disks: a
`JOURNAL_RESERVE_SHARE` of them."""
JOURNAL_RESERVE_SHARE = 0.02
JOURNAL_RETRY_S = 0.25
"""How often a journal looks at most whether there is room again."""

# -- reuse between runs --------------------------------------------------------------------------------
CACHE_BYTES_MAX = 10 * GIB
"""Results in a folder for reuse, unless the user says otherwise: those that were used longest ago go."""
CACHE_FRESH_S = 600.0
"""What was used within this time is not removed to make room: it may be in use."""
CACHE_INLINE_BYTES_MAX = INLINE_BYTES_MAX
"""Outputs up to this size lie in the entry itself; larger ones are files of their own."""
CACHE_PACK_BYTES_MAX = 4 * MIB
"""Small results lie together in packs up to this size, or a twentieth of what the folder may hold."""
CACHE_PACK_RESULTS_MIN = 16
"""So many results that come at once are written as a pack; fewer as a file each, until the session is closed."""
CACHE_PACK_RESULTS_MAX = 2000
"""So many at most wait for each other, so that little is lost if the process is killed."""
CACHE_PACK_HOLD_S = 0.5
"""... and for so long at most, while others come."""
CACHE_PACKS_SMALL_MAX = 16
"""So many packs that are less than half full are put together."""
CACHE_PACK_USED_S = 60.0
"""How often at most a process notes that it uses a pack."""
CACHE_FLUSH_S = 60.0
"""How long the close of a session waits for results of finished tasks to be stored; what is left is told."""
CACHE_PARTS_KEPT_S = 86_400.0
"""How old a file must be that was begun in such a folder, and not finished, before it is removed."""
CACHE_FAILURES_MAX = 3
"""After so many results in a row that could not be written, a session stores no more."""
