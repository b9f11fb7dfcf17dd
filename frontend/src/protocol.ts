// Everything that kernel and browser send each other, and what the file of a report holds.
//
// Written by tools/protocol_ts.py from rain/notebook/protocol (`make frontend`): change it there.

// What a browser may ask for: parameters by the name of the request.
export interface Requests {
  asset: GetAsset;
  picture: GetPicture;
  missed: GetMissed;
  snapshot: GetSnapshot;
  version: GetVersion;
  open: OpenGroup;
  close: CloseGroup;
  objects: ShowObjects;
  details: GetDetails;
  output: GetOutput;
  shown: GetShown;
  explain: Explain;
  search: Search;
  critical: GetCriticalPath;
  cancel: Cancel;
  retry: Retry;
  select: Select;
  geometry: PlaceGraph;
  table: GetTable;
  timeline: GetTimeline;
  governors: GetGovernors;
  kill: KillGovernor;
  stale: GetStale;
  rerun: RerunStale;
  inspect: Inspect;
  download: Download;
  card: GetCard;
  pools: GetPools;
  places: GetPlaces;
  scale: ScalePool;
  giveup: GiveUpPlace;
}

// What each request gets.
export interface Answers {
  asset: Done;
  picture: Picture;
  missed: Missed;
  snapshot: Snapshot;
  version: ViewVersion;
  open: Done;
  close: Done;
  objects: Done;
  details: Details;
  output: Output;
  shown: PreviewPage;
  explain: Explanation;
  search: Found;
  critical: CriticalPath;
  cancel: Done;
  retry: Done;
  select: Done;
  geometry: Geometry;
  table: TaskTable;
  timeline: Timeline;
  governors: Governors;
  kill: Done;
  stale: Stale;
  rerun: Done;
  inspect: InspectionAnswer;
  download: Piece;
  card: Card;
  pools: Pools;
  places: PlaceRows;
  scale: Done;
  giveup: Done;
}

// What the kernel tells unasked, by the name of the event.
export interface Updates {
  delta: Delta;
  final: Record<string, unknown>;
  pools: Pools;
}

// A file of the browser part; it comes beside the answer.
export interface GetAsset {
  name: string;
}

// What was asked for has been done; there is nothing to tell.
export type Done = Record<string, never>;

// What is saved of the widget.
export type GetPicture = Record<string, never>;

// What is saved of a widget.
export interface Picture {
  // The widget's id.
  model: string;
  // By MIME type.
  data: Record<string, unknown>;
}

// What tasks have printed into cells, for a page that was not open all the time.
export interface GetMissed {
  // Whether the page asks for the first time.
  first: boolean;
}

// What tasks have printed into which cells.
export interface Missed {
  // Whether another page had the widget before; else there is nothing to be told.
  again: boolean;
  cells: CellText[];
}

// What the tasks of one run of a cell have printed, up to now.
export interface CellText {
  // The cell's text when it was run.
  code: string;
  // The number in its brackets; 0 while it runs.
  count: number;
  // `"stdout"` or `"stderr"`, and what was printed.
  parts: [string, string][];
}

// All that is visible.
export type GetSnapshot = Record<string, never>;

// All that is visible of a session.
export interface Snapshot {
  version: number;
  session: SessionInfo;
  // By state.
  looks: Record<string, Look>;
  topology: Topology;
  // By the key of a node.
  status: Record<string, Status>;
  summary: Summary;
}

// A session's name, and whether it is open.
export interface SessionInfo {
  id: number;
  name: string;
  // `"open"`, `"closed"`, `"lost"` or `"stopped"`.
  state: string;
  // Why it ended; of an open session why nothing of it can go on. Empty if there is nothing to say.
  note: string;
}

// How a task or an object in some state is drawn.
export interface Look {
  // For legends.
  word: string;
  // One character.
  mark: string;
  // Colours (`#rrggbb`) on a light ground; marks in the colour of lines can be read on the fill.
  fill: string;
  // Colours (`#rrggbb`) on a light ground; marks in the colour of lines can be read on the fill.
  line: string;
  // The same on a dark ground.
  dark_fill: string;
  // The same on a dark ground.
  dark_line: string;
}

