// All that a widget carries in its `_esm`: the way to the kernel, and how the app comes over it, once per page.

import { addRenderer, type Manager } from "./jupyter-quirks.js";
import { BUSY_MS, makePort, type Model } from "./kernel-port.js";
import type { Attached, Port } from "./port.js";

interface App {
  attach(port: Port): Attached;
}

// Builds of the app that this page has, or is getting.
const page = globalThis as { rainNotebookApps?: Record<string, Promise<App>> };
const apps = (page.rainNotebookApps ??= {});

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
