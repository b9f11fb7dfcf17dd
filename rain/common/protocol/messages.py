"""Every message that Rain's processes send each other, each defined once.

Theory of operation
-------------------
Two kinds of connections exist, both after the handshake of `rain.net.auth`:

* **conversations** (client-server, governor-server): a `Hello` and a `Welcome`, then packets, which
  `rain.common.protocol.channel` numbers, acknowledges and repeats, so that what the cores see arrives in order and
  exactly once, whatever becomes of the TCP connection underneath;
* **data connections** (to a server or governor): one request at a time, large objects as raw frames of at most
  `CHUNK_BYTES` (`DataGet`, `DataList`, `DataView`, `DataPut`).

Executors speak over a socket pair that their governor made: plain lists of messages, no numbering.

All messages are batches: what happens to many tasks is one message with a list. Bytes of objects up to
`INLINE_BYTES_MAX` are fields (msgpack copies them with one memcpy); anything larger never is inside a message.

A **family** is a run of tasks that differ by their arguments only (Python tasks by their pickled ones, programs by
their words): the same function, inputs, resources, options, outputs. Member i of a family whose first task has number n
and k outputs is task ``n + i * (k + 1)``, its outputs are the k numbers behind it. What is sent of a family are
consecutive members: what they share once, as the first of them has it, and a column for each part that differs
(`rain.common.protocol.families` takes them apart again). Columns of numbers are `bytes`
(`rain.common.protocol.columns`).

Every Struct is encoded as an array, so a field may only be added at the end, with a default; a change of meaning
raises `PROTOCOL_VERSION`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rain.common.ids import ID
from rain.common.limits import PROTOCOL_VERSION
from rain.common.location import Inline, LocalFile, Location, SameAs, Upload
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.states import DataObjectState, TaskState
from rain.common.task_configs import UserModule


class Part(msgspec.Struct, array_like=True, gc=False):
    """Base of what stands inside messages."""


class Message(msgspec.Struct, array_like=True, tag=True):
    """Base of what is sent by itself; tagged with its class name."""


# -- parts ----------------------------------------------------------------------------------------


class ObjectData(Part):
    """All that a reader needs to have a finished object."""

    spec: ObjectSpec
    info: ObjectInfo
    location: Location


class OutputResult(Part):
    """One output of a finished attempt."""

    id: ID
    info: ObjectInfo
    location: Inline | LocalFile | SameAs


class Damage(Part):
    """Inputs of an attempt that were not what was stored: missing, or another inode, size or time of modification.

    `ran`: it was found when the attempt had run. `suspect`: and the attempt may have done it.
    """

    objects: list[ID]
    ran: bool = False
    suspect: bool = False


class TaskResult(Part):
    """How an attempt ended. `error` None means success, and then `outputs` is complete and in order. With an error of
    kind ``"refused"`` `outputs` holds what was returned instead, pickled; with any other error it is empty.

    `damage` is for the governor: with it there is an error, which counts only if the attempt shall not go again.
    """

    id: ID
    attempt: int
    info: TaskInfo
    outputs: list[OutputResult] = []
    error: TaskError | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    written: tuple[int, int] = (0, 0)  # bytes in all, to stdout and to stderr: more than the tails may hold
    damage: Damage | None = None


class OutputColumn(Part):
    """One output of consecutive members of a family, with all their bytes: `data`, and their `checksums` (xxh3-64, a
    column of unsigned numbers). `info` is what the objects share; without a size."""

    info: ObjectInfo
    data: list[bytes]
    checksums: bytes


class FamilyResults(Part):
    """How the attempts of consecutive members of a family ended that did so plainly: they finished, wrote nothing,
    noted nothing (`TaskInfo.debug`, `user`), fetched no input, and all they made is inline and no input passed through.
    All others come as `TaskResult`. The governor holds none of these outputs: who needs one is sent its bytes.

    `first` is the first of these members, `stride` the distance of their numbers, `attempt` that of each of them.
    `start_times` and `durations` are columns of floats, `outputs` has a column for each output.
    """

    first: ID
    stride: int
    attempt: int
    start_times: bytes
    durations: bytes
    outputs: list[OutputColumn]


class MemberResult(Part):
    """How an attempt of a member of a family ended plainly (see `FamilyResults`), as its executor writes it down; by
    the number that it has there. There are `data`, a checksum and an info without size for each output."""

    number: int
    start_time: float
    duration: float
    data: list[bytes]
    checksums: list[int]
    infos: list[ObjectInfo]


class TaskOutput(Part):
    """What an attempt wrote: pieces of stdout and stderr up to their present ends, and how many bytes precede each.

    `attempt` 0: nothing is known. `running`: there may be more to come."""

    id: ID
    attempt: int
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_before: int = 0
    stderr_before: int = 0
    running: bool = False


class Had(Part):
    """How much of what an attempt wrote its reader has: bytes of stdout and of stderr. What follows is asked for."""

    attempt: int = 0
    stdout: int = 0
    stderr: int = 0


class TaskProgress(Part):
    """What a running attempt last said of itself: how far it is (`done` None: it has not said; `total` None: of how
    much is not known), and what it shows, an encoded `rain.common.protocol.previews.Preview`."""

    id: ID
    attempt: int
    done: float | None = None
    total: float | None = None
    note: str = ""
    title: str = ""
    shown: bytes = b""


class SessionEnv(Part):
    """Where a session's client lives: executors on its host use its interpreter, `sys.path` and folder. What these are
    at a submit holds for its tasks, as does whether executors make previews of their results."""

    host_id: str
    python: str
    version: str
    sys_path: list[str]
    cwd: str
    previews: bool = True


class Constant(Part):
    """The value of a constant object. `content_size` is the object's size where that differs from the bytes that
    travel: of a directory, which travels as an archive, the sum of its files. An `ephemeral` constant is named by tasks
    of this submit only, and goes with them; others stay while the session lives. `encoded` as of `ObjectInfo`."""

    id: ID
    location: Inline | Upload
    content_size: int | None = None
    ephemeral: bool = False
    encoded: bool = False


class TaskUpdate(Part):
    """News of a task for its client. `info` comes with settled states and whenever more is known; `forgotten`: it
    failed, and cannot be retried any more."""

    id: ID
    state: TaskState
    info: TaskInfo | None = None
    error: TaskError | None = None
    forgotten: bool = False


class ObjectUpdate(Part):
    """News of an object for its client. `location` comes only with kept finished objects."""

    id: ID
    state: DataObjectState
    info: ObjectInfo | None = None
    location: Location | None = None


class ObjectColumn(Part):
    """News of one output of consecutive members of a family: all have this state and this `info`, but for their sizes
    (a column of unsigned numbers). `data` and `checksums` as of `OutputColumn`, if the client keeps them."""

    state: DataObjectState
    info: ObjectInfo
    sizes: bytes
    data: list[bytes] = []
    checksums: bytes = b""


class FamilyUpdate(Part):
    """News of `count` consecutive members of a family, for their client: all are in this state. Of finished ones
    `start_times` and `durations` are columns of floats, and `outputs` has news of each of their outputs; `governor`
    and `attempts` as of `TaskInfo`. Of other states nothing else is told; nor of finished ones whose outputs were
    removed after it was told that they finished (`outputs` is empty)."""

    first: ID
    stride: int
    count: int
    state: TaskState
    governor: str | None = None
    attempts: int = 0
    start_times: bytes = b""
    durations: bytes = b""
    outputs: list[ObjectColumn] = []


class MemberRun(Part):
    """`count` tasks, or objects, of members of a family that follow each other: `first` is the first of them, `stride`
    the distance of their numbers."""

    first: ID
    stride: int
    count: int


class Family(Part):
    """New tasks that are a family, all members of it or some consecutive ones.

    `spec` and `outputs` are those of the first member; the config in `spec` has empty arguments in the place of which
    each member has its own, one of `args`. `kept`: which of the outputs the client keeps, of all members, by their
    place. `after`: how many of the submit's `tasks` in the same piece come before it, in the order of making. `made` is
    as of `Submit`: nothing, a number for all members, or one for each.
    """

    spec: TaskSpec
    outputs: list[ObjectSpec]
    args: list[bytes]
    kept: list[int] = []
    after: int = 0
    made: list[int] = []


class Node(Part):
    """A governor of a task on several of them, with the cpus that the task has there. `address`, `fingerprint` and
    `key`: how its companion is reached (TLS with that certificate, and the proof of that key); empty for the first."""

    governor: str
    host_id: str
    cpus: float
    address: str = ""
    fingerprint: bytes = b""
    key: bytes = b""


class TaskAssignment(Part):
    """A task for a governor.

    `inputs` are ids in the order of `spec.inputs` (then `spec.function`); their `ObjectData` came in the same or an
    earlier `Assign`, or they are outputs of tasks assigned to the same governor (work ahead). `rank` orders ready
    tasks: smaller starts first. `kept`: which of the outputs the client keeps, by their place in `outputs`.
    """

    spec: TaskSpec
    attempt: int
    outputs: list[ObjectSpec]
    rank: list[float] = []
    nodes: list[Node] = []  # of a task on several governors, the first of which is this one
    kept: list[int] = []


class FamilyAssignment(Part):
    """Consecutive members of a family, for a governor: each is to it what a `TaskAssignment` is. `spec`, `outputs`,
    `args` and `kept` are as of `Family`, `attempt` is that of all, `rank` that of the first; the last number of it is
    one more for each of the following."""

    spec: TaskSpec
    attempt: int
    outputs: list[ObjectSpec]
    args: list[bytes]
    rank: list[float] = []
    kept: list[int] = []


class Listed(Part):
    """Something in a folder: ``"file"``, ``"dir"`` or ``"link"``. Names are bytes, as the file system has them."""

    name: bytes
    kind: str
    size: int = 0
    target: bytes = b""


class Listing(Part):
    """What a path inside a directory object is: a ``"file"`` with its size, or a ``"dir"`` with how many entries it has
    and some of them, in the order of names. Answers `DataList`, as the bytes of its msgpack encoding."""

    kind: str
    size: int = 0
    total: int = 0
    entries: list[Listed] = []


class SessionSummary(Part):
    """One line about a session."""

    session_id: int
    name: str
    persistent: bool
    tasks: dict[str, int]
    client: str | None = None
    waits_s: float | None = None  # of one that is not persistent and has lost its client: how long it still waits


class GovernorSummary(Part):
    """One line about a governor, as `Client.get_server_info` shows it."""

    governor_id: str
    tasks: list[ID]
    objects: list[ID]
    objects_to_delete: list[ID]
    resources: dict[str, float]
    load: dict[str, float] = {}
    leaves: str = ""  # why, if it is leaving on purpose
    host_id: str = ""
    versions: dict[str, str] = {}  # as of `Libraries`


class GovernorBrief(Part):
    """A governor in figures: as `GovernorSummary`, with how many tasks and objects it has instead of which."""

    id: str
    cpus: float
    resources: dict[str, float]
    tasks: int
    objects: int
    load: dict[str, float] = {}
    leaves: str = ""


class GovernorLibraries(Part):
    """What a governor has told in `Libraries`."""

    governor_id: str
    host_id: str
    versions: dict[str, str]


class Offer(Part):
    """Places that a pool may bring: what the governor in each of them has, how many places at most, and what became
    of those that were asked for, in words: ``"2 asked for, pending (Resources)"``."""

    engine: str
    resources: dict[str, float]
    places: int
    told: str = ""


class Need(Part):
    """The work that asks for the same resources: what is ready and has no place yet (`waiting`), and what is with
    governors, running or ahead of time (`assigned`); `…_unknown`: how many of them run code that has not finished once;
    `…_s`: seconds that all the others are estimated to take, with the transfers of their inputs. A task on several
    governors counts as so many."""

    resources: dict[str, float]
    executor: str | None
    waiting: int
    waiting_unknown: int
    waiting_s: float
    assigned: int
    assigned_unknown: int
    assigned_s: float
    together: int = 1  # governors that the largest task on several of them needs at once


class Capacity(Part):
    """A governor as those see it that decide on more or fewer of them: `given` counts all that it was ever assigned, so
    that one which had short tasks between two looks is not taken for idle."""

    id: str
    resources: dict[str, float]
    tasks: int
    given: int
    leaves: bool = False


# -- opening a conversation -----------------------------------------------------------------------


class Hello(Message):
    """First message of the connecting process. `conversation` is a random name that it chose; `received` the number of
    messages it has had in this conversation. `resume` True: the peer knows this conversation, or it is over."""

    role: str  # "client" or "governor"; data connections have no Hello
    conversation: str
    received: int = 0
    host_id: str = ""
    python: str = ""  # "3.11"
    protocol: int = PROTOCOL_VERSION
    resume: bool = False
    process: str = ""  # `rain.net.peer_identity.own_identity`: a server on the same machine sees when it has ended
    kernel: bool = False  # it is a notebook's kernel, which may be started anew and want its sessions back


class Welcome(Message):
    """Answer to `Hello`. `resumed` False to a peer with `received` > 0 or unacknowledged messages means: the
    conversation is over, start anew with nothing."""

    conversation: str
    resumed: bool
    received: int
    host_id: str
    peer_id: str = ""
    incoming: str = ""  # folder in which clients on this host may leave large constants
    http: str = ""  # host:port of the HTTP listener
    data: str = ""  # host:port of the data listener
    data_key: bytes = b""  # the key of data connections, the same for all peers of a server
    incoming_disk: str = ""  # ... and where they leave those for which there is no room; empty: there always is
    incoming_max: int = 1 << 62  # bytes that one client may leave in `incoming`


class Refused(Message):
    """Instead of `Welcome`: why not."""

    reason: str


# -- client to server -----------------------------------------------------------------------------
# `request` numbers what wants an answer: a `Done`, `Failed` or the named reply with the same number.


class NewSession(Message):
    """Answered by `SessionOpened`."""

    request: int
    name: str
    on_failure: str  # "continue" or "stop"
    persistent: bool
    env: SessionEnv


class Submit(Message):
    """New tasks and objects, atomically, in an order in which inputs precede their users. Answered by `Done` or
    `Failed` (then nothing of it was taken). `objects` lists constants and outputs; `keep` those to be kept. A submit
    too large for one frame comes in pieces, all but the last with `more`; a task's objects come with it or before.
    Of persistent sessions `made` says for each task of the piece where its user made it: a number in `sites`, which are
    pairs of a line and the frames as text. `env` comes when the client's paths have changed, `modules` are what its
    tasks' arguments need on other hosts and the server does not hold yet (or in another version). `families` are
    further tasks, with their outputs, which are not in `objects`."""

    request: int
    session_id: int
    tasks: list[TaskSpec]
    objects: list[ObjectSpec]
    constants: list[Constant]
    keep: list[ID]
    more: bool = False
    sites: list[tuple[str, str]] = []
    made: list[int] = []
    env: SessionEnv | None = None
    modules: list[UserModule] = []
    families: list[Family] = []


class Keep(Message):
    """Answered by `Done`, or `Failed` when an object's data are gone."""

    request: int
    session_id: int
    objects: list[ID]