// The visible graph, without states.
export interface Topology {
  // Another number: nodes or arcs are others, to be laid out anew.
  number: number;
  nodes: Node[];
  arcs: Arc[];
  // Frames inside of others come after them.
  frames: Frame[];
  // What Graphviz is to lay out; its names of nodes are the keys, clusters are called `cluster` and the key.
  dot: string;
  // Whether it is laid out from left to right, in lines that wrap.
  sideways: boolean;
  // Whether each object is a node, also those that are only handed from one task to the next.
  all_objects: boolean;
}

export type Node = TaskNode | ObjectNode | GroupNode;

// A task.
export interface TaskNode {
  kind: "task";
  key: string;
  // Its whole name.
  label: string;
  // What is written in it, if that is not the label.
  text?: string | null;
  // Key of the frame around it.
  frame?: string | null;
  // The task type.
  type: string;
}

// An object.
export interface ObjectNode {
  kind: "object";
  key: string;
  // Its whole name.
  label: string;
  // What is written in it, if that is not the label.
  text?: string | null;
  // Key of the frame around it.
  frame?: string | null;
  directory?: boolean;
}

// A closed group.
export interface GroupNode {
  kind: "group";
  key: string;
  // Its whole name.
  label: string;
  // What is written in it, if that is not the label.
  text?: string | null;
  // Key of the frame around it.
  frame?: string | null;
  // How many are inside.
  tasks: number;
  // How many are inside.
  objects: number;
}

// An arc of the visible graph; there may be several between the same nodes.
export type Arc = [tail: string, head: string, text: string];

// A group that is open: a box around nodes.
export interface Frame {
  key: string;
  label: string;
  // What is written at it, if that is not the label.
  text?: string | null;
  // Key of the frame around it.
  frame?: string | null;
}

// What is known of a node now; only what is known is sent.
export interface Status {
  // A state's name; `"new"` before submit.
  state: string;
  // How long a task took, once it is over.
  took?: string | null;
  // When it started, in seconds since the epoch.
  start?: number | null;
  governor?: string | null;
  // If more than one.
  attempts?: number | null;
  // Its first line.
  error?: string | null;
  // Of an object.
  size?: string | null;
  kept?: boolean;
  content_type?: string | null;
  // Of a group: how many tasks are in each state.
  counts?: Record<string, number> | null;
  // How many tasks of it (of an object: of its maker) have a function, or one before them, that was edited since.
  stale?: number;
  // Of a task: why the result of an earlier run was reused, or why it was computed.
  reuse?: string | null;
  // How much of a running task is done, from 0 to 1, if it says so.
  share?: number | null;
  // The same in words, with its note.
  doing?: string | null;
  // The picture that it shows, as a PNG in base64.
  thumb?: string | null;
}

// Counts and clocks of the whole session.
export interface Summary {
  // By state.
  tasks: Record<string, number>;
  objects: number;
  // Seconds since it began to run; None before.
  elapsed: number | null;
  // Seconds that are estimated to be left.
  remaining: number | null;
  // Whether the clocks go on.
  ticking: boolean;
  // How many tasks are stale.
  stale: number;
}

// Which version the last delta made; asked when none has come for a while, as one may have got lost.
export type GetVersion = Record<string, never>;

// How far the kernel is.
export interface ViewVersion {
  // As of `Snapshot`.
  version: number;
}

// Show what is in a group; a delta follows.
export interface OpenGroup {
  key: string;
}

// Show a group as one node; a delta follows.
export interface CloseGroup {
  key: string;
}

// Which objects are nodes.
export interface ShowObjects {
  // Each of them; else those only that are kept, have a name, or are directories.
  all: boolean;
}

// All that is known of a task, an object or a group.
export interface GetDetails {
  key: string;
}

export type Details = TaskDetails | ObjectDetails | GroupDetails;

// All that is known of a task.
export interface TaskDetails {
  kind: "task";
  key: string;
  id: string;
  title: string;
  state: string;
  type: string;
  // Where in the user's code.
  made: string | null;
  stack: unknown;
  source: Source | null;
  // How its function was called; empty if it has none.
  call: string;
  inputs: Link[];
  outputs: Link[];
  resources: unknown;
  options: unknown;
  user: unknown;
  info: Run | null;
  // The task because of which it was not run, or was cancelled.
  cause: Link | null;
  // What happened to it; None if there is a cause.
  error: string | null;
  // What to do next.
  hints: string[];
  can_cancel: boolean;
  can_retry: boolean;
  // Whether its function, or one before it, was edited since.
  stale: boolean;
  // The task that stands in its place since stale ones were run again.
  renewed: Link | null;
  // Whether its result is that of an earlier run.
  reused: boolean;
  // Why that was reused, or why it was computed; empty if that was not asked for.
  reuse: string;
  // While it runs, if it says something of itself.
  progress: Progress | null;
}

