// The graph tab: the picture in its viewport, its tools, the keyboard, and what is highlighted.

import { button, h, s, setText } from "../dom.js";
import { type ImperativeTab, imperativePane } from "../components/imperative.js";
import type { TabHost } from "../session/tabs.js";
import type { Change, SessionStore } from "../store.js";
import type { Layout, Layouts } from "./layouts.js";
import { LIVELY_NODES, Scene } from "./scene.js";
import { Search } from "./search.js";
import { LegendView } from "./legend.js";
import { MARGIN, READABLE, type Rect, readableView, reducedMotion, Viewport } from "./viewport.js";
import { type Direction, reach, toward } from "./reachability.js";

const CALM_MS = 1500;
const HEIGHT_MIN = 96;
const HEIGHT_MAX = 520;
// Below these scales letters have less than 9 CSS pixels, of small texts and of others; then nothing but the marks of
// states is written, in a size of their own, and from very far not even that.
const SMALL_TEXTS_SCALE = READABLE;
const TEXTS_SCALE = 9 / 11;
const MARKS_SCALE = 0.35;

export const GraphPane = imperativePane((store, host) => new GraphTab(store, host));

class GraphTab implements ImperativeTab {
  readonly element: HTMLElement;
  private readonly scene: Scene;
  private readonly viewport: Viewport;
  private readonly search: Search;
  private readonly svg = s("svg", { class: "rain-svg", role: "group", tabindex: 0, "aria-label": "task graph" });
  private readonly note = h("div", { class: "rain-note", role: "status" });
  private readonly legend: LegendView;
  private readonly canvas = h("div", { class: "rain-canvas" }, this.svg, this.note);
  private readonly up = this.toggle("↑ Upstream", "highlight all that the selected one needs");
  private readonly down = this.toggle("↓ Downstream", "highlight all that needs the selected one");
  private readonly critical = this.toggle("Critical path", "highlight the longest chain of tasks by duration");
  private readonly objects = this.toggle("All objects", "draw also the objects that only go from one task to the next");
  private readonly criticalNote = h("span", { class: "rain-muted", role: "status" });
  private criticalKeys: Set<string> | null = null;
  private foundKeys: Set<string> | null = null;
  private drawn = -1;
  private shown: Layout | null = null;
  private drawnAt = -Infinity; // performance.now()
  private turned: SessionStore["turned"] = null; // the group that was last brought into view
  private selectedElement: Element | null = null;
  private readonly layouts: Layouts;
  private readonly offs: (() => void)[];
  private readonly observer: ResizeObserver;

