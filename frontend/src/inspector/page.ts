// What the kernel says of a piece of data; docs/notebook.md explains it.

import type { Answer, Parameters } from "../port.js";

export interface Overview {
  title: string;
  id: string | null;
  content_type: string | null;
  data_type: string | null;
  size: number | null;
  digest: string | null;
  holders: string[] | null;
  maker: unknown;
  spec_user: unknown;
  info_user: unknown;
  path: string[];
}

export interface Inspection<P = unknown> {
  overview: Overview;
  views: string[];
  view: string;
  page: P;
  note?: string | null;
}

export type Ask = (parameters: Parameters) => Promise<Answer<unknown>>;

// What a view may do: ask for more of the same thing in the same view, and say what went wrong.
export interface Scope {
  readonly path: string[];
  readonly view: string;
  readonly overview: Overview;
  ask<P>(parameters: Parameters): Promise<{ page: P; buffers: DataView[] }>;
  // A folder's listing, whatever is open.
  list<P>(path: string[], offset: number): Promise<P>;
  open(path: string[]): void;
  turn(view: string): void;
  // Shows or (with null) takes away a sentence about trouble.
  trouble(error: unknown): void;
  // Called when something else is shown.
  onLeave(clean: () => void): void;
}

export type View = (scope: Scope, page: never, buffers: DataView[]) => HTMLElement;

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
  index: (string | number)[];
  rows: string[][];
  offset: number;
  total: number | null;
  summary: [string, string][];
}

export interface ImagePage {
  mime: string;
  width?: number;
  height?: number;
}

export interface Entry {
  name: string;
  kind: "file" | "dir" | "link";
  size: number | null;
  target: string | null;
}

export interface DirectoryPage {
  entries: Entry[];
  offset: number;
  total: number;
}

export interface PicklePage {
  summary: [string, string][];
  opcodes: [string, number][];
  globals: string[];
}

export type ValuePage = { type: string; text: string } | (TablePage & { type: string });