// The text of a task's function.
export interface Source {
  text: string;
  // The file or cell.
  where: string;
  // The number there of the text's first line.
  first_line: number;
}

// Something in the session that one can go to.
export interface Link {
  key: string;
  title: string;
  state: string;
  // Which input or output it is.
  label?: string;
}

// How a task ran.
export interface Run {
  // Seconds since the epoch.
  start: number | null;
  // Empty if it is not over.
  took: string;
  governor: string | null;
  attempts: number;
  debug: unknown;
  user: unknown;
  // Of a task with several attempts a line for each.
  ended: string[];
}

// What a running task says of itself.
export interface Progress {
  // How much is done, from 0 to 1.
  share: number | null;
  // The same in words, with its note.
  text: string;
  // Whether it shows something, which is asked for with `GetShown`.
  shows: boolean;
  // Of what it shows.
  title: string;
}

// All that is known of an object without looking into it.
export interface ObjectDetails {
  kind: "object";
  key: string;
  id: string;
  title: string;
  state: string;
  kept: boolean;
  content_type: string | null;
  data_type: string | null;
  // Empty if it is not known.
  size: string;
  digest: string | null;
  // Governors.
  holders: string[];
  spec_user: unknown;
  info_user: unknown;
  maker: Link | null;
  users: Link[];
  can_inspect: boolean;
  why_not: string | null;
}

// What a group adds up to.
export interface GroupDetails {
  kind: "group";
  key: string;
  title: string;
  counts: Record<string, number>;
  objects: number;
  // All its tasks together.
  took: string;
  // The first of them.
  failed: FailedTask[];
}

// One of a group's failed tasks.
export interface FailedTask {
  key: string;
  title: string;
  error: string;
}

// What a task has written.
export interface GetOutput {
  key: string;
}

// The end of what a task wrote; of a running task what it wrote so far.
export interface Output {
  stdout: string;
  stderr: string;
}

// What a running task shows; its picture comes beside the answer.
export interface GetShown {
  key: string;
}

// A value in short, as an executor saw it; its picture, if it has one, comes beside the answer, as a PNG.
export interface PreviewPage {
  view: "preview";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  // The value's class.
  type: string;
  summary: [string, string][];
  // The value written.
  text: string;
  columns: Column[];
  // Labels of `rows`.
  index: string[];
  // The first ones of a table.
  rows: string[][];
  // Of an array of numbers.
  bins: Bins | null;
  parts: NamedPart[];
  // Pixels of the picture; 0 if there is none.
  width: number;
  // Pixels of the picture; 0 if there is none.
  height: number;
}

// A column of a table; its name has control characters escaped.
export interface Column {
  name: string;
  dtype: string;
}

// How numbers are distributed.
export interface Bins {
  // In bins of the same width.
  counts: number[];
  // Where the first bin begins and the last one ends.
  low: string;
  // Where the first bin begins and the last one ends.
  high: string;
  // What was counted.
  of: string;
}

// A part of a value that has a name.
export interface NamedPart {
  name: string;
  type: string;
  text: string;
}

// Why a task has not started.
export interface Explain {
  key: string;
}

// Why a task has not started.
export interface Explanation {
  text: string;
  // The same in short.
  sentence: string;
}

// Tasks and objects.
export interface Search {
  // A regular expression, in which case does not matter.
  pattern: string;
}

// What a search found.
export interface Found {
  // Of visible nodes that are, or hold, what was found.
  keys: string[];
  tasks: number;
  objects: number;
  first: Hit[];
}

// A task or object that a search found.
export interface Hit {
  key: string;
  title: string;
}

// The chain of tasks that took longest.
export type GetCriticalPath = Record<string, never>;

// The chain of tasks, each needing the one before, that took longest so far.
export interface CriticalPath {
  // Of visible nodes.
  keys: string[];
  // Empty if no task has run.
  took: string;
}

