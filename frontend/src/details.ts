// The panel beside the graph: all that is known of the selected task, object or group.

import { append, button, h, replace, setText } from "./dom.js";
import { bytes, clock, count, many, seconds } from "./format.js";
import { sortedCounts } from "./graph/labels.js";
import { inspectorElement } from "./inspector/index.js";
import type { Details, GroupDetails, Link, ObjectDetails, TaskDetails } from "./protocol.js";
import type { SessionStore } from "./store.js";

const OUTPUT_MS = 1000;
const SOON_MS = 150;
const NOT_STARTED = ["waiting", "ready"];

type Open = (key: string) => void;

export class DetailsPanel {
  readonly element = h("aside", { class: "rain-details rain-hidden", "aria-label": "details", tabindex: -1 });
  private readonly body = h("div", { class: "rain-details-body" });
  private readonly heading = h("div", { class: "rain-details-head" });
  // Sections by title: whether the user wants them open.
  private readonly wanted = new Map<string, boolean>([["source", true], ["output", true], ["error", true]]);
  private shown: Details | null = null;
  private before: HTMLElement | SVGElement | null = null;
  private asked = 0;
  private soon: ReturnType<typeof setTimeout> | undefined;
  private outputTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly output = h("div", { class: "rain-output" });
  private outputOf: string | null = null;
  private preview: { key: string; element: ReturnType<typeof inspectorElement> } | null = null;
  private readonly off: () => void;