class Unkeep(Message):
    """Answered by `Done`. `runs`: objects of members of families, which are meant beside `objects`."""

    request: int
    session_id: int
    objects: list[ID]
    runs: list[MemberRun] = []


class Cancel(Message):
    """Cancel unfinished tasks (None: all of the session). Answered by `Done`."""

    request: int
    session_id: int
    tasks: list[ID] | None


class Retry(Message):
    """Run failed tasks (None: all) again, and what depends on them; cancelled ones where they are named or needed.
    `functions` replaces functions (task -> constant object) of those that run again, which have the client's paths as
    they are now: `env` and `modules` are as of `Submit`. Answered by `Done` or `Failed`."""

    request: int
    session_id: int
    tasks: list[ID] | None
    objects: list[ObjectSpec] = []
    constants: list[Constant] = []
    functions: list[tuple[ID, ID]] = []
    env: SessionEnv | None = None
    modules: list[UserModule] = []


class Forget(Message):
    """Failed and cancelled tasks (None: all), and what depends on them, will not be retried: what is held for that may
    go. Answered by `Done` or `Failed`."""

    request: int
    session_id: int
    tasks: list[ID] | None


class Update(Message):
    """A barrier: answered by `Updated` with the present state of the items."""

    request: int
    session_id: int
    items: list[ID]