// Cancel a task or the tasks of a group; without a key all.
export interface Cancel {
  key?: string | null;
}

// Run a failed task or those of a group once more; without a key all.
export interface Retry {
  key?: string | null;
}

// Sets `widget.selected`.
export interface Select {
  key?: string | null;
}

// Where everything is to be drawn, by what Graphviz says of a topology's `dot`.
export interface PlaceGraph {
  // Of the topology.
  number: number;
  layout: DotLayout;
  // Points that a line may be wide if it is laid out from left to right.
  line?: number | null;
}

// What of the JSON that Graphviz writes tells where everything is (`dot -Tjson0`).
export interface DotLayout {
  bb: string;
  objects: DotObject[];
  edges: DotEdge[];
}

// A node or a cluster in the JSON that Graphviz writes, with the names that it gives them.
export interface DotObject {
  _gvid: number;
  name: string;
  pos: string | null;
  width: string | null;
  height: string | null;
  bb: string | null;
}

// An edge in the JSON that Graphviz writes.
export interface DotEdge {
  tail: number;
  head: number;
  _gvid: number;
  pos: string | null;
  lp: string | null;
  style: string;
}

// Where everything of a topology is, in points.
export interface Geometry {
  width: number;
  height: number;
  nodes: Record<string, Box>;
  arcs: Curve[];
  frames: Record<string, Box>;
}

// A place, in points, y downwards: of a node x and y are the middle, of a frame the upper left corner.
export type Box = [x: number, y: number, width: number, height: number];

// The place of an arc; those between the same nodes are in the topology's order.
export type Curve = [tail: string, head: string, path: string, x: number, y: number];

// A page of the table of tasks.
export interface GetTable {
  // Rows.
  offset?: number;
  // Rows.
  count?: number;
  // A column.
  sort?: "attempts" | "cpus" | "error" | "governor" | "id" | "name" | "start" | "state" | "took" | "type";
  descending?: boolean;
  // A regular expression.
  filter?: string;
  // None: tasks in any state.
  states?: string[] | null;
  // By column a regular expression in what the row says; or for numbers and durations a comparison as `>2`, `<= 150 ms` or `=1`.
  where?: Partial<Record<"attempts" | "cpus" | "error" | "governor" | "id" | "name" | "start" | "state" | "took" | "type", string>>;
  // Whether it is told how long the tasks took.
  durations?: boolean;
}

// A page of the table of tasks.
export interface TaskTable {
  // Tasks of the session.
  total: number;
  // Those that the filters let through.
  matched: number;
  rows: TaskRow[];
  // Of all that were let through and have ended; empty if there are less than two, or it was not asked.
  durations: DurationBin[];
}

// A row of the table of tasks.
export interface TaskRow {
  key: string;
  id: string;
  name: string;
  type: string;
  state: string;
  // Seconds since the epoch.
  start: number | null;
  took: string;
  governor: string;
  attempts: number;
  cpus: number;
  // Its first line.
  error: string;
  // Whether its function, or one before it, was edited since.
  stale: boolean;
  // Whether its result is that of an earlier run.
  reused: boolean;
  // Why that was reused, or why it was computed; empty if that was not asked for.
  reuse: string;
}

// So many tasks took between so many seconds.
export type DurationBin = [begin: number, end: number, count: number];

// What ran when.
export interface GetTimeline {
  // Seconds since the epoch; None: from the beginning, to the end.
  begin?: number | null;
  // Seconds since the epoch; None: from the beginning, to the end.
  end?: number | null;
  // How wide the picture is.
  pixels?: number;
}

// What ran when; times are seconds since the epoch.
export interface Timeline {
  // What is described.
  begin: number;
  // What is described.
  end: number;
  now: number;
  lanes: TimelineLane[];
  // Names of functions and other kinds of tasks; the same number is the same function in all answers.
  functions: string[];
  // Empty if no task waited for room.
  queue: QueuePoint[];
}

// What one cpu of a governor did, or one place among tasks that share cpus, or among transfers to it.
export interface TimelineLane {
  governor: string;
  slot: number;
  // `"cpu"`, `"shared"` (tasks that ask for less than a cpu each), `"transfers"`.
  kind: "cpu" | "shared" | "transfers";
  bars: Bar[];
}

