// The hover card, from what the browser already knows.

import { append, h, replace } from "../dom.js";
import { facts } from "../graph/labels.js";
import type { SessionStore } from "../store.js";
import { NOT_STARTED, watchReason } from "./why.js";

const GAP = 14;

export class Tooltip {
  readonly element = h("div", { class: "rain-tooltip rain-hidden", "aria-hidden": "true" });
  private key: string | null = null;
  private at: [number, number] = [0, 0];
  private reason: { key: string; sentence: string; stop: () => void } | null = null;
  private readonly off: () => void;

  constructor(
    private readonly store: SessionStore,
    private readonly home: HTMLElement,
  ) {
    this.off = store.subscribe((change) => {
      if (this.key === null) return;
      if (change.selection && store.selected !== null) return this.show(null);
      if (!store.nodes.has(this.key)) this.show(null);
      else if (change.status.has(this.key)) {
        this.watch();
        this.draw();
      }
    });
  }

  show(key: string | null, clientX = 0, clientY = 0): void {
    this.key = key !== null && this.store.nodes.has(key) ? key : null;
    this.at = [clientX, clientY];
    this.element.classList.toggle("rain-hidden", this.key === null);
    this.watch();
    if (this.key !== null) this.draw();
  }

  dispose(): void {
    this.off();
    this.reason?.stop();
  }

  // Of a task that has not started the card says why, and goes on asking.
  private watch(): void {
    const { key } = this;
    const state = key === null ? "" : (this.store.status.get(key)?.state ?? "");
    const waits = key !== null && this.store.nodes.get(key)?.kind === "task" && NOT_STARTED.includes(state);
    if (this.reason && (!waits || this.reason.key !== key)) {
      this.reason.stop();
      this.reason = null;
    }
    if (!waits || key === null || this.reason) return;
    const reason = { key, sentence: "", stop: () => undefined as void };
    this.reason = reason;
    reason.stop = watchReason(this.store, key, ({ sentence }) => {
      reason.sentence = sentence;
      if (this.reason === reason && this.key === key) this.draw();
    });
  }

  private draw(): void {
    const node = this.store.nodes.get(this.key as string);
    if (!node) return;
    const status = this.store.status.get(node.key);
    const look = this.store.look(status?.state ?? "new");
    replace(
      this.element,
      h(
        "div",
        { class: "rain-tooltip-title" },
        h("span", { class: "rain-swatch", "data-s": status?.state ?? "new" }, look.mark),
        h("b", null, node.label.slice(0, 300)),
        h("span", { class: "rain-muted" }, look.word),
      ),
    );
    for (const [name, value] of facts(this.store, node, status)) {
      const kind = name === "error" ? "rain-fact rain-bad" : "rain-fact";
      append(this.element, h("div", { class: kind }, h("span", { class: "rain-muted" }, name), h("span", null, value)));
    }
    if (this.reason?.sentence) append(this.element, h("div", { class: "rain-tooltip-why" }, this.reason.sentence));
    this.place();
  }

  private place(): void {
    const home = this.home.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const [x, y] = [this.at[0] - home.left, this.at[1] - home.top];
    const left = x + GAP + width > home.width ? Math.max(4, x - GAP - width) : x + GAP;
    const top = y + GAP + height > home.height ? Math.max(4, y - GAP - height) : y + GAP;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
  }
}