class Locate(Message):
    """Where are these finished objects now? With `refused`: what their task returned in their place, if it failed
    because that was refused. Answered by `Located`."""

    request: int
    session_id: int
    objects: list[ID]
    refused: bool = False


class GetOutput(Message):
    """What the last attempts of these tasks wrote, of running ones so far: the tails, at most `TASK_OUTPUT_BYTES_MAX`
    of each stream. `had`, if given, says of each task what is known already. At most `OUTPUT_TASKS_MAX` tasks. Answered
    by `Output`."""

    request: int
    tasks: list[ID]
    had: list[Had] = []


class Explain(Message):
    """Why is the task where it is? Answered by `Info` with ``{"text": …}``."""

    request: int
    task: ID


class CloseSession(Message):
    """Answered by `Done` when the session's cpus are free and its objects are gone."""

    request: int
    session_id: int


class GetServerInfo(Message):
    """Answered by `ServerInfo`, or if it shall be `brief` (for views, which ask again and again) by `ServerBrief`."""

    request: int
    brief: bool = False


class Attach(Message):
    """Take over a session that is persistent or waits for a client (None: the only one that waits). Answered by
    `Attached`.

    With `look` it stays whose it is: the client may then ask for its tasks'
    output and its objects' places (`GetOutput`, `Explain`, `Locate`), is told of no changes, and cannot change it."""

    request: int
    session: int | str | None
    look: bool = False