  constructor(
    private readonly store: SessionStore,
    private readonly host: TabHost,
  ) {
    this.layouts = host.layouts;
    this.legend = new LegendView(store);
    this.scene = new Scene(store);
    this.svg.append(this.scene.world);
    this.viewport = new Viewport(this.svg, this.scene.world, (scale) => this.scaled(scale));
    this.search = new Search(store, (keys) => this.found(keys), (key) => this.goTo(key));
    const zoom = h(
      "div",
      { class: "rain-zoom", role: "group", "aria-label": "zoom" },
      button("−", "zoom out (-)", () => this.viewport.zoom(1 / 1.3, undefined, undefined, true), "rain-square"),
      button("+", "zoom in (+)", () => this.viewport.zoom(1.3, undefined, undefined, true), "rain-square"),
      button("Fit", "show all (0)", () => this.fitAll()),
    );
    const marks = h("span", { class: "rain-row" }, this.up, this.down, this.critical, this.criticalNote, this.objects);
    // Controls are beside the picture, never over it.
    const tools = h("div", { class: "rain-tools" }, this.search.element, marks, zoom);
    this.element = h("div", { class: "rain-graph" }, tools, this.canvas, this.legend.element);
    this.listen();
    this.offs = [store.subscribe((change) => this.changed(change)), this.layouts.subscribe(() => this.laidOut())];
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.svg);
    this.laidOut();
  }

  show(): void {
    this.resized();
  }

  hide(): void {
    this.host.tooltip(null);
  }

  dispose(): void {
    for (const off of this.offs) off();
    this.observer.disconnect();
    this.search.dispose();
    this.viewport.dispose();
    this.scene.dispose();
  }

  private toggle(text: string, title: string): HTMLButtonElement {
    const element = button(text, title, () => {
      element.setAttribute("aria-pressed", String(element.getAttribute("aria-pressed") !== "true"));
      void this.toggled(element);
    });
    element.setAttribute("aria-pressed", "false");
    return element;
  }

  private pressed(element: Element): boolean {
    return element.getAttribute("aria-pressed") === "true";
  }

  // Drawing

  private changed(change: Change): void {
    if (change.status.size || change.topology) this.legend.draw();
    if (change.status.size) this.scene.repaint(change.status);
    if (change.topology) {
      this.objects.setAttribute("aria-pressed", String(this.store.topology.all_objects));
      this.search.again();
      this.tell();
    }
    if (change.selection) this.selectionChanged();
  }

  private laidOut(): void {
    this.tell();
    if (this.layouts.trouble) this.host.ready();
    const { layout } = this.layouts;
    if (!layout || layout === this.shown) return;
    this.shown = layout;
    const { topology } = layout;
    const first = this.drawn < 0;
    this.drawn = topology.number;
    // Each frame of a movement is painted anew, on cpus that the tasks may need: only what seldom moves does so smoothly.
    const calm = performance.now() - this.drawnAt > CALM_MS;
    this.drawnAt = performance.now();
    const lively = !first && calm && topology.nodes.length <= LIVELY_NODES && !reducedMotion();
    this.svg.classList.toggle("rain-lively", lively);
    this.grow(layout.geometry.width, layout.geometry.height);
    if (this.turnedPlace() || !this.viewport.touched) this.fit(lively);
    void this.scene.draw(topology, layout.geometry).then((whole) => {
      if (!whole) return;
      this.selectionChanged();
      this.host.ready();
    });
  }

  private tell(): void {
    const { topology } = this.store;
    const { layout, trouble } = this.layouts;
    let text = "";
    if (trouble) text = `The graph cannot be laid out: ${trouble}. Table and timeline show the same tasks.`;
    else if (!this.store.ready) text = "waiting for the kernel …";
    else if (!topology.nodes.length) text = "nothing declared yet";
    else if (!layout) text = "laying out …";
    setText(this.note, text);
    this.note.classList.toggle("rain-hidden", !text);
  }

  // The canvas grows with its graph, and never shrinks under the reader's eyes.
  private grow(width: number, height: number): void {
    const window = { width: this.canvas.clientWidth || 960, height: HEIGHT_MAX };
    const { scale } = readableView(window, { width, height });
    const wanted = Math.round(Math.min(HEIGHT_MAX, Math.max(HEIGHT_MIN, height * scale + 2 * MARGIN)));
    const present = Number.parseFloat(this.canvas.style.getPropertyValue("--rain-height")) || 0;
    if (wanted > present) this.canvas.style.setProperty("--rain-height", `${wanted}px`);
  }

  // By itself a view never makes letters too small: what has no room is beyond its edges. A group that was just opened
  // or closed is in sight.
  private fit(smooth: boolean): void {
    const geometry = this.layouts.layout?.geometry;
    if (!geometry) return;
    const part = this.turnedPlace();
    if (part) this.turned = this.store.turned;
    this.viewport.fitReadably(geometry.width, geometry.height, smooth, part);
  }

  // Where the group is that was just opened or closed, once it is drawn so.
  private turnedPlace(): Rect | undefined {
    const { turned } = this.store;
    const geometry = this.layouts.layout?.geometry;
    if (!geometry || turned === null || turned === this.turned) return undefined;
    return (turned.opened ? geometry.frames : geometry.nodes)[turned.key] && this.placeOf(turned.key);
  }

  // Asked for by the reader: all of it, however small.
  private fitAll(): void {
    const geometry = this.layouts.layout?.geometry;
    if (geometry) this.viewport.fit(geometry.width, geometry.height, true);
  }

  private placeOf(key: string): Rect | undefined {
    const geometry = this.layouts.layout?.geometry;
    const frame = geometry?.frames[key];
    if (frame) return { x: frame[0], y: frame[1], width: frame[2], height: frame[3] };
    const node = geometry?.nodes[key];
    return node && { x: node[0] - node[2] / 2, y: node[1] - node[3] / 2, width: node[2], height: node[3] };
  }

  // Details beside the graph take room from it; they do not move it, unless they would hide what they are about.
  private resized(): void {
    if (!this.canvas.clientWidth) return; // another tab is in front
    const { selected } = this.store;
    if (selected === null) {
      this.layouts.setWidth(this.canvas.clientWidth);
      if (!this.viewport.touched) this.fit(false);
      return;
    }
    const { touched } = this.viewport;
    const place = this.placeOf(selected);
    if (place) this.viewport.show(place);
    this.viewport.touched = touched;
  }

  private scaled(scale: number): void {
    this.svg.classList.toggle("rain-no-small-texts", scale < SMALL_TEXTS_SCALE);
    this.svg.classList.toggle("rain-no-texts", scale < TEXTS_SCALE);
    this.svg.classList.toggle("rain-no-marks", scale < MARKS_SCALE);
    this.svg.style.setProperty("--rain-unit", `${1 / scale}px`);
  }

  // Selection and highlights

  private selectionChanged(): void {
    const key = this.store.selected;
    const element = key === null ? null : this.scene.element(key);
    if (this.selectedElement !== element) {
      this.selectedElement?.classList.remove("rain-selected");
      element?.classList.add("rain-selected");
      this.selectedElement = element;
    }
    for (const toggle of [this.up, this.down]) toggle.disabled = !element;
    this.light();
  }

  private async toggled(element: HTMLButtonElement): Promise<void> {
    if (element === this.objects) return this.showObjects(this.pressed(element));
    if (element !== this.critical) {
      this.release(this.critical);
      this.criticalKeys = null;
    } else if (!this.pressed(element)) this.criticalKeys = null;
    else {
      for (const other of [this.up, this.down]) this.release(other);
      try {
        const { data } = await this.store.request("critical");
        if (!this.pressed(element)) return;
        this.criticalKeys = new Set(data.keys);
        setText(this.criticalNote, data.keys.length ? `takes ${data.took || "no time"}` : "no task has run yet");
      } catch (error) {
        this.release(element);
        setText(this.criticalNote, error instanceof Error ? error.message : String(error));
        return;
      }
    }
    if (!this.criticalKeys) setText(this.criticalNote, "");
    this.light();
  }

  // The kernel decides what is drawn, so all views of the session follow.
  private async showObjects(all: boolean): Promise<void> {
    try {
      await this.store.request("objects", { all });
    } catch (error) {
      this.objects.setAttribute("aria-pressed", String(this.store.topology.all_objects));
      this.host.announce(`objects cannot be shown: ${String(error)}`);
    }
  }

  private release(toggle: Element): void {
    toggle.setAttribute("aria-pressed", "false");
  }

  private found(keys: string[] | null): void {
    this.foundKeys = keys && new Set(keys);
    this.light();
  }

  private light(): void {
    const { selected } = this.store;
    this.svg.classList.toggle("rain-critical", this.criticalKeys !== null && !this.foundKeys);
    if (this.foundKeys) return this.scene.light(this.foundKeys, () => false);
    if (this.criticalKeys) return this.scene.light(this.criticalKeys);
    if (selected === null || !this.store.nodes.has(selected)) return this.scene.light(null);
    const { after, before } = this.store.neighbours();
    const upstream = this.pressed(this.up) ? reach(selected, before) : new Set<string>();
    const downstream = this.pressed(this.down) ? reach(selected, after) : new Set<string>();
    if (!upstream.size && !downstream.size) return this.scene.light(null);
    const within = (keys: Set<string>, tail: string, head: string) => keys.has(tail) && keys.has(head);
    this.scene.light(
      new Set([...upstream, ...downstream]),
      (tail, head) => within(upstream, tail, head) || within(downstream, tail, head),
    );
  }

  private goTo(key: string): void {
    const place = this.layouts.layout?.geometry.nodes[key];
    this.host.open(key);
    if (place) this.viewport.reveal(place[0], place[1]);
  }

  // Pointer and keyboard

  private listen(): void {
    const { svg } = this;
    svg.addEventListener("click", (event) => this.click(event));
    svg.addEventListener("dblclick", (event) => {
      const key = this.keyOf(event);
      if (key && this.store.nodes.get(key)?.kind === "group") this.openGroup(key, true);
    });
    svg.addEventListener("pointerover", (event) => this.hover(event));
    svg.addEventListener("pointerleave", () => this.hover(null));
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("focusin", (event) => {
      const key = this.keyOf(event);
      const place = key && this.layouts.layout?.geometry.nodes[key];
      if (place && (event.target as Element).matches(":focus-visible")) this.viewport.reveal(place[0], place[1]);
    });
  }

  private keyOf(event: Event): string | null {
    const element = (event.target as Element).closest<SVGElement>("[data-key]");
    return element?.dataset["key"] ?? null;
  }

  private click(event: Event): void {
    const toggle = (event.target as Element).closest<SVGElement>(".rain-toggle");
    const group = toggle?.dataset["open"] ?? toggle?.dataset["close"];
    const key = this.keyOf(event);
    if (toggle && group !== undefined) this.openGroup(group, toggle.dataset["open"] !== undefined);
    else if (key) {
      this.scene.element(key)?.focus({ preventScroll: true });
      this.host.open(key);
    } else this.svg.focus({ preventScroll: true });
  }

  private openGroup(key: string, open: boolean): void {
    this.store.request(open ? "open" : "close", { key }).catch((error: unknown) => {
      this.host.announce(`the group cannot be ${open ? "opened" : "closed"}: ${String(error)}`);
    });
  }

  private hover(event: PointerEvent | null): void {
    const key = event && event.pointerType !== "touch" ? this.keyOf(event) : null;
    this.store.hover(key);
    this.host.tooltip(key, event?.clientX, event?.clientY);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const done = this.command(event.key, this.keyOf(event), event.target as Element);
    if (!done) return;
    // Jupyter has commands on single keys.
    event.preventDefault();
    event.stopPropagation();
  }

  private command(pressed: string, key: string | null, target: Element): boolean {
    if (pressed.startsWith("Arrow")) this.step(key, pressed as Direction);
    else if (pressed === "+" || pressed === "=") this.viewport.zoom(1.3, undefined, undefined, true);
    else if (pressed === "-") this.viewport.zoom(1 / 1.3, undefined, undefined, true);
    else if (pressed === "0") this.fitAll();
    else if (pressed === "/") this.search.input.focus();
    else if (pressed === "Escape") this.escape(target);
    else if ((pressed === "Enter" || pressed === " ") && key) this.host.open(key);
    else if (pressed === "o" && key && this.store.nodes.get(key)?.kind === "group") this.openGroup(key, true);
    else return false;
    return true;
  }

  private step(key: string | null, direction: Direction): void {
    const geometry = this.layouts.layout?.geometry;
    if (!geometry) return;
    const { after, before } = this.store.neighbours();
    const start = this.store.selected ?? this.store.topology.nodes[0]?.key ?? null;
    const next =
      key === null ? start : toward(key, direction, geometry.nodes, [...(after.get(key) ?? []), ...(before.get(key) ?? [])]);
    if (next === null) return;
    const element = this.scene.element(next);
    element?.focus({ preventScroll: true });
    const place = geometry.nodes[next];
    if (place) this.viewport.reveal(place[0], place[1]);
  }

  private escape(target: Element): void {
    if (this.search.pattern) this.search.clear();
    else if (this.store.selected !== null) this.store.select(null);
    else if (target !== this.svg) this.svg.focus({ preventScroll: true });
  }
}
