// The picture: SVG elements from topology, geometry and status. Elements are kept by key, so that what stays keeps its
// focus and moves; they are made in slices of a frame, so that nothing stutters. Recolouring sets attributes only.

import { s, setAttribute, setText } from "../dom.js";
import { count } from "../format.js";
import type { Frame, Geometry, Node, Status, Topology } from "../protocol.js";
import type { SessionStore } from "../store.js";
import { sortedCounts, spoken } from "./labels.js";
import { paintProgress } from "./progress.js";

const SLICE_MS = 10;
// Recolouring is cheap beside what the browser does to show it, so what fits is done in one frame.
const PAINT_MS = 40;
// A text that changes is laid out anew, which takes most of the time of a colour: out of sight that can wait a little.
const MARKS_MS = 400;
// Above this many nodes nothing moves by itself.
export const LIVELY_NODES = 150;
// The browser paints all of a picture again when something in it has changed: large ones not in every frame.
const CALM_MS = 100;

const ARROW = 7;
const ARROW_HALF = 2.8;
const BAR_HEIGHT = 4;

interface NodeView {
  node: Node;
  element: SVGGElement;
  mark: SVGTSpanElement | null;
  counts: SVGTextElement | null;
  bar: SVGGElement | null;
  done: SVGRectElement | null;
  ring: SVGElement | null;
  told: boolean; // whether it shows what the task says of itself
  size: string;
}

interface ArcView {
  element: SVGGElement;
  tail: string;
  head: string;
  drawn: string;
}

interface Sight {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface FrameView {
  element: SVGGElement;
  drawn: string;
}

// The head of an arrow whose curve ends at the tip.
export function arrowHead(path: string): string {
  const points = path.split(/[MC ]+/).filter(Boolean).map((word) => word.split(",").map(Number) as [number, number]);
  const tip = points.at(-1);
  const before = [...points].reverse().find((point) => tip && Math.hypot(tip[0] - point[0], tip[1] - point[1]) > 1);
  if (!tip || !before) return "";
  const far = Math.hypot(tip[0] - before[0], tip[1] - before[1]);
  const [ux, uy] = [(tip[0] - before[0]) / far, (tip[1] - before[1]) / far];
  const [bx, by] = [tip[0] - ux * ARROW, tip[1] - uy * ARROW];
  const at = (x: number, y: number) => `${x.toFixed(1)},${y.toFixed(1)}`;
  return `M${tip}L${at(bx - uy * ARROW_HALF, by + ux * ARROW_HALF)} ${at(bx + uy * ARROW_HALF, by - ux * ARROW_HALF)}Z`;
}

function folder(w: number, h: number): string {
  const [x, y] = [-w / 2, -h / 2];
  const tab = Math.min(18, w / 3);
  return `M${x},${y}h${tab}l4,4H${x + w}V${y + h}H${x}Z`;
}

function shapes(node: Node, w: number, h: number): SVGElement[] {
  const box = (x: number, y: number, rx: number, width = w, height = h) =>
    s("rect", { class: "rain-shape", x: x - width / 2, y: y - height / 2, width, height, rx });
  if (node.kind === "task") return [s("ellipse", { class: "rain-shape", rx: w / 2, ry: h / 2 })];
  if (node.kind === "object") return [node.directory ? s("path", { class: "rain-shape", d: folder(w, h) }) : box(0, 0, 2)];
  return [box(4, 4, 8, w - 8, h - 8), box(1, 1, 8, w - 6, h - 6), box(-2, -2, 8, w - 4, h - 4)];
}

// The second outline of what is kept.
function ring(node: Node, w: number, h: number): SVGElement {
  const d = node.kind === "object" && node.directory ? folder(w + 7, h + 7) : null;
  const size = { x: -w / 2 - 3.5, y: -h / 2 - 3.5, width: w + 7, height: h + 7, rx: 4 };
  return d ? s("path", { class: "rain-ring", d }) : s("rect", { class: "rain-ring", ...size });
}

export class Scene {
  readonly world = s("g", { class: "rain-world" });
  geometry: Geometry | null = null;
  private readonly frameLayer = s("g", { role: "presentation" });
  private readonly arcLayer = s("g", { role: "presentation", "aria-hidden": "true" });
  private readonly nodeLayer = s("g", { role: "presentation" });
  private readonly nodes = new Map<string, NodeView>();
  private readonly arcs = new Map<string, ArcView>();
  private readonly frames = new Map<string, FrameView>();
  private readonly dirty = new Set<string>();
  private readonly unmarked = new Set<string>(); // of nodes out of sight, whose mark is not that of their state yet
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private marking: ReturnType<typeof setTimeout> | undefined;
  private painted = 0;
  private building = 0;
  private lit: { keys: ReadonlySet<string>; arc: (tail: string, head: string) => boolean } | null = null;