class ExpectGovernors(Message):
    """Tasks that fit on no governor wait instead of failing while fewer than `count` governors are here. `Done`."""

    request: int
    count: int


class OfferPlaces(Message):
    """All places that this client's pools may bring now; it replaces what was said before, and goes with the client.
    Tasks that fit on no governor wait, as long as they fit on an offered place. Answered by `Done`."""

    request: int
    offers: list[Offer]


class OpenPool(Message):
    """The client has a pool, whose governors prove themselves by the key that `salt` and the governors' key make
    (`rain.net.auth`). Answered by `PoolOpened`. The key is good until `ClosePool`, or until the client is gone."""

    request: int
    salt: bytes


class ClosePool(Message):
    """No governor comes by this pool's key any more; those that are here stay. Answered by `Done`."""

    request: int
    pool: int


class GetDemand(Message):
    """How much work waits and runs, by what it asks for? Answered by `Demand`."""

    request: int


class DrainGovernors(Message):
    """These governors shall leave within so many seconds (`Drain`). Answered by `Done` when they were told, or `Failed`
    if one is not here (then none was told)."""

    request: int
    governors: list[str]
    within_s: float


class Goodbye(Message):
    """The client leaves on purpose: its sessions end at once."""


# -- server to client -----------------------------------------------------------------------------