  constructor(
    private readonly store: SessionStore,
    private readonly open: Open,
  ) {
    this.element.append(this.heading, this.body);
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.store.select(null);
    });
    this.off = store.subscribe((change) => {
      const key = store.selected;
      if (change.selection) this.show(key);
      else if (key !== null && (change.everything || change.status.has(key))) this.later();
      else if (change.topology && this.shown?.kind === "group") this.later();
    });
    this.show(store.selected);
  }

  dispose(): void {
    this.off();
    this.quiet();
  }

  private quiet(): void {
    clearTimeout(this.soon);
    clearTimeout(this.outputTimer);
    this.outputOf = null;
    this.preview?.element.dispose();
    this.preview = null;
  }

  private show(key: string | null): void {
    this.quiet();
    this.shown = null;
    this.asked++;
    const root = this.element.getRootNode() as Document | ShadowRoot;
    const focused = root.activeElement instanceof Element ? root.activeElement : null;
    const within = this.element.contains(focused);
    if (!within) this.before = focused as HTMLElement | SVGElement | null;
    this.element.classList.toggle("rain-hidden", key === null);
    if (key === null) {
      // Where the reader came from.
      if (within) this.before?.focus({ preventScroll: true });
      return replace(this.body);
    }
    this.drawHead(this.store.label(key), this.store.status.get(key)?.s ?? "", "");
    replace(this.body, h("div", { class: "rain-muted" }, "…"));
    void this.ask(key);
  }

  private later(): void {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      if (this.store.selected !== null) void this.ask(this.store.selected);
    }, SOON_MS);
  }

  private async ask(key: string): Promise<void> {
    const asked = ++this.asked;
    try {
      const { data } = await this.store.request<Details>("details", { key });
      if (asked === this.asked) this.draw(data);
    } catch (error) {
      if (asked !== this.asked) return;
      replace(this.body, h("div", { class: "rain-bad" }, error instanceof Error ? error.message : String(error)));
    }
  }

  private draw(details: Details): void {
    this.shown = details;
    const scrolled = this.body.scrollTop;
    if (details.kind === "task") this.drawTask(details);
    else if (details.kind === "object") this.drawObject(details);
    else this.drawGroup(details);
    this.body.scrollTop = scrolled;
  }

  private drawHead(title: string, state: string, under: string): void {
    const look = this.store.look(state);
    replace(
      this.heading,
      state && h("span", { class: "rain-swatch", "data-s": state, title: look.word }, look.mark),
      h("span", { class: "rain-details-title" }, h("b", null, title), h("span", { class: "rain-muted" }, under)),
      button("×", "close (Escape)", () => this.store.select(null), "rain-square"),
    );
  }

  // Pieces

  private section(title: string, ...children: (Node | null)[]): HTMLDetailsElement {
    const element = h(
      "details",
      {
        class: "rain-section",
        open: this.wanted.get(title) ?? false,
        toggle: () => this.wanted.set(title, element.open),
      },
      h("summary", null, title),
      ...children,
    );
    return element;
  }

  private facts(facts: Record<string, string | number | null | undefined>): HTMLElement | null {
    const list = h("dl", { class: "rain-facts" });
    for (const [name, value] of Object.entries(facts)) {
      if (value !== null && value !== undefined && value !== "") append(list, h("dt", null, name), h("dd", null, value));
    }
    return list.children.length ? list : null;
  }

  private values(title: string, value: unknown): HTMLElement | null {
    const empty = value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);
    if (empty) return null;
    if (typeof value !== "object" || Array.isArray(value)) return this.facts({ [title]: written(value) });
    const list = Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, written(one)]));
    return h("div", null, h("h4", null, title), this.facts(list));
  }

  private links(title: string, links: Link[]): HTMLElement | null {
    if (!links.length) return null;
    const list = h("ul", { class: "rain-links" });
    for (const link of links) append(list, h("li", null, link.label && h("span", { class: "rain-muted" }, link.label), this.link(link)));
    return h("div", null, h("h4", null, links.length > 6 ? `${title} (${count(links.length)})` : title), list);
  }

  private link(link: { key: string; title: string; state?: string }): HTMLElement {
    const look = link.state === undefined ? null : this.store.look(link.state);
    return h(
      "button",
      { type: "button", class: "rain-link", title: look?.word ?? "", click: () => this.open(link.key) },
      look && h("span", { class: "rain-swatch", "data-s": link.state }, look.mark),
      h("span", { class: "rain-ellipsis" }, link.title),
    );
  }

  private act(text: string, title: string, type: string, key: string, kind = ""): HTMLButtonElement {
    const element = button(
      text,
      title,
      () => {
        element.disabled = true;
        this.store.request(type, { key }).then(
          () => this.later(),
          (error: unknown) => {
            element.disabled = false;
            element.after(h("span", { class: "rain-bad" }, error instanceof Error ? error.message : String(error)));
          },
        );
      },
      kind,
    );
    return element;
  }

  // Tasks

  private drawTask(task: TaskDetails): void {
    this.drawHead(task.title, task.state, `task ${task.id} · ${task.type}`);
    const status = this.store.status.get(task.key);
    const info = task.info ?? {};
    const started = typeof info["start"] === "number" ? info["start"] : (status?.t ?? null);
    const actions = h(
      "div",
      { class: "rain-row" },
      task.can_cancel && this.act("cancel", "cancel this task", "cancel", task.key, "rain-danger"),
      task.can_retry && this.act("↻ retry", "run it once more", "retry", task.key),
      NOT_STARTED.includes(task.state) && this.explain(task.key),
    );
    replace(
      this.body,
      actions.children.length > 0 && actions,
      task.error !== null && this.section("error", h("pre", { class: "rain-pre rain-bad" }, task.error)),
      task.hints.length > 0 && h("ul", { class: "rain-hints" }, ...task.hints.map((hint) => h("li", null, hint))),
      this.facts({
        state: this.store.look(task.state).word,
        took: seconds(numeric(info["duration"])),
        started: started === null ? null : clock(started),
        governor: textual(info["governor"]),
        attempts: numeric(info["attempts"]),
        made: task.made,
      }),
      this.links("inputs", task.inputs),
      this.links("outputs", task.outputs),
      this.outputSection(task),
      task.source && this.section("source", this.source(task.source)),
      hasContent(info["debug"]) && this.section("debug", h("pre", { class: "rain-pre" }, written(info["debug"]))),
      this.more(task, info),
    );
  }

  private more(task: TaskDetails, info: Record<string, unknown>): HTMLElement | null {
    const parts = [
      this.values("resources", task.resources),
      this.values("options", task.options),
      this.values("spec.user", task.user),
      this.values("info.user", info["user"]),
      hasContent(task.stack) ? h("pre", { class: "rain-pre" }, written(task.stack)) : null,
    ].filter((part) => part !== null);
    return parts.length ? this.section("more", ...parts) : null;
  }

  private source(source: NonNullable<TaskDetails["source"]>): HTMLElement {
    const pre = h("pre", { class: "rain-pre rain-source" });
    source.text.replace(/\n$/, "").split("\n").forEach((line, i) => {
      append(pre, h("span", { class: "rain-line", "data-n": source.first_line + i }, line), "\n");
    });
    return h("div", null, h("div", { class: "rain-muted" }, source.where), pre);
  }

  private explain(key: string): HTMLElement {
    const answer = h("span", { class: "rain-muted", role: "status" });
    const ask = button("why not yet?", "ask the server what it waits for", () => {
      this.store.request<{ text: string }>("explain", { key }).then(
        ({ data }) => setText(answer, data.text),
        (error: unknown) => setText(answer, String(error instanceof Error ? error.message : error)),
      );
    });
    return h("span", { class: "rain-row" }, ask, answer);
  }

  // What a running task writes is asked for again and again, while the section is open.
  private outputSection(task: TaskDetails): HTMLDetailsElement | null {
    if (["new", ...NOT_STARTED].includes(task.state)) return null;
    const section = this.section("output", this.output);
    // The event comes once for the section's first state too.
    let before = section.open;
    section.addEventListener("toggle", () => {
      if (section.open && !before) this.watchOutput(task.key);
      before = section.open;
    });
    if (this.outputOf !== task.key) replace(this.output, h("div", { class: "rain-muted" }, "…"));
    if (section.open) this.watchOutput(task.key);
    return section;
  }

  private watchOutput(key: string): void {
    clearTimeout(this.outputTimer);
    this.outputOf = key;
    const again = async () => {
      try {
        const { data } = await this.store.request<{ stdout: string; stderr: string }>("output", { key });
        if (this.outputOf === key) this.drawOutput(data);
      } catch (error) {
        if (this.outputOf === key) setText(this.output, error instanceof Error ? error.message : String(error));
      }
      const task = this.shown;
      if (this.outputOf !== key || task?.kind !== "task" || task.state !== "running") return;
      if (this.wanted.get("output") !== false) this.outputTimer = setTimeout(() => void again(), OUTPUT_MS);
    };
    void again();
  }

  private drawOutput(output: { stdout: string; stderr: string }): void {
    const part = (name: string, text: string) =>
      text && h("div", null, h("div", { class: "rain-muted" }, name), h("pre", { class: "rain-pre", "data-stream": name }, text));
    const parts = [part("stdout", output.stdout), part("stderr", output.stderr)].filter((one) => one !== "");
    if (!parts.length) return setText(this.output, "it wrote nothing");
    const pre = this.output.querySelector("pre");
    const below = pre ? pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 4 : true;
    replace(this.output, ...parts);
    const now = this.output.querySelector("pre");
    if (now && below) now.scrollTop = now.scrollHeight;
  }

  // Objects

  private drawObject(object: ObjectDetails): void {
    this.drawHead(object.title, object.state, `object ${object.id}`);
    if (this.preview && this.preview.key !== object.key) this.quiet();
    if (object.can_inspect && !this.preview) {
      const { key } = object;
      const element = inspectorElement(
        (parameters) => this.store.request("inspect", { ...parameters, key }),
        (parameters) => this.store.request("download", { ...parameters, key }),
      );
      this.preview = { key, element };
    }
    replace(
      this.body,
      this.facts({
        state: this.store.look(object.state).word + (object.kept ? ", kept" : ""),
        content: object.content_type,
        data: object.data_type,
        size: bytes(object.size),
        "held by": object.holders.join(", "),
        digest: object.digest,
      }),
      object.maker && this.links("made by", [object.maker]),
      this.links("used by", object.users),
      this.values("spec.user", object.spec_user),
      this.values("info.user", object.info_user),
      object.can_inspect ? (this.preview?.element ?? null) : object.why_not && h("div", { class: "rain-muted" }, object.why_not),
    );
  }

  // Groups

  private drawGroup(group: GroupDetails): void {
    const framed = this.store.topology.frames.some((frame) => frame.key === group.key);
    this.drawHead(group.title, this.store.status.get(group.key)?.s ?? "", "group");
    const total = Object.values(group.counts).reduce((sum, n) => sum + n, 0);
    const counts = sortedCounts(group.counts).map(([state, n]) => [this.store.look(state).word, count(n)]);
    const failed = group.failed.map((one) =>
      h("li", null, this.link({ ...one, state: "failed" }), one.error && h("div", { class: "rain-bad rain-small" }, one.error)),
    );
    replace(
      this.body,
      h(
        "div",
        { class: "rain-row" },
        framed
          ? this.act("close group", "draw it as one node", "close", group.key)
          : this.act("open group", "draw what is inside", "open", group.key),
        (group.counts["failed"] ?? 0) > 0 && this.act("↻ retry failed", "run its failed tasks once more", "retry", group.key),
        total > 0 && sortedCounts(group.counts).some(([state]) => ["waiting", "ready", "running"].includes(state)) &&
          this.act("cancel", "cancel its unfinished tasks", "cancel", group.key, "rain-danger"),
      ),
      this.facts({ tasks: many(total, "task"), objects: many(group.objects, "object"), "all took": seconds(group.seconds) }),
      this.facts(Object.fromEntries(counts)),
      failed.length > 0 && h("div", null, h("h4", null, "failed"), h("ul", { class: "rain-links" }, ...failed)),
    );
  }
}

function written(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join("\n");
  return JSON.stringify(value, null, 1) ?? "";
}

function hasContent(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && !value.length);
}

const numeric = (value: unknown): number | null => (typeof value === "number" ? value : null);
const textual = (value: unknown): string | null => (typeof value === "string" ? value : null);
