// All that a widget carries in its `_esm`: the way to the kernel, and how the app comes over it, once per page.

import type { Answer, Attached, Events, Port, RequestName } from "./port.js";
import type { Answers } from "./protocol.js";
import { addRenderer, type Manager } from "./jupyter-quirks.js";

interface Model {
  get(name: string): unknown;
  send(content: unknown, callbacks?: unknown, buffers?: unknown): unknown;
  on(name: string, handler: (...parameters: never[]) => void): void;
  widget_manager?: unknown;
}

interface Message {
  type: string;
  request: number;
  data: unknown;
  error?: string;
  event: string;
}

interface App {
  attach(port: Port): Attached;
}

const BUSY_MS = 2000;

// Builds of the app that this page has, or is getting.
const page = globalThis as { rainNotebookApps?: Record<string, Promise<App>> };
const apps = (page.rainNotebookApps ??= {});

function makePort(model: Model): Port {
  const waiting = new Map<number, { resolve(answer: Answer<never>): void; reject(error: Error): void }>();
  const handlers = new Map<string, Set<(data: unknown) => void>>();
  let number = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  let gone: Error | null = null;
  const emit = (event: string, data: unknown) => handlers.get(event)?.forEach((handler) => handler(data));
  const watch = () => {
    clearTimeout(timer);
    if (busy) emit("busy", (busy = false));
    if (waiting.size) timer = setTimeout(() => emit("busy", (busy = true)), BUSY_MS);
  };
  model.on("msg:custom", (message: Message, buffers: DataView[]) => {
    if (message.type === "reply") {
      const request = waiting.get(message.request);
      waiting.delete(message.request);
      if (message.error === undefined) request?.resolve({ data: message.data as never, buffers: buffers ?? [] });
      else request?.reject(new Error(message.error));
    } else if (message.type === "push") emit(message.event, message.data);
    watch();
  });
  model.on("comm:close", () => {
    clearTimeout(timer);
    emit("lost", true);
    gone = new Error("the kernel of this widget has gone");
    for (const request of waiting.values()) request.reject(gone);
    waiting.clear();
  });
  return {
    kind: String(model.get("kind")),
    manager: model.widget_manager,
    request: <K extends RequestName>(type: K, parameters?: object) =>
      new Promise<Answer<Answers[K]>>((resolve, reject) => {
        if (gone) return reject(gone);
        const request = ++number;
        waiting.set(request, { resolve, reject });
        try {
          model.send({ ...parameters, type, request });
        } catch (error) {
          waiting.delete(request);
          reject(error as Error);
        }
        if (waiting.size === 1) watch();
      }),
    on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void) {
      const known = handler as (data: unknown) => void;
      if (!handlers.has(event)) handlers.set(event, new Set());
      handlers.get(event)?.add(known);
      return () => handlers.get(event)?.delete(known);
    },
  };
}

async function ask(port: Port): Promise<App> {
  const [bytes] = (await port.request("asset", { name: "app.js" })).buffers;
  const url = URL.createObjectURL(new Blob([bytes as DataView<ArrayBuffer>], { type: "text/javascript" }));
  try {
    return (await import(url)) as App;
  } finally {
    URL.revokeObjectURL(url);
  }
}

// Another model's kernel may have gone while it was asked, so its answer is not waited for for ever.
async function load(port: Port, build: string): Promise<App> {
  const own = () => (apps[build] = ask(port));
  const late = new Promise<null>((resolve) => setTimeout(resolve, BUSY_MS, null));
  return (await Promise.race([(apps[build] ?? own()).catch(() => null), late])) ?? own();
}

// `initialize` must not wait for the kernel: messages are handed over only after it.
export default () => {
  let port: Port;
  let attached: Promise<Attached>;
  return {
    initialize({ model }: { model: Model }) {
      port = makePort(model);
      addRenderer(model.widget_manager as Manager | undefined);
      attached = load(port, String(model.get("build"))).then((app) => app.attach(port));
      attached.catch(() => undefined);
    },
    render({ el }: { el: HTMLElement }) {
      const note = document.createElement("div");
      note.style.opacity = "0.7";
      const off = port.on("busy", (busy) => (note.textContent = busy ? "the kernel is busy …" : ""));
      el.append(note);
      let unmount: (() => void) | null = null;
      let gone = false;
      attached.then(
        (app) => {
          off();
          note.remove();
          if (!gone) unmount = app.mount(el);
        },
        (error: unknown) => (note.textContent = `Rain cannot be shown: ${error instanceof Error ? error.message : error}`),
      );
      return () => {
        gone = true;
        off();
        unmount?.();
      };
    },
  };
};