class Done(Message):
    """The request was carried out."""

    request: int


class Failed(Message):
    """The request was refused, nothing of it was done. `kind` is ``"rain"`` or ``"session"`` (closed or unknown)."""

    request: int
    kind: str
    message: str


class SessionOpened(Message):
    request: int
    session_id: int


class SessionUpdate(Message):
    """What changed in a session since the last one; a task's objects precede the task. `stalled` says why nothing of
    the session can go on, empty that something can again; None: as before. What `families` tell of members of families
    is older than what `tasks` and `objects` tell of them."""

    session_id: int
    tasks: list[TaskUpdate]
    objects: list[ObjectUpdate]
    stalled: str | None = None
    families: list[FamilyUpdate] = []


class SessionStopped(Message):
    """The session ended by itself: ``on_failure="stop"`` and the task that failed, or the server ended it."""

    session_id: int
    reason: str
    task: ID | None = None
    error: TaskError | None = None


class Updated(Message):
    """In the order of asking; in pieces if there is much to tell, all but the last with `more`."""

    request: int
    tasks: list[TaskUpdate]
    objects: list[ObjectUpdate]
    more: bool = False


class Located(Message):
    """Same order as asked; None for an object that is not finished (or not refused, if that was asked) or gone."""

    request: int
    objects: list[ObjectData | None]


class Output(Message):
    """In the order of asking."""

    request: int
    outputs: list[TaskOutput]


class Info(Message):
    request: int
    values: dict[str, Any]


class ServerInfo(Message):
    request: int
    version: str
    address: str
    http: str
    governors: list[GovernorSummary]
    sessions: list[SessionSummary]


class ServerBrief(Message):
    request: int
    version: str
    address: str
    http: str
    governors: list[GovernorBrief]
    sessions: list[SessionSummary]


class PoolOpened(Message):
    """By this number governors say whose key they have."""

    request: int
    pool: int


class Demand(Message):
    """Costs the number of kinds of work and of governors, however many tasks there are."""

    request: int
    needs: list[Need]
    governors: list[Capacity]


class Attached(Message):
    """All of a session, in pieces as a `Submit` (all but the last with `more`): tasks and objects in the order of their
    submits. `hidden` are functions and arguments that the client made by itself; `released` counts finished tasks of
    which nothing else is known any more, `last_number` is the greatest number that was used."""

    request: int
    session_id: int
    name: str
    tasks: list[TaskSpec]
    objects: list[ObjectSpec]
    keep: list[ID]
    states: list[TaskUpdate]
    object_states: list[ObjectUpdate]
    more: bool = False
    hidden: list[ID] = []
    sites: list[tuple[str, str]] = []
    made: list[int] = []
    on_failure: str = "continue"
    last_number: int = 0
    released: int = 0
    look: bool = False
    persistent: bool = True


class GovernorCount(Message):
    """Pushed to every client when a governor comes or goes."""

    count: int


class LibrariesThere(Message):
    """Pushed to every client when governors have told their libraries, and of all that are there to a new client."""

    governors: list[GovernorLibraries]


# -- governor to server ---------------------------------------------------------------------------


class KeptObject(Part):
    """What a governor took over from one that died. Its bytes are compared before the first reader gets them."""

    id: ID
    size: int
    checksum: int | None
    follows: bool = False  # the result that it is an output of is told next: what becomes of it is judged then


class Register(Message):
    """First message of a governor in a new conversation: it runs nothing, and has nothing but what `TookOver` tells."""

    governor_id: str  # host:port of its data listener, as peers reach it
    host_id: str
    resources: dict[str, float]
    executors: list[str]  # executor types of its configuration, beside "py" and the builtin ones
    python: str
    host: str = ""  # what its host calls itself
    store: str = ""  # name of what it keeps objects in
    before: list[str] = []  # the stores of governors that died, which it took over: `TookOver` follows
    returns_s: float = 0.0  # if it dies, its host starts another one in its place within that time; 0: not as it knows


class TookOver(Message):
    """What a governor has of those in whose place it was started, or of its own from before it was given up. What the
    server does not want it answers with `DropObjects`, `CancelTasks` or `EndSession`."""

    objects: list[KeptObject]
    more: bool = False  # whether further ones follow
    attempts: list[tuple[ID, int]] = []  # that run on, or have ended and are told next; in the first of the messages


