// What the views of an inspector are given, and what they are.

import type { ComponentType } from "preact";
import type { Answer, Parameters } from "../port.js";
import type { Overview } from "../protocol.js";

export type Ask = (parameters: Parameters) => Promise<Answer<unknown>>;

// The kernel's side of an inspector.
export interface Inspected {
  inspect: Ask;
  download: Ask;
}

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
}

// `page` is the first one, which came with the view; it never changes while the view is shown.
export interface ViewProps<P> {
  scope: Scope;
  page: P;
  buffers: DataView[];
}

export interface Viewer {
  // As rain/notebook/inspectors names it.
  name: string;
  View: ComponentType<ViewProps<never>>;
}
