// Above the tabs: the session's name, how far it is, and what can be done with all of it.

import { button, h, replace, setText } from "./dom.js";
import { count, seconds } from "./format.js";
import { sortedCounts } from "./graph/labels.js";
import type { SessionStore } from "./store.js";

const TICK_MS = 500;
const UNFINISHED = ["new", "waiting", "ready", "running"];

interface Tally {
  chip: HTMLElement;
  number: HTMLElement;
  part: HTMLElement;
}

export class Header {
  readonly element: HTMLElement;
  private readonly name = h("span", { class: "rain-name rain-ellipsis" });
  private readonly word = h("span", { class: "rain-word" });
  private readonly chips = h("span", { class: "rain-chips" });
  private readonly time = h("span", { class: "rain-time rain-muted" });
  private readonly note = h("span", { class: "rain-muted rain-busy", role: "status" });
  private readonly stuck = h("div", { class: "rain-tab-note rain-stuck", role: "status", hidden: true });
  private readonly bar = h("div", { class: "rain-progress", role: "progressbar", "aria-label": "finished tasks" });
  private readonly retry = button("↻ retry failed", "run the failed tasks once more", () => this.act("retry"));
  private readonly cancel = button("cancel", "cancel all tasks that are not finished", () => this.confirm(true));
  private readonly sure: HTMLElement;
  private timer: ReturnType<typeof setInterval> | undefined;
  private confirming = false;
  private tallies = new Map<string, Tally>();
  private order = "";
  private readonly offs: (() => void)[];

  constructor(private readonly store: SessionStore) {
    this.sure = h(
      "span",
      { class: "rain-row rain-hidden", role: "group", "aria-label": "cancel all unfinished tasks?" },
      h("span", null, "cancel all unfinished tasks?"),
      button("yes, cancel", "cancel them", () => this.act("cancel"), "rain-danger"),
      button("no", "leave them", () => this.confirm(false)),
    );
    this.element = h(
      "div",
      { class: "rain-header" },
      h("div", { class: "rain-title" }, this.name, this.word, this.chips, h("span", { class: "rain-space" })),
      this.bar,
      this.stuck,
    );
    this.element.firstElementChild?.append(this.note, this.time, this.retry, this.cancel, this.sure);
    this.offs = [
      store.subscribe((change) => {
        // Looks may be others.
        if (change.everything) [this.tallies, this.order] = [new Map(), ""];
        if (change.summary || change.session) this.draw();
      }),
      store.port.on("busy", (busy) => setText(this.note, busy ? "the kernel is busy …" : "")),
      store.port.on("lost", () => setText(this.note, "the kernel has gone")),
    ];
    this.draw();
  }

  dispose(): void {
    clearInterval(this.timer);
    for (const off of this.offs) off();
  }

  private draw(): void {
    const { session, summary } = this.store;
    setText(this.name, session.name || (session.id === null ? "session" : `session ${session.id}`));
    setText(this.word, this.store.trouble ?? session.word);
    this.word.dataset["word"] = this.store.trouble ? "lost" : session.word;
    this.word.title = session.note ?? "";
    // Of an open session the note says why nothing of it can go on.
    setText(this.stuck, session.note ?? "");
    this.stuck.hidden = session.word !== "open" || !session.note;
    this.drawCounts();
    const open = session.word === "open";
    const of = (states: string[]) => states.reduce((sum, state) => sum + (summary.tasks[state] ?? 0), 0);
    this.retry.classList.toggle("rain-hidden", !open || !of(["failed"]));
    if (!open || !of(UNFINISHED)) this.confirm(false);
    this.cancel.classList.toggle("rain-hidden", this.confirming || !open || !of(UNFINISHED));
    this.tick();
    clearInterval(this.timer);
    if (summary.ticking) this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  private drawCounts(): void {
    const { tasks } = this.store.summary;
    const counts = sortedCounts(tasks);
    const whole = counts.reduce((sum, [, n]) => sum + n, 0);
    const order = counts.map(([state]) => state).join();
    if (order !== this.order) {
      this.order = order;
      this.tallies = new Map(counts.map(([state]) => [state, this.tallies.get(state) ?? this.tally(state)]));
      replace(this.chips, ...[...this.tallies.values()].map(({ chip }) => chip));
      replace(this.bar, ...[...this.tallies.values()].map(({ part }) => part));
    }
    for (const [state, n] of counts) {
      const { chip, number, part } = this.tallies.get(state) as Tally;
      setText(number, count(n));
      chip.title = `${count(n)} ${this.store.look(state).word}`;
      part.style.flexGrow = String(n);
    }
    const finished = tasks["finished"] ?? 0;
    this.bar.setAttribute("aria-valuemin", "0");
    this.bar.setAttribute("aria-valuemax", String(whole));
    this.bar.setAttribute("aria-valuenow", String(finished));
    this.bar.setAttribute("aria-valuetext", `${count(finished)} of ${count(whole)} finished`);
  }

  private tally(state: string): Tally {
    const { mark, word } = this.store.look(state);
    const number = h("span");
    const chip = h("span", { class: "rain-chip", "data-s": state }, `${mark} `, number, h("i", null, ` ${word}`));
    return { chip, number, part: h("span", { "data-s": state }) };
  }

  private tick(): void {
    const elapsed = this.store.elapsed();
    const { remaining, ticking } = this.store.summary;
    let text = seconds(elapsed);
    if (ticking && remaining !== null) {
      const left = remaining - (performance.now() - this.store.summaryAt) / 1000;
      text += left > 0.5 ? ` · about ${seconds(left)} left` : " · nearly done";
    }
    setText(this.time, text);
  }

  private confirm(confirming: boolean): void {
    const had = this.confirming;
    this.confirming = confirming;
    this.sure.classList.toggle("rain-hidden", !confirming);
    this.cancel.classList.toggle("rain-hidden", confirming);
    if (confirming) this.sure.querySelector("button")?.focus();
    else if (had) this.cancel.focus();
  }

  private act(type: "cancel" | "retry"): void {
    this.confirm(false);
    this.store.request(type, { key: null }).catch((error: unknown) => {
      setText(this.note, `${type}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
}