  constructor(private readonly store: SessionStore) {
    this.world.append(this.frameLayer, this.arcLayer, this.nodeLayer);
  }

  element(key: string): SVGGElement | null {
    return this.nodes.get(key)?.element ?? null;
  }

  // Brings the picture to a topology and its geometry; resolves to false when another `draw` came in between.
  draw(topology: Topology, geometry: Geometry): Promise<boolean> {
    cancelAnimationFrame(this.building);
    this.geometry = geometry;
    const work = this.steps(topology, geometry);
    return new Promise((resolve) => {
      const slice = () => {
        if (this.geometry !== geometry) return resolve(false);
        const end = performance.now() + SLICE_MS;
        do {
          if (work.next().done) return resolve(true);
        } while (performance.now() < end);
        this.building = requestAnimationFrame(slice);
      };
      slice();
    });
  }

  // Notes the nodes whose status has changed; they are drawn soon.
  repaint(keys: Iterable<string>): void {
    for (const key of keys) this.dirty.add(key);
    if (this.frame || this.timer !== undefined || !this.dirty.size) return;
    const wait = this.nodes.size > LIVELY_NODES ? this.painted + CALM_MS - performance.now() : 0;
    if (wait <= 0) this.nextFrame();
    else this.timer = setTimeout(() => this.nextFrame(), wait);
  }

  private nextFrame(): void {
    this.timer = undefined;
    this.frame = requestAnimationFrame(() => this.paintDirty());
  }

  // Dims all but some nodes, and the arcs that `arc` is true for; null ends it.
  light(keys: ReadonlySet<string> | null, arc?: (tail: string, head: string) => boolean): void {
    if (!keys && !this.lit) return;
    this.lit = keys && { keys, arc: arc ?? ((tail, head) => keys.has(tail) && keys.has(head)) };
    this.world.classList.toggle("rain-dimming", this.lit !== null);
    for (const [key, view] of this.nodes) view.element.classList.toggle("rain-lit", this.lit?.keys.has(key) ?? false);
    for (const view of this.arcs.values()) this.lightArc(view);
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    clearTimeout(this.marking);
    cancelAnimationFrame(this.building);
  }

  private *steps(topology: Topology, geometry: Geometry): Generator<void> {
    const keys = new Set(topology.nodes.map((node) => node.key));
    const names = new Set(topology.frames.map((frame) => frame.key));
    for (const [key, view] of this.nodes) if (!keys.has(key)) this.remove(this.nodes, key, view.element);
    for (const [key, view] of this.frames) if (!names.has(key)) this.remove(this.frames, key, view.element);
    for (const frame of topology.frames) {
      this.drawFrame(frame, geometry);
      yield;
    }
    for (const node of topology.nodes) {
      this.drawNode(node, geometry);
      yield;
    }
    yield* this.drawArcs(topology, geometry);
  }

  private remove<T>(views: Map<string, T>, key: string, element: Element): void {
    element.remove();
    views.delete(key);
  }

  private *drawArcs(topology: Topology, geometry: Geometry): Generator<void> {
    const labels = new Map<string, string[]>();
    for (const [tail, head, text] of topology.arcs) {
      const pair = `${tail}\n${head}`;
      labels.set(pair, [...(labels.get(pair) ?? []), text]);
    }
    const seen = new Map<string, number>();
    const present = new Set<string>();
    for (const [tail, head, path, x, y] of geometry.arcs) {
      const pair = `${tail}\n${head}`;
      const n = seen.get(pair) ?? 0;
      seen.set(pair, n + 1);
      present.add(`${pair}\n${n}`);
      this.drawArc(`${pair}\n${n}`, tail, head, path, labels.get(pair)?.[n] ?? "", x, y);
      yield;
    }
    for (const [key, view] of this.arcs) if (!present.has(key)) this.remove(this.arcs, key, view.element);
  }

