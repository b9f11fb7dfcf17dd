// The search box of a graph: a regular expression, what it finds, and the first finds to go to.

import { append, h, replace, setText } from "../dom.js";
import { many } from "../format.js";
import type { Found } from "../protocol.js";
import type { SessionStore } from "../store.js";

const PAUSE_MS = 200;

export class Search {
  readonly element: HTMLElement;
  readonly input = h("input", {
    type: "search",
    class: "rain-input",
    placeholder: "search  /regex/",
    "aria-label": "search tasks and objects by a regular expression",
    spellcheck: "false",
    input: () => this.later(),
    keydown: (event: KeyboardEvent) => this.key(event),
    focus: () => this.list.classList.remove("rain-hidden"),
  });
  private readonly count = h("span", { class: "rain-muted", role: "status" });
  private readonly list = h("div", { class: "rain-hits rain-hidden", role: "list" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked = 0;

  constructor(
    private readonly store: SessionStore,
    private readonly found: (keys: string[] | null) => void,
    private readonly open: (key: string) => void,
  ) {
    const box = h("span", { class: "rain-search" }, this.input, this.list);
    this.element = h("span", { class: "rain-row", focusout: (event: FocusEvent) => this.left(event) }, box, this.count);
  }

  get pattern(): string {
    return this.input.value;
  }

  clear(): void {
    this.input.value = "";
    this.later(0);
  }

  again(): void {
    if (this.pattern) this.later();
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private later(pause = PAUSE_MS): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), pause);
  }

  private left(event: FocusEvent): void {
    if (!this.element.contains(event.relatedTarget as Element | null)) this.list.classList.add("rain-hidden");
  }

  private key(event: KeyboardEvent): void {
    event.stopPropagation();
    const hit = this.list.querySelector("button");
    if (event.key === "Escape") {
      this.clear();
      this.input.blur();
    } else if (event.key === "Enter") hit?.click();
    else if (event.key === "ArrowDown") hit?.focus();
    else return;
    event.preventDefault();
  }

  private async run(): Promise<void> {
    const asked = ++this.asked;
    const { pattern } = this;
    this.input.removeAttribute("aria-invalid");
    if (!pattern) {
      setText(this.count, "");
      replace(this.list);
      this.found(null);
      return;
    }
    try {
      const { data } = await this.store.request("search", { pattern });
      if (asked === this.asked) this.show(data);
    } catch (error) {
      if (asked !== this.asked) return;
      this.input.setAttribute("aria-invalid", "true");
      setText(this.count, error instanceof Error ? error.message : String(error));
      replace(this.list);
      this.found(null);
    }
  }

  private show(found: Found): void {
    const parts = [found.tasks && many(found.tasks, "task"), found.objects && many(found.objects, "object")];
    setText(this.count, parts.filter(Boolean).join(", ") || "nothing");
    replace(this.list);
    for (const { key, title } of found.first) {
      const hidden = this.store.nodes.has(key) ? "" : "in a closed group";
      append(
        this.list,
        h(
          "button",
          { type: "button", class: "rain-hit", role: "listitem", click: () => this.go(key) },
          h("span", { class: "rain-ellipsis" }, title),
          hidden && h("span", { class: "rain-muted" }, hidden),
        ),
      );
    }
    this.found(found.keys);
  }

  private go(key: string): void {
    this.list.classList.add("rain-hidden");
    this.open(key);
  }
}