// A bar of the timeline: a task or a transfer, or several too short to be seen apart.
export type Bar = [start: number, seconds: number, state: string, key: string, name: string, count: number, function: number, waited: number, transfer: number, told: string];

// From a time on (seconds since the epoch) so many tasks were ready, and did not run.
export type QueuePoint = [at: number, count: number];

// The server's governors.
export type GetGovernors = Record<string, never>;

// The server's governors.
export interface Governors {
  // Of the server.
  address: string;
  // Of the server.
  version: string;
  // Whether they belong to the client alone, so that it may end one.
  private: boolean;
  governors: Governor[];
}

// A governor and its load.
export interface Governor {
  id: string;
  cpus: number;
  tasks: number;
  objects: number;
  // How busy its processors are, from 0 to 1.
  processor: number;
  // How much of its host's memory is used, from 0 to 1.
  memory: number | null;
  // The most important, in a line.
  brief: Measure;
  measures: Measure[];
  // Why it leaves; empty if it does not.
  leaves: string;
}

// How much there is of something.
export interface Measure {
  key: string;
  label: string;
  text: string;
  // From 0 to 1, where there is a whole.
  share: number | null;
  // The part of the share that is of Rain's own doing, where that is known.
  ours: number | null;
}

// End a governor's process as a crash would; only of a private cluster.
export interface KillGovernor {
  governor: string;
}

// What running the stale tasks again takes; nothing starts.
export type GetStale = Record<string, never>;

// What running the stale tasks again takes.
export interface Stale {
  // In a few words, with about how long it takes; empty if there is nothing to run.
  offer: string;
  // Which tasks, which of them are still running, and which cannot run again.
  lines: string[];
}

// Run the stale tasks again, as new ones.
export type RerunStale = Record<string, never>;

// A page of data.
export interface Inspect {
  // Of an object of a session; an inspector of its own needs none.
  key?: string;
  // Names inside a directory.
  path?: string[];
  // None: the best one.
  view?: string | null;
  // Bytes of `text` and `hex`, children of `tree`, rows of `table` and `value`, entries of `directory`.
  offset?: number;
  // The first one of a table that is shown.
  column?: number;
  // Of text.
  encoding?: string | null;
  // Steps to a node of a tree: positions among siblings, or keys.
  at?: (number | string)[];
  // A column of a table.
  sort?: number | null;
  descending?: boolean;
  // Of a table.
  filters?: ColumnFilter[];
  // What the names of entries of a directory contain; case does not matter.
  named?: string;
}

// Which rows are wanted, by one column.
export interface ColumnFilter {
  column: number;
  // A part of a text, a value, or `> 5`, `!= a`, `~ ^a.*z$`, `is null`.
  text: string;
}

// A look into data.
export interface InspectionAnswer {
  overview: Overview;
  // All that there are, the best one first.
  views: string[];
  page: Page;
}

// What is looked at.
export interface Overview {
  title: string;
  id: string | null;
  // Inside a directory those of what `path` names; the content type is guessed then.
  content_type: string | null;
  // Inside a directory those of what `path` names; the content type is guessed then.
  data_type: string | null;
  // In words; empty if it is not known.
  size: string;
  digest: string | null;
  holders: string[];
  maker: Link | null;
  spec_user: unknown;
  info_user: unknown;
  // Names inside a directory, as a request has them.
  path: string[];
  // The same to be shown: control characters and those that turn the direction of text are escaped.
  steps: string[];
}

export type Page = TextPage | HexPage | TreePage | TablePage | ImagePage | DirectoryPage | PicklePage | ValuePage | PreviewPage;

// Text; it never begins inside a character.
export interface TextPage {
  view: "text";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  encoding: string;
  // Bytes; all that there is, in `size`.
  offset: number;
  // Bytes; all that there is, in `size`.
  end: number;
  // Bytes; all that there is, in `size`.
  size: number;
  size_text: string;
  text: string;
}

// Any bytes.
export interface HexPage {
  view: "hex";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  // Bytes.
  offset: number;
  // Bytes.
  end: number;
  // Bytes.
  size: number;
  size_text: string;
  rows: HexRow[];
}

// Some bytes: where they are, in hexadecimal, and what of them is ASCII.
export type HexRow = [offset: number, hex: string, text: string];