class Libraries(Message):
    """Versions of the libraries installed for a governor's interpreter, which is that of its executors where no client
    is on its host. It comes some time after `Register`, because reading them takes longer than registering."""

    versions: dict[str, str]


class Started(Message):
    """Attempts seen running (sampled: short ones may finish unseen)."""

    tasks: list[tuple[ID, int]]


class Finished(Message):
    """Attempts that ended by themselves."""

    results: list[TaskResult]
    families: list[FamilyResults] = []


class Stopped(Message):
    """Attempts that were cancelled (`CancelTasks`): nothing of them runs any more. `outputs`: what they wrote, if
    anything."""

    tasks: list[tuple[ID, int]]
    outputs: list[TaskOutput] = []


class GaveBack(Message):
    """Answer to `TakeBack`: these attempts will not be started here. Those left out are running or done."""

    tasks: list[tuple[ID, int]]


class InputsMissing(Message):
    """These attempts cannot start: the objects could not be had from any of the places named."""

    tasks: list[tuple[ID, int]]
    objects: list[ID]
    reason: str


class Fetched(Message):
    """Copies that the governor now holds too."""

    objects: list[ID]


class Moved(Message):
    """Objects whose file on this host is another one now (spilled from memory to disk)."""

    objects: list[tuple[ID, LocalFile]]


class ObjectsLost(Message):
    """Objects that this governor held and holds no longer (corrupt, file gone)."""

    objects: list[ID]
    reason: str


class Dropped(Message):
    """Answer to `DropObjects`."""

    objects: list[ID]


class SessionEnded(Message):
    """Answer to `EndSession`: no process and no object of the session is left."""

    session_id: int


class Draining(Message):
    """The governor leaves on purpose, within so many seconds: it takes no new work, gives back what has not begun
    (`GaveBack`, unasked) and ends what still runs after a while (`Stopped`, unasked). It goes when it is told to
    (`Dismiss`), or when the time is over. Said again when the time has become shorter. `patient`: it was asked by a
    user, and waits for a place for what only it holds, also if there is none now."""

    reason: str
    within_s: float
    patient: bool = False


class NotCopied(Message):
    """Answer to `CopyObjects`, of objects that could not be had."""

    objects: list[ID]
    reason: str


class NodeReady(Message):
    """The companion of an attempt is up; from executor to governor to server. See `Node`."""

    id: ID
    attempt: int
    address: str
    fingerprint: bytes
    key: bytes


class OutputRead(Message):
    """Answer to `ReadOutput`: what of it runs here. Tasks left out have not begun or have ended."""

    request: int
    outputs: list[TaskOutput]


class Load(Message):
    """Sent every `HEARTBEAT_S`; also the sign of life. Values that are not known (yet) are left out:

    * `cpu_percent`, `memory_percent`: of all that the host has; `host_used_bytes`, `host_max_bytes`: the same memory;
      `host_cpus`: how many cpus the host has;
    * `load`: the host's load average of one minute; `own_cpus`: how many cpus the governor and its executors keep busy;
    * `cpus_used`, and so on for each resource: what running tasks hold of what the governor has;
    * `tasks`, `tasks_waiting`, `tasks_ready`: assigned here; `executors`, `executors_running`; `fetches` on their way;
    * `objects` in the store; `inline_bytes` in small ones, `memory_bytes` of `memory_max_bytes` in memory files,
      `disk_bytes` of `disk_max_bytes` (what is free there counts) on disk, `spilled_bytes` moved there so far.
    """

    values: dict[str, float]


# -- server to governor ---------------------------------------------------------------------------


class OpenSession(Message):
    """Precedes the first `Assign` of a session, and that of a task with another `TaskSpec.environment`."""

    session_id: int
    env: SessionEnv
    number: int = 0


class Assign(Message):
    """Tasks to be run, most urgent first, and what is needed to have their inputs (each object once per governor).
    `families` are further tasks, which may make inputs of those in `tasks`."""

    tasks: list[TaskAssignment]
    objects: list[ObjectData]
    families: list[FamilyAssignment] = []


class TakeBack(Message):
    """Give these back if they have not started. Answered by `GaveBack`."""

    tasks: list[tuple[ID, int]]


class CancelTasks(Message):
    """Kill or forget these attempts. Answered by `Stopped` once nothing of them runs."""

    tasks: list[tuple[ID, int]]


class DropObjects(Message):
    """No task and no client needs these any more. Answered by `Dropped`."""

    objects: list[ID]


class CopyObjects(Message):
    """Fetch these, although no task there needs them: their only holder leaves. Each is answered in `Fetched` or
    `NotCopied`, unless it is dropped meanwhile."""

    objects: list[ObjectData]


class Drain(Message):
    """A user wants the governor to leave. Answered by `Draining`."""

    reason: str
    within_s: float


