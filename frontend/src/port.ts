// The way to the kernel, as the loader makes it and the app uses it.

export interface Answer<T> {
  data: T;
  buffers: DataView[];
}

export type Parameters = Record<string, unknown>;

// Events are those that the kernel pushes ("delta") and two of the loader's own: "busy" (true when a request has had no
// answer for a while, false when something came) and "lost" (the widget has no kernel any more).
export interface Port {
  readonly kind: string;
  // Who manages the widgets of the page, whatever that is.
  readonly manager?: unknown;
  request<T = unknown>(type: string, parameters?: Parameters): Promise<Answer<T>>;
  on(event: string, handler: (data: unknown) => void): () => void;
}

export interface Attached {
  mount(element: HTMLElement): () => void;
}
