// The way to the kernel, as the loader makes it and the app uses it.

import type { Answers, Geometry, Requests, Updates } from "./protocol.js";

export interface Answer<T> {
  data: T;
  buffers: DataView[];
}

export type RequestName = keyof Requests;

// What the kernel pushes, and two events of the loader's own: "busy" (true when a request has had no answer for a while,
// false when something came) and "lost" (the widget has no kernel any more).
export interface Events extends Updates {
  busy: boolean;
  lost: boolean;
}

export type Parameters<K extends RequestName> = Requests[K] extends Record<string, never> ? [] : [parameters: Requests[K]];

export interface Filed {
  // Where everything of the topology with that number is.
  placed(number: number): Geometry | null;
  // Whether there is a drawing of what is in a group.
  opens(key: string): boolean;
}

export interface Port {
  readonly kind: string;
  // What manages the widgets of the page; only jupyter-quirks knows more of it.
  readonly manager?: unknown;
  // What there is instead of a kernel, in a report: nothing can be done then, and graphs are laid out already.
  readonly file?: Filed;
  request<K extends RequestName>(type: K, ...parameters: Parameters<K>): Promise<Answer<Answers[K]>>;
  on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void): () => void;
}

export interface Attached {
  mount(element: HTMLElement): () => void;
}