SERVER_STOPPED = "the server was stopped"
"""The reason in `Dismiss` when the server ends for good."""


class Dismiss(Message):
    """The governor may go: nothing that only it has is needed, or the server is stopped and does not come back."""

    reason: str


class EndSession(Message):
    """Kill all of a session's executors, drop its objects. Answered by `SessionEnded`."""

    session_id: int


class ReadOutput(Message):
    """What have these attempts written so far? `had` as of `GetOutput`. Answered by one `OutputRead`."""

    request: int
    tasks: list[tuple[ID, int]]
    had: list[Had] = []


# -- data connections -----------------------------------------------------------------------------


class DataGet(Message):
    """Send an object's bytes from `offset` on (`length` None: to the end); a directory as a tar archive (offset 0), or
    with `path` a file inside it. Answered by `DataHeader`, raw frames, `DataEnd`; or `DataError`."""

    id: ID
    offset: int = 0
    length: int | None = None
    path: bytes | None = None


class DataList(Message):
    """What is `path` inside a directory object, and which entries from `offset` on does it have, if it is a folder (at
    most `LISTING_ENTRIES_MAX`)? Answered like `DataGet`, with the bytes of an encoded `Listing`."""

    id: ID
    path: bytes
    offset: int = 0
    count: int | None = None


class DataView(Message):
    """Have an executor look into an object, or into the file `path` inside it: `what` names the view (a key of
    `rain.executor.views.VIEWS`), `asked` is its own. Client to server, which adds what it knows of the object and the
    environment of its session, and passes it on to a governor, to one that holds the object if there is one. Answered
    like `DataGet`, with the bytes that the view gives; empty payloads before them are signs of life.

    With `governor` that one is asked, and its executor looks at what is around it (the view ``"surroundings"``): of the
    id only the session counts, and the client says itself how its process looks now."""

    id: ID
    what: str
    asked: bytes = b""
    path: bytes | None = None
    data: ObjectData | None = None
    env: SessionEnv | None = None
    governor: str = ""


class DataPut(Message):
    """Client to server: the bytes of a large constant follow as raw frames, then `DataEnd`; the file is known as
    `name` until a `Submit` names it, or the client that holds `conversation` is gone. Answered by `DataEnd` or
    `DataError`."""

    name: str
    size: int
    conversation: str = ""


class DataHeader(Message):
    """`size` is None where it is not known beforehand (directories)."""

    size: int | None
    data_type: str = "blob"


class DataEnd(Message):
    """`checksum` is xxh3-64 of the bytes sent."""

    checksum: int


class DataError(Message):
    """Why not. `missing`: another holder may have the object; `not_inside`: no other will answer otherwise, as there is
    no such file or folder inside; `final`: nor would it for another reason."""

    message: str
    missing: bool = False
    not_inside: bool = False
    final: bool = False


# -- what running tasks say of themselves -----------------------------------------------------------


class Progressed(Message):
    """The last that running attempts have said of themselves; from executor to governor to server to client. It has no
    reply, and nothing depends on it: what comes for attempts that do not run any more is dropped."""

    tasks: list[TaskProgress]


# -- modules of the user --------------------------------------------------------------------------


class WantModule(Message):
    """An executor on another host than the client's is to import a module that it does not have. Asked from executor to
    governor to server, and by the server, if it does not hold it, of the client. Answered by `ModuleFound`."""

    session_id: int
    name: str


class ModuleFound(Message):
    """The way back of `WantModule`; None: the client has no such module of the user's."""

    session_id: int
    name: str
    module: UserModule | None = None


# -- governor and executor ------------------------------------------------------------------------


class ExecutorInput(Part):
    """An input as an executor gets it. `location` None: the store does not hold it any more; with `awaited`: a task
    that was given to the executor before makes it, and of `spec` only the id is told."""

    spec: ObjectSpec
    info: ObjectInfo
    label: str | None
    location: Inline | LocalFile | None
    awaited: bool = False

    @property
    def path(self) -> str | None:
        """Of the read-only file or directory in the store; None if there is none."""
        return self.location.path if isinstance(self.location, LocalFile) else None


class ExecutorTask(Part):
    """One attempt for an executor. `number` counts the tasks given to this executor, from 1: it is what the executor
    writes into its shared word while the task runs. `function` comes only with the first task that uses it: the
    executor keeps it."""

    number: int
    attempt: int
    spec: TaskSpec
    inputs: list[ExecutorInput]
    outputs: list[ObjectSpec]
    function: ExecutorInput | None = None
    nodes: list[Node] = []


class ExecutorFamily(Part):
    """Consecutive members of a family for an executor: each is to it what an `ExecutorTask` is. `number` is that of the
    first, the others have the numbers that follow. `spec`, `outputs` and `args` are as of `Family`."""

    number: int
    attempt: int
    spec: TaskSpec
    inputs: list[ExecutorInput]
    outputs: list[ObjectSpec]
    args: list[bytes]
    function: ExecutorInput | None = None