  private drawArc(key: string, tail: string, head: string, path: string, label: string, x: number, y: number): void {
    const drawn = `${path} ${label}`;
    if (this.arcs.get(key)?.drawn === drawn) return;
    this.arcs.get(key)?.element.remove();
    const element = s(
      "g",
      { class: "rain-arc" },
      s("path", { class: "rain-curve", d: path }),
      s("path", { class: "rain-head", d: arrowHead(path) }),
      label && s("text", { class: "rain-arc-label", x, y: y + 3 }, label),
    );
    const view = { element, tail, head, drawn };
    this.arcs.set(key, view);
    this.lightArc(view);
    this.arcLayer.append(element);
  }

  private lightArc(view: ArcView): void {
    view.element.classList.toggle("rain-lit", this.lit?.arc(view.tail, view.head) ?? false);
  }

  private drawFrame({ key, label, text }: Frame, geometry: Geometry): void {
    const place = geometry.frames[key];
    if (!place) return;
    const [x, y, width, height] = place;
    const drawn = `${place} ${label} ${text ?? ""}`;
    if (this.frames.get(key)?.drawn === drawn) return;
    this.frames.get(key)?.element.remove();
    const close = s(
      "g",
      { class: "rain-toggle", "data-close": key, role: "button", "aria-label": `close group ${label}`, tabindex: -1 },
      s("title", null, "close this group"),
      s("circle", { cx: x + width - 12, cy: y + 12, r: 7 }),
      s("path", { d: `M${x + width - 15.5},${y + 12}h7` }),
    );
    const element = s(
      "g",
      { class: "rain-frame", "data-frame": key },
      s("rect", { x, y, width, height, rx: 8 }),
      s("text", { x: x + 10, y: y + 15 }, text ?? label),
      close,
    );
    this.frames.set(key, { element, drawn });
    // Frames inside others come after them in the topology, so they lie above.
    this.frameLayer.append(element);
  }

  private drawNode(node: Node, geometry: Geometry): void {
    const place = geometry.nodes[node.key];
    if (!place) return;
    const [x, y, w, h] = place;
    const size = `${node.label} ${node.text ?? ""} ${w} ${h} ${node.kind}`;
    let view = this.nodes.get(node.key);
    if (view?.size !== size) {
      view?.element.remove();
      view = this.makeNode(node, w, h, size);
      this.nodes.set(node.key, view);
      this.nodeLayer.append(view.element);
    }
    view.node = node;
    view.element.style.transform = `translate(${x}px,${y}px)`;
    this.paint(view, this.store.status.get(node.key));
  }

  private makeNode(node: Node, w: number, h: number, size: string): NodeView {
    const element = s(
      "g",
      { class: `rain-node rain-${node.kind}`, "data-key": node.key, role: "button", tabindex: -1 },
      ...shapes(node, w, h),
    );
    element.classList.toggle("rain-lit", this.lit?.keys.has(node.key) ?? false);
    const view: NodeView = { node, element, mark: null, counts: null, bar: null, done: null, ring: null, told: false, size };
    if (node.kind === "group") {
      view.done = s("rect", { class: "rain-done", "data-s": "finished", "data-w": w - 5.2, x: 0.6 - w / 2, y: 0.6 - h / 2, width: 0, height: h - 5.2, rx: 7 });
      element.append(view.done);
      view.counts = s("text", { class: "rain-counts", y: 5 });
      view.bar = s("g", { "data-w": w - 24, transform: `translate(${-w / 2 + 10},${h / 2 - 13})` });
      element.append(s("text", { class: "rain-label", x: -2, y: -9 }, node.text ?? node.label), view.counts, view.bar);
      if (this.store.file?.opens(node.key) ?? true) {
        element.append(
          s(
            "g",
            { class: "rain-toggle", "data-open": node.key },
            s("title", null, "open this group"),
            s("circle", { cx: w / 2 - 14, cy: -h / 2 + 10, r: 7 }),
            s("path", { d: `M${w / 2 - 17.5},${-h / 2 + 10}h7M${w / 2 - 14},${-h / 2 + 6.5}v7` }),
          ),
        );
      }
    } else {
      view.mark = s("tspan", { class: "rain-mark" });
      element.append(s("text", { class: "rain-label", y: 4 }, view.mark, s("tspan", { class: "rain-words" }, ` ${node.text ?? node.label}`)));
    }
    return view;
  }

