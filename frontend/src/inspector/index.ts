// The inspector: what a piece of data is, and pages of it in the view that suits it.

import { button, h, replace, setAttribute, setText } from "../dom.js";
import { bytes, count, visible } from "../format.js";
import type { Attached, Port } from "../port.js";
import { followTheme, injectStyle } from "../theme.js";
import { directoryView } from "./directory.js";
import { downloadButton } from "./download.js";
import { hexView } from "./hex.js";
import { imageView } from "./image.js";
import type { Ask, Inspection, Overview, Scope, View } from "./page.js";
import { items, pairs, words } from "./pairs.js";
import { crumbs, parent, samePath } from "./paths.js";
import { pickleView, valueView } from "./pickle.js";
import { tableView } from "./table.js";
import { textView } from "./text.js";
import { treeView } from "./tree.js";

const VIEWS: Record<string, View> = {
  text: textView,
  hex: hexView,
  tree: treeView,
  table: tableView,
  image: imageView,
  directory: directoryView,
  pickle: pickleView,
  value: valueView,
};
// What has a button of its own where it is offered, since it runs code.
const BY_CLICK_ONLY = "value";

export type InspectorElement = HTMLElement & { dispose(): void };

export function attachInspector(port: Port): Attached {
  return {
    mount(host) {
      const element = inspectorElement(
        (parameters) => port.request("inspect", parameters),
        (parameters) => port.request("download", parameters),
      );
      element.classList.add("rain");
      host.append(element);
      const theme = followTheme(element);
      // The element may not be in its document yet, and may be moved to another.
      const observer = new ResizeObserver(() => injectStyle(element));
      observer.observe(element);
      injectStyle(element);
      return () => {
        observer.disconnect();
        theme();
        element.dispose();
        element.remove();
      };
    },
  };
}

// An inspector that asks as it is told to; its owner calls `dispose` when it is taken away.
export function inspectorElement(ask: Ask, download: Ask): InspectorElement {
  const inspector = new Inspector(ask, download);
  return Object.assign(inspector.element, { dispose: () => inspector.dispose() });
}

class Inspector {
  readonly element: HTMLElement;
  private readonly title = h("span", { class: "rain-insp-title" });
  private readonly kind = h("span", { class: "rain-insp-kind" });
  private readonly facts = h("div", { class: "rain-insp-facts" });
  private readonly way = h("nav", { class: "rain-crumbs", "aria-label": "Path" });
  private readonly switches = h("div", { class: "rain-switch", role: "group", "aria-label": "View" });
  private readonly note = h("div", { class: "rain-insp-note", role: "status", hidden: true });
  private readonly error = h("div", { class: "rain-insp-error", role: "alert", hidden: true });
  private readonly body = h("div", { class: "rain-insp-body" }, h("div", { class: "rain-empty" }, "…"));
  private readonly saver: { element: HTMLElement; stop(): void };
  private path: string[] = [];
  private known = false; // something was drawn
  private number = 0; // of what is shown, so that late answers are not
  private leaving: (() => void)[] = [];

