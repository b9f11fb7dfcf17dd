// The views of an inspector: their type, and what each of them is given.

import type { ComponentType } from "preact";
import type { Answer } from "../port.js";
import type { Download, Inspect, InspectionAnswer, Overview, Page, Piece } from "../protocol.js";

export type Downloads = (asked: Download) => Promise<Answer<Piece>>;

// The kernel's side of an inspector.
export interface Inspected {
  inspect(asked: Inspect): Promise<Answer<InspectionAnswer>>;
  // Missing where only the beginning of the data is at hand.
  download?: Downloads;
}

type View = Page["view"];
type PageOf<V extends View> = Extract<Page, { view: V }>;

// What a view may do: ask for more of the same data, and tell what went wrong.
export interface Scope {
  readonly path: string[];
  readonly overview: Overview;
  readonly views: string[];
  ask<P extends Page>(asked: Inspect): Promise<P>;
  // A folder's listing, also if something else is open.
  list(path: string[], offset: number, named?: string): Promise<PageOf<"directory">>;
  open(path: string[]): void;
  turn(view: string): void;
  // Shows what is to be said of what is shown now, or nothing.
  note(text: string): void;
  // Shows what went wrong; null takes that away.
  trouble(error: unknown): void;
}

// `page` is the first one, which came with the view; it never changes while the view is shown.
export interface ViewProps<P> {
  scope: Scope;
  page: P;
  buffers: DataView[];
}

// A component for each view that the kernel knows.
export type Viewers = { [V in View]: ComponentType<ViewProps<PageOf<V>>> };