// A node of JSON or CBOR, and some of its children.
export interface TreePage {
  view: "tree";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  // The steps that lead to it.
  at: (number | string)[];
  node: TreeNode;
}

// A node of a tree.
export interface TreeNode {
  // Its key or number; to be shown as it is.
  label: string;
  // `object`, `array`, `lines` (JSON lines), `sequence` (CBOR items) and `tag` have children; `string`, `bytes`, `number`, `bool`, `null`, `other` and `error` have none.
  kind: string;
  text: string;
  // Children; None: not known yet, more are asked for from where those that are known end.
  count: number | null;
  // The position of the first of `children` among all children.
  offset: number;
  // None if they were not asked for.
  children: TreeNode[] | null;
}

// Some rows and columns of a table.
export interface TablePage {
  view: "table";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  columns: Column[];
  // The number of the first of them.
  column: number;
  // Columns in all.
  width: number;
  // Labels of the rows.
  index: string[];
  rows: string[][];
  // The number of the first row; smaller than what was asked for if the table is not known so far yet.
  offset: number;
  // Rows in all; None if that is not known yet.
  total: number | null;
  summary: [string, string][];
  // Whether sorted and filtered rows may be asked for.
  can_query?: boolean;
  // How much was looked at so far, from 0 to 1, as long as the rows are not known; ask again.
  working?: number | null;
}

// A picture, whose bytes come beside the answer.
export interface ImagePage {
  view: "image";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  mime: string;
  // Pixels.
  width: number;
  // Pixels.
  height: number;
}

// Some entries of a directory, folders first.
export interface DirectoryPage {
  view: "directory";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  entries: Entry[];
  // Of those whose names were asked for.
  offset: number;
  // Of those whose names were asked for.
  total: number;
  // Whether there are too many entries: these come in the order of their names, which cannot be asked for.
  unsorted?: boolean;
}

// Something in a directory.
export interface Entry {
  // As a request has it: bytes that are not UTF-8 are written `\xNN`.
  name: string;
  kind: "dir" | "file" | "link";
  // The name to be shown, if that is another.
  text?: string | null;
  // Bytes of a file.
  size?: number | null;
  size_text?: string;
  // Of a link; to be shown.
  target?: string | null;
}

// What a pickle tells without being loaded.
export interface PicklePage {
  view: "pickle";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  summary: [string, string][];
  // How often each occurs.
  opcodes: [string, number][];
  // What it refers to.
  globals: string[];
}

// The value of a pickle that was loaded because its reader asked for that.
export interface ValuePage {
  view: "value";
  // A sentence to show above it, for instance why a better view was not possible.
  note?: string;
  type: string;
  text?: string;
  // Instead of the text, if the value is one.
  table?: TablePage | null;
}

// A piece of the bytes of data.
export interface Download {
  key?: string;
  path?: string[];
  // Bytes.
  offset?: number;
}

// A piece of a download, whose bytes come beside the answer.
export interface Piece {
  // To save it under.
  name: string;
  // Bytes in all.
  size: number;
  // Bytes up to the end of this piece.
  end: number;
  size_text: string;
  end_text: string;
}

// Where the client is connected, and what it finds there.
export type GetCard = Record<string, never>;

// A client: where it is connected, and what it finds there.
export interface Card {
  address: string;
  http: string;
  version: string;
  // `"connected"`, `"closed"`, or why the server is lost.
  state: string;
  governors: Governor[];
  sessions: SessionLine[];
}

// A session on a client's card.
export interface SessionLine {
  id: number;
  name: string;
  persistent: boolean;
  // By state.
  tasks: Record<string, number>;
}

// The pools, and the loads of their governors; later changes are told unasked.
export type GetPools = Record<string, never>;

// The pools of a client.
export interface Pools {
  // When this was so, in seconds since the epoch by the kernel's clock.
  now: number;
  // Of places by state.
  looks: Record<string, Look>;
  pools: PoolBox[];
  // How many further pools there are.
  more: number;
}

// A pool and its places.
export interface PoolBox {
  key: string;
  // What its places are on.
  name: string;
  // By which `rain pool` names it; empty if it has no record on disk.
  id: string;
  closed: boolean;
  // As of `rain.deploy.pools.pool.Pool`.
  trouble: string;
  // Places by state.
  counts: Record<string, number>;
  // How many it asks for.
  wanted: number;
  // How many it may ask for.
  most: number;
  // Whether it grows and shrinks by itself.
  adapts: boolean;
  // By which it does so, and what it has used.
  rules: string;
  boxes: PlaceBox[];
  // Places that are in none of `boxes`.
  folds: PlaceFold[];
}

