// What kernel and browser say to each other; docs/notebook.md explains it.

export interface Look {
  word: string;
  mark: string;
  fill: string;
  line: string;
  dark_fill: string;
  dark_line: string;
}

export type Looks = Record<string, Look>;
export type Counts = Record<string, number>;

export interface Session {
  id: number | null;
  name: string;
  word: string;
  note?: string | null;
}

export interface TaskNode {
  key: string;
  kind: "task";
  label: string;
  type: string;
  in: string | null;
}

export interface ObjectNode {
  key: string;
  kind: "object";
  label: string;
  directory: boolean;
  in: string | null;
}

export interface GroupNode {
  key: string;
  kind: "group";
  label: string;
  tasks: number;
  objects: number;
  in: string | null;
}

export type Node = TaskNode | ObjectNode | GroupNode;

// Tail, head, label, and how many arcs of the whole graph it stands for.
export type Arc = [tail: string, head: string, label: string, count: number];

export interface Frame {
  key: string;
  label: string;
  in: string | null;
}

export interface Topology {
  number: number;
  nodes: Node[];
  arcs: Arc[];
  frames: Frame[];
  dot: string;
}

// Only what is known is there; docs/notebook.md has the meaning of the letters.
export interface Status {
  s: string;
  d?: number;
  t?: number;
  g?: string;
  n?: number;
  e?: string;
  z?: number;
  k?: boolean;
  c?: string | Counts;
}

export interface Summary {
  tasks: Counts;
  objects: number;
  elapsed: number | null;
  remaining: number | null;
  ticking: boolean;
}

export interface Snapshot {
  version: number;
  session: Session;
  looks: Looks;
  topology: Topology;
  status: Record<string, Status>;
  summary: Summary;
}

export interface Delta {
  version: number;
  base: number;
  status: Record<string, Status>;
  summary: Summary;
  topology?: Topology;
  session?: Session;
}

export interface Link {
  key: string;
  title: string;
  state: string;
  label?: string;
}
export interface Text { text: string }
export interface Output { stdout: string; stderr: string }
export interface Source { text: string; where: string; first_line: number }
export interface TaskDetailsInfo { start: number | null; duration: number | null; governor: string | null; attempts: number; debug: unknown; user: unknown }

export interface TaskDetails {
  kind: "task";
  key: string;
  id: string;
  title: string;
  state: string;
  type: string;
  made: string | null;
  stack: unknown;
  source: Source | null;
  inputs: Link[];
  outputs: Link[];
  resources: unknown;
  options: unknown;
  user: unknown;
  info: TaskDetailsInfo | null;
  error: string | null;
  hints: string[];
  can_cancel: boolean;
  can_retry: boolean;
}

export interface ObjectDetails {
  kind: "object";
  key: string;
  id: string;
  title: string;
  state: string;
  kept: boolean;
  content_type: string | null;
  data_type: string | null;
  size: number | null;
  digest: string | null;
  holders: string[];
  spec_user: unknown;
  info_user: unknown;
  maker: Link | null;
  users: Link[];
  can_inspect: boolean;
  why_not: string | null;
}

export interface GroupDetails {
  kind: "group";
  key: string;
  title: string;
  counts: Counts;
  objects: number;
  seconds: number | null;
  failed: { key: string; title: string; error: string | null }[];
}

export type Details = TaskDetails | ObjectDetails | GroupDetails;

export interface Found {
  keys: string[];
  tasks: number;
  objects: number;
  first: { key: string; title: string }[];
}

export interface Critical {
  keys: string[];
  seconds: number;
}

// In points, y downwards.
export interface Geometry {
  width: number;
  height: number;
  nodes: Record<string, [cx: number, cy: number, w: number, h: number]>;
  arcs: [tail: string, head: string, path: string, labelX: number, labelY: number][];
  frames: Record<string, [x: number, y: number, w: number, h: number]>;
}

export interface Governor {
  id: string;
  cpus: number;
  resources: Record<string, number>;
  tasks: number;
  objects: number;
  load: Record<string, number>;
}
export interface Governors { address: string; version: string; governors: Governor[] }
export interface SessionLine {
  id: number;
  name: string;
  persistent: boolean;
  client: string | null;
  tasks: Record<string, number>;
}

export interface Card {
  address: string;
  http: string | null;
  version: string;
  state: string; // "connected", "closed", or why the server is lost
  governors: Governor[];
  sessions: SessionLine[];
}
export interface TableRow {
  key: string;
  id: string;
  name: string;
  type: string;
  state: string;
  start: number | null;
  duration: number | null;
  governor: string | null;
  attempts: number;
  cpus: number;
  error: string;
}

export interface Table {
  total: number;
  matched: number;
  rows: TableRow[];
}
export interface Overview {
  title: string;
  id: string | null;
  content_type: string | null;
  data_type: string | null;
  size: number | null;
  digest: string | null;
  holders: string[];
  maker: Link | null;
  spec_user: unknown;
  info_user: unknown;
  path: string[];
}

export interface Inspection {
  overview: Overview;
  views: string[];
  view: string;
  page: unknown;
  note?: string | null;
}
export interface Piece { name: string; size: number; end: number }
export interface TextPage {
  encoding: string;
  offset: number;
  end: number;
  size: number;
  text: string;
}

export interface HexPage {
  offset: number;
  end: number;
  size: number;
  rows: [number, string, string][];
}

export interface TreeNode {
  label: string;
  kind: string;
  text: string;
  count: number | null;
  offset: number;
  children: TreeNode[] | null;
}

export interface TreePage {
  at: number[];
  node: TreeNode;
}

export interface TablePage {
  columns: { name: string; dtype: string }[];
  column: number; // the first one's number
  width: number; // columns in all
  index: string[];
  rows: string[][];
  offset: number;
  total: number | null;
  summary: [string, string][];
}

export interface ImagePage {
  mime: string;
  width: number;
  height: number;
}

export interface DirectoryEntry {
  name: string;
  kind: "file" | "dir" | "link";
  size: number | null;
  target: string | null;
}

export interface DirectoryPage {
  entries: DirectoryEntry[];
  offset: number;
  total: number;
}

export interface PicklePage {
  summary: [string, string][];
  opcodes: [string, number][];
  globals: string[];
}

export interface ValuePage { type: string; text?: string; table?: TablePage }
