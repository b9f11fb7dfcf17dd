// The page: one model, and as many views of it as asked for, through the real loader.

import { FakeModel } from "./fake.js";

const wanted = new URLSearchParams(location.search);
const model = new FakeModel({
  nodes: Number(wanted.get("nodes") ?? 20),
  live: wanted.get("live") !== "0",
  kind: wanted.get("kind") ?? "session",
});
document.body.dataset["jpThemeLight"] = String(wanted.get("theme") !== "dark");

const loader = (await import(new URL("static/loader.js", location.href).href)) as {
  default: () => { initialize(_: unknown): void; render(_: unknown): () => void };
};
const widget = loader.default();
widget.initialize({ model });
for (let i = 0; i < Number(wanted.get("views") ?? 1); i++) {
  const cell = document.createElement("div");
  cell.className = "cell";
  document.body.append(cell);
  widget.render({ model, el: cell });
}

// Longest time between two frames.
const watch = { longest: 0, last: performance.now() };
const tick = (now: number) => {
  watch.longest = Math.max(watch.longest, now - watch.last);
  watch.last = now;
  requestAnimationFrame(tick);
};
requestAnimationFrame(tick);
Object.assign(globalThis, { model, watch });