// A place.
export interface PlaceBox {
  number: number;
  // A key of `Pools.looks`.
  state: string;
  job: string;
  // Why it waits and until about when, why it leaves, or how it ended, in the engine's or the governor's words.
  words: string;
  // The id of its governor; empty if none ever registered.
  governor: string;
  // Of its governor, in a line; None if that is not known (yet).
  load: Measure | null;
  // When its time is over, in seconds since the epoch; None if that is not known.
  ends_at: number | null;
  // Why it never came up, in one sentence.
  cause: string;
  // Its last lines, if it never came up.
  printed: string;
  // Whether it can be given up.
  wanted: boolean;
}

// Several places of which the same is to be said.
export interface PlaceFold {
  // For `rain.notebook.protocol.requests.GetPlaces`.
  key: string;
  // A key of `Pools.looks`.
  state: string;
  // As of `PlaceBox`, if they all have the same.
  words: string;
  count: number;
}

// Some of the places of a fold.
export interface GetPlaces {
  // Their keys.
  pool: string;
  // Their keys.
  fold: string;
  offset?: number;
}

// Some of the places of a fold.
export interface PlaceRows {
  // How many there are in it.
  total: number;
  rows: PlaceBox[];
}

// Ask for as many places as make `count`, or give some up.
export interface ScalePool {
  pool: string;
  count: number;
}

// Give up one place.
export interface GiveUpPlace {
  pool: string;
  number: number;
}

// What has changed since the version `base`. A browser that has another version asks for a snapshot.
export interface Delta {
  version: number;
  base: number;
  // Of nodes whose status is another.
  status: Record<string, Status>;
  summary: Summary;
  // If it is another.
  topology?: Topology;
  // If it is another.
  session?: SessionInfo;
}

// All of a report.
export interface Report {
  // When, in seconds since the epoch.
  made: number;
  versions: Version[];
  // What is left out, in sentences.
  notes: string[];
  session: SessionInfo;
  // By state.
  looks: Record<string, Look>;
  // Which state a group of tasks is said to be in: the first of these that one of them is in.
  severity: string[];
  summary: Summary;
  // Seconds since the epoch.
  began: number;
  // Microseconds from then to the last change.
  length: number;
  // Of tasks and objects, by key.
  lives: Record<string, Life>;
  // The first one is what is seen first.
  scenes: Scene[];
  // Of all nodes in scenes, at the end.
  status: Record<string, Status>;
  // The tasks and constants in closed groups, by the group's key.
  members: Record<string, string[]>;
  rows: TaskRow[];
  // Those of tasks without their code.
  details: Record<string, Details>;
  // Of all tasks: many have the same.
  codes: Code[];
  // The place in `codes` by the key of a task.
  code_of: Record<string, number>;
  // Of tasks that have written something.
  outputs: Record<string, Output>;
  // Whether all others have written nothing.
  outputs_whole: boolean;
  // Of objects.
  previews: Record<string, Preview>;
  timeline: Timeline;
  // Its keys are of tasks and objects, visible or not.
  critical: CriticalPath;
  governors: Governors;
}

// A program or package, and which one it is.
export interface Version {
  name: string;
  version: string;
}

// The states of a task or an object: the first one, and how it went on.
export type Life = [first: string, changes: StateChange[]];

// From when on something was in a state; `at` counts microseconds from the report's `began`.
export type StateChange = [at: number, state: string];

// A graph that is laid out.
export interface Scene {
  // Key of the group that was opened last; empty of the first scene, `"objects"` of the one with all objects.
  opened: string;
  // `opened` of the scene in which that group is closed.
  above: string;
  topology: Topology;
  geometry: Geometry;
}

// Where a task comes from.
export interface Code {
  // The line that made it.
  made: string;
  // The frames around that.
  stack: string;
  // The text of its function.
  source: Source | null;
}

// The first page of an object's data.
export interface Preview {
  answer: InspectionAnswer;
  // What comes beside it, in base64.
  pieces: string[];
}