class ExecutorSetup(Message):
    """First message to a forked executor. `cwd` is where the client is: an empty entry of `sys_path` stands for it."""

    executor_id: int
    session_id: int
    governor_id: str
    work_dir: str  # its private folder; tasks run in an empty folder inside
    store_dir: str  # where large outputs are written (tmpfs where there is one)
    spill_dir: str  # where they go when `store_dir` is full
    store_bytes_max: int
    sys_path: list[str] | None  # None: the governor's own
    cwd: str | None
    env: dict[str, str]
    resources: dict[str, float]


class TaskInputs(Message):
    """The first inputs of the task that will have this `number`, and which is too large for one frame. There may be
    several of these messages; then comes the task with the rest of its inputs."""

    number: int
    inputs: list[ExecutorInput]


class RunTasks(Message):
    """Run these in the order of their numbers."""

    tasks: list[ExecutorTask]
    families: list[ExecutorFamily] = []


class WantPreview(Message):
    """Make the preview of an object that this executor made. Answered by `OwnPreview`, unless the executor exits."""

    value: ExecutorInput


class Recall(Message):
    """Give back what has not started. Answered by `Recalled`."""

    numbers: list[int]


class Recalled(Message):
    """These will not run here. `unasked`: it is no answer; the executor has outdated code, or not what they await."""

    numbers: list[int]
    unasked: bool = False


class Interrupt(Message):
    """Raise KeyboardInterrupt in this task if it is running (SIGINT to the executor's process group); 0: in any."""

    number: int = 0


class Results(Message):
    """Attempts that ended. `stale` is True when the executor should be replaced (a module changed on disk)."""

    results: list[TaskResult]
    stale: bool = False
    families: list[FamilyResults] = []


class OwnPreview(Message):
    """The answer to `WantPreview`: an encoded `rain.common.protocol.previews.Preview`, or nothing. `given_up`: it took
    too long. `put_off`: it was not begun, as a task waits."""

    id: ID
    data: bytes = b""
    given_up: bool = False
    put_off: bool = False


class Fork(Message):
    """Governor to zygote, with the executor's descriptors as ancillary data."""

    executor_id: int
    slot: int


class Forked(Message):
    executor_id: int
    pid: int


class Kill(Message):
    """Governor to zygote: SIGKILL to the executor's process group and to all that descends from it."""

    executor_id: int


class Ready(Message):
    """Zygote to governor, once, when it has imported everything and can fork."""

    pid: int


class Exited(Message):
    """Zygote to governor: the executor and all that it left behind is gone. `status` as of `os.waitpid`, `peak`
    the most bytes that it had in memory."""

    executor_id: int
    pid: int
    status: int
    peak: int = 0


ClientToServer: TypeAlias = (
    NewSession | Submit | Keep | Unkeep | Cancel | Retry | Forget | Update | Locate | GetOutput | Explain | CloseSession
    | GetServerInfo | Attach | ExpectGovernors | OfferPlaces | OpenPool | ClosePool | GetDemand | DrainGovernors
    | Goodbye | ModuleFound
)  # fmt: skip
ServerToClient: TypeAlias = (
    Done | Failed | SessionOpened | SessionUpdate | SessionStopped | Updated | Located | Output | Info | ServerInfo
    | ServerBrief | PoolOpened | Demand | Attached | GovernorCount | LibrariesThere | WantModule | Progressed
)  # fmt: skip
GovernorToServer: TypeAlias = (
    Register | TookOver | Libraries | Started | Finished | Stopped | GaveBack | InputsMissing | Fetched | Moved
    | ObjectsLost | Dropped | SessionEnded | Draining | NotCopied | OutputRead | Load | WantModule | Progressed
    | NodeReady
)  # fmt: skip
ServerToGovernor: TypeAlias = (
    OpenSession | Assign | TakeBack | CancelTasks | DropObjects | CopyObjects | Drain | Dismiss | EndSession
    | ReadOutput | ModuleFound
)  # fmt: skip
DataMessage: TypeAlias = DataGet | DataList | DataView | DataPut | DataHeader | DataEnd | DataError
GovernorToExecutor: TypeAlias = ExecutorSetup | TaskInputs | RunTasks | WantPreview | Recall | Interrupt | ModuleFound
ExecutorToGovernor: TypeAlias = Recalled | Results | OwnPreview | WantModule | Progressed | NodeReady
GovernorToZygote: TypeAlias = Fork | Kill
ZygoteToGovernor: TypeAlias = Ready | Forked | Exited
Opening: TypeAlias = Hello | Welcome | Refused
