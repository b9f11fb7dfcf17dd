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

export interface TaskDetails {
  kind: "task";
  key: string;
  id: string;
  title: string;
  state: string;
  type: string;
  made: string | null;
  stack: unknown;
  source: { text: string; where: string; first_line: number } | null;
  inputs: Link[];
  outputs: Link[];
  resources: unknown;
  options: unknown;
  user: unknown;
  info: Record<string, unknown> | null;
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

// The tabs of a session view (src/tabs/): made once, shown and hidden often; they ask nothing while hidden.
export interface Tab {
  element: HTMLElement;
  show(): void;
  hide(): void;
  dispose(): void;
}

export interface TabHost {
  // Selects and opens the details panel.
  open(key: string): void;
  // Says it to those who listen rather than look.
  announce(text: string): void;
  // The hover card of something, near a point of the window; null hides it.
  tooltip(key: string | null, clientX?: number, clientY?: number): void;
}