  private paintDirty(): void {
    this.frame = 0;
    const end = performance.now() + PAINT_MS;
    const sight = this.sight();
    for (const key of this.dirty) {
      const view = this.nodes.get(key);
      if (view) this.paint(view, this.store.status.get(key), sight);
      this.dirty.delete(key);
      if (performance.now() > end) break;
    }
    if (this.dirty.size) this.nextFrame();
    else this.painted = performance.now();
    if (this.unmarked.size) this.marking ??= setTimeout(() => this.markAll(), MARKS_MS);
  }

  private markAll(): void {
    this.marking = undefined;
    for (const key of this.unmarked) {
      const mark = this.nodes.get(key)?.mark;
      if (mark) setText(mark, this.store.look(this.store.status.get(key)?.state ?? "new").mark);
    }
    this.unmarked.clear();
  }

  // What is seen of the picture, in its own units; null where that is not known.
  private sight(): Sight | null {
    const svg = this.world.ownerSVGElement;
    const scale = this.world.getCTM();
    if (!svg || !scale || !svg.clientWidth) return null;
    const { a, e, f } = scale;
    return { left: -e / a, top: -f / a, right: (svg.clientWidth - e) / a, bottom: (svg.clientHeight - f) / a };
  }

  private isSeen(key: string, sight: Sight): boolean {
    const [x, y, w, h] = this.geometry?.nodes[key] ?? [0, 0, 0, 0];
    return x + w > sight.left && x - w < sight.right && y + h > sight.top && y - h < sight.bottom;
  }

  private paint(view: NodeView, status: Status | undefined, sight: Sight | null = null): void {
    const { element, node } = view;
    // The node is gone already, while the picture is that of a moment ago.
    if (!status && element.hasAttribute("data-s") && !this.store.nodes.has(node.key)) return;
    const state = status?.state ?? "new";
    setAttribute(element, "data-s", state);
    setAttribute(element, "data-stale", status?.stale ? "" : null);
    setAttribute(element, "aria-label", spoken(this.store, node, status));
    if (view.mark) {
      if (!sight || this.isSeen(node.key, sight)) setText(view.mark, this.store.look(state).mark);
      else this.unmarked.add(node.key);
    }
    const box = this.geometry?.nodes[node.key];
    const tells = typeof status?.share === "number" || !!status?.thumb;
    if (box && (tells || view.told)) paintProgress(element, status, box[2], box[3]);
    view.told = tells;
    if (view.bar && view.counts && view.done) this.paintCounts(view.bar, view.counts, view.done, status?.counts ?? {});
    if (status?.kept && !view.ring && box) {
      view.ring = ring(node, box[2], box[3]);
      element.prepend(view.ring);
    } else if (!status?.kept && view.ring) {
      view.ring.remove();
      view.ring = null;
    }
  }

  private paintCounts(bar: SVGGElement, text: SVGTextElement, done: SVGRectElement, counts: Record<string, number>): void {
    const sorted = sortedCounts(counts);
    setText(text, sorted.map(([state, n]) => `${this.store.look(state).mark} ${count(n)}`).join("   "));
    const whole = sorted.reduce((sum, [, n]) => sum + n, 0);
    const width = Number(bar.getAttribute("data-w"));
    // How far it is, as the part of the box that has the colour of what is finished.
    const share = whole ? (counts["finished"] ?? 0) / whole : 0;
    setAttribute(done, "width", (share * Number(done.getAttribute("data-w"))).toFixed(1));
    let x = 0;
    bar.replaceChildren(
      ...sorted.map(([state, n]) => {
        const part = (n / whole) * width;
        const rect = s("rect", { class: "rain-part", "data-s": state, x, width: part, height: BAR_HEIGHT });
        x += part;
        return rect;
      }),
    );
  }
}
