// Announcements for screen readers: tasks that failed, and what tabs announce.

import { h, setText } from "../dom.js";
import type { Change, SessionStore } from "../store.js";

const PAUSE_MS = 1500;
const TOLD_AT_ONCE_MAX = 3;

export class Announcer {
  readonly element = h("div", { class: "rain-live-region", role: "status", "aria-live": "polite" });
  private readonly failed = new Set<string>();
  private waiting: string[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly off: () => void;

  constructor(private readonly store: SessionStore) {
    for (const [key, status] of store.status) if (status.state === "failed") this.failed.add(key);
    this.off = store.subscribe((change) => this.changed(change));
  }

  dispose(): void {
    this.off();
    clearTimeout(this.timer);
  }

  // Texts that come within a pause are announced together, and only the first ones.
  announce(text: string): void {
    this.waiting.push(text);
    this.timer ??= setTimeout(() => {
      const more = this.waiting.length - TOLD_AT_ONCE_MAX;
      setText(this.element, this.waiting.slice(0, TOLD_AT_ONCE_MAX).join("; ") + (more > 0 ? `, and ${more} more` : ""));
      this.waiting = [];
      this.timer = undefined;
    }, PAUSE_MS);
  }

  private changed(change: Change): void {
    for (const key of change.status) {
      const status = this.store.status.get(key);
      if (status?.state !== "failed") this.failed.delete(key);
      else if (!this.failed.has(key)) {
        this.failed.add(key);
        if (!change.everything) this.announce(`${this.store.label(key)} failed: ${status.error ?? ""}`);
      }
    }
  }
}
