// A slim bar at the foot of the notebook while a session runs and no view of it is in sight.

import { h, replace, setAttribute, setText } from "../dom.js";
import { count, seconds } from "../format.js";
import { sortedCounts } from "../graph/labels.js";
import { notebookAround } from "../jupyter-quirks.js";
import type { SessionStore } from "../store.js";
import { followTheme, injectLooks, injectStyle } from "../theme.js";

const TICK_MS = 1000;
const STAYS_MS = 10_000; // after the session has come to rest

// The strip of one session, whose views tell whether they are in sight.
export class Strip {
  private readonly views = new Map<HTMLElement, boolean>();
  private readonly bar = h("div", { class: "rain-progress" });
  private readonly text = h("span", { class: "rain-strip-text" });
  private readonly root = h(
    "div",
    { class: "rain rain-strip", role: "status" },
    h("button", { type: "button", class: "rain-strip-go", title: "back to its graph", click: () => this.goBack() }, this.text),
    this.bar,
    h("button", { type: "button", class: "rain-button rain-square", title: "put this away", "aria-label": "put this away", click: () => this.putAway() }, "×"),
  );
  private readonly observer: IntersectionObserver;
  private home: HTMLElement | null = null;
  private last: HTMLElement | null = null; // the view that was seen last
  private away = false;
  private rested: number | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private stop: (() => void) | null = null;
  private readonly off: () => void;

  constructor(private readonly store: SessionStore) {
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.seen(target as HTMLElement, isIntersecting);
    });
    this.off = store.subscribe((change) => {
      if (change.everything || change.summary) this.update();
    });
  }

  add(view: HTMLElement): () => void {
    this.views.set(view, true);
    this.last ??= view;
    this.observer.observe(view);
    return () => {
      this.views.delete(view);
      this.observer.unobserve(view);
      if (this.last === view) this.last = [...this.views.keys()].at(-1) ?? null;
      this.update();
    };
  }

  dispose(): void {
    this.off();
    this.observer.disconnect();
    this.hide();
  }

  private seen(view: HTMLElement, seen: boolean): void {
    if (!this.views.has(view)) return;
    if (seen) {
      this.last = view;
      this.away = false;
    }
    this.home = notebookAround(view) ?? this.home;
    this.views.set(view, seen);
    this.update();
  }

  private update(): void {
    const { ticking, tasks } = this.store.summary;
    if (ticking) this.rested = null;
    else this.rested ??= performance.now();
    const fresh = this.rested === null || (this.root.isConnected && performance.now() - this.rested < STAYS_MS);
    const looked = [...this.views.values()].some(Boolean);
    if (!this.views.size || looked || this.away || !fresh || !this.home?.isConnected) return this.hide();
    if (!this.root.isConnected) this.show(this.home);
    const counts = sortedCounts(tasks);
    const whole = counts.reduce((sum, [, n]) => sum + n, 0);
    const words = counts.filter(([state]) => state !== "finished").map(([state, n]) => `${count(n)} ${this.store.look(state).word}`);
    const done = `${count(tasks["finished"] ?? 0)} of ${count(whole)} finished`;
    const took = seconds(this.store.elapsed());
    setText(this.text, [this.store.session.name || "session", done, ...words, took].filter(Boolean).join(" · "));
    replace(
      this.bar,
      ...counts.map(([state, n]) => {
        const part = h("span", { "data-s": state });
        part.style.flexGrow = String(n);
        return part;
      }),
    );
    setAttribute(this.root, "aria-label", `progress of ${this.store.session.name || "the session"}`);
  }

  private show(home: HTMLElement): void {
    home.append(this.root);
    injectStyle(this.root);
    injectLooks(this.root, this.store.looks);
    this.stop = followTheme(this.root);
    this.timer = setInterval(() => this.update(), TICK_MS);
  }

  private hide(): void {
    clearInterval(this.timer);
    this.stop?.();
    this.stop = null;
    this.root.remove();
  }

  private putAway(): void {
    this.away = true;
    this.hide();
  }

  private goBack(): void {
    this.last?.scrollIntoView({ block: "center", behavior: "smooth" });
  }
}