  constructor(
    private readonly ask: Ask,
    download: Ask,
  ) {
    this.saver = downloadButton(download, () => this.path, (error) => this.trouble(error));
    this.saver.element.hidden = true;
    this.element = h(
      "div",
      { class: "rain-inspector", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "rain-insp-head" }, this.title, this.kind, this.saver.element),
      this.facts,
      this.way,
      this.switches,
      this.error,
      this.note,
      this.body,
    );
    void this.show([], null);
  }

  dispose(): void {
    this.number++;
    this.saver.stop();
    this.leave();
  }

  private leave(): void {
    for (const clean of this.leaving) clean();
    this.leaving = [];
  }

  private async show(path: string[], view: string | null): Promise<void> {
    const number = ++this.number;
    this.element.setAttribute("aria-busy", "true");
    try {
      const { data, buffers } = await this.ask({ path, view });
      if (number !== this.number) return;
      if (!samePath(path, this.path)) this.saver.stop();
      this.path = path;
      this.draw(data as Inspection, buffers);
      this.trouble(null);
    } catch (error) {
      if (number !== this.number) return;
      this.trouble(error);
      const again = button("Ask again", "Ask the kernel once more", () => void this.show(path, view));
      if (!this.known) replace(this.body, h("div", { class: "rain-empty" }, again));
    } finally {
      if (number === this.number) this.element.removeAttribute("aria-busy");
    }
  }

  private draw(inspection: Inspection, buffers: DataView[]): void {
    const { overview, view, views, page } = inspection;
    this.leave();
    this.known = true;
    this.saver.element.hidden = view === "directory"; // only files have bytes of their own
    this.drawHead(overview);
    this.drawWay(overview);
    this.drawSwitches(views, view);
    this.say(inspection.note ?? "");
    const make = VIEWS[view];
    const scope = this.scope(overview, view);
    replace(this.body, make ? make(scope, page as never, buffers) : h("div", { class: "rain-empty" }, `This page cannot show the view “${view}”.`));
    this.body.dataset["view"] = view;
  }

  private say(note: string): void {
    setText(this.note, note);
    this.note.hidden = !note;
  }

  private scope(overview: Overview, view: string): Scope {
    const { path } = this;
    return {
      path,
      view,
      overview,
      ask: async <P>(parameters: Record<string, unknown>) => {
        const { data, buffers } = await this.ask({ path, view, ...parameters });
        const { page, note } = data as Inspection<P>;
        if (note) this.say(note);
        return { page, buffers };
      },
      list: async <P>(inside: string[], offset: number) => {
        const { data } = await this.ask({ path: inside, view: "directory", offset });
        return (data as Inspection<P>).page;
      },
      open: (inside) => void this.show(inside, null),
      turn: (other) => void this.show(path, other),
      trouble: (error) => this.trouble(error),
      onLeave: (clean) => this.leaving.push(clean),
    };
  }

  private trouble(error: unknown): void {
    setText(this.error, error === null ? "" : error instanceof Error ? error.message : String(error));
    this.error.hidden = error === null;
  }

  private drawHead(overview: Overview): void {
    setText(this.title, overview.title);
    setAttribute(this.title, "title", overview.id ? `object ${overview.id}` : null);
    setText(this.kind, overview.content_type ?? overview.data_type ?? "no content type");
    const { size } = overview;
    const list: [string, string][] = [];
    if (overview.id) list.push(["id", overview.id]);
    if (size !== null) list.push(["size", size < 1024 ? bytes(size) : `${bytes(size)} (${count(size)} bytes)`]);
    if (overview.digest) list.push(["digest", overview.digest]);
    if (overview.holders?.length) list.push(["held by", overview.holders.join(", ")]);
    const maker = made(overview.maker);
    if (maker) list.push(["made by", maker]);
    replace(
      this.facts,
      pairs(list, "rain-pairs-flow"),
      user("spec.user", overview.spec_user),
      user("info.user", overview.info_user),
    );
  }

  private drawWay(overview: Overview): void {
    const { path } = this;
    this.way.hidden = path.length === 0;
    if (!path.length) return replace(this.way);
    const steps = crumbs(overview.title, path);
    const up = button("↑", "To the folder that this is in", () => void this.show(parent(path), null));
    const list = h("ol", {}, ...steps.map((step, i) => {
      if (i === steps.length - 1) return h("li", { "aria-current": "page" }, visible(step.name));
      return h("li", {}, h("button", { type: "button", class: "rain-crumb", click: () => void this.show(step.path, null) }, visible(step.name)));
    }));
    replace(this.way, up, list);
  }

  private drawSwitches(views: string[], view: string): void {
    const offered = views.filter((name) => name !== BY_CLICK_ONLY || name === view);
    if (!offered.includes(view)) offered.push(view);
    this.switches.hidden = offered.length < 2;
    replace(
      this.switches,
      ...offered.map((name) =>
        h(
          "button",
          { type: "button", class: "rain-button", "aria-pressed": String(name === view), click: () => void this.show(this.path, name) },
          name,
        ),
      ),
    );
  }
}

function made(maker: unknown): string {
  if (maker === null || maker === undefined) return "";
  if (typeof maker === "object" && "title" in maker) return words(maker.title);
  return words(maker);
}

function user(name: string, value: unknown): HTMLElement | null {
  const list = items(value);
  if (!list) return null;
  return h("details", { class: "rain-insp-user" }, h("summary", {}, name), pairs(list));
}
