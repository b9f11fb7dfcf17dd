// What the shapes and colours in the picture mean: of those that are in it.

import { h, replace, s } from "../dom.js";
import type { Node, Status } from "../protocol.js";
import type { SessionStore } from "../store.js";

const box = (x: number, y: number, width: number, height: number, rx = 2) => () => [s("rect", { x, y, width, height, rx })];

const SHAPES: Record<string, () => SVGElement[]> = {
  task: () => [s("ellipse", { rx: 11, ry: 6 })],
  object: box(-10, -5, 20, 10),
  directory: () => [s("path", { d: "M-10,-6h7l2,2H10V6H-10Z" })],
  group: () => [...box(-8, -5, 19, 11, 3)(), ...box(-11, -7, 19, 11, 3)()],
  kept: () => [...box(-11, -7, 22, 14)(), ...box(-8.5, -4.5, 17, 9)()],
};

// The shapes and states that occur, in the order in which they are listed. Pure.
export function occurring(
  nodes: Iterable<Node>,
  status: ReadonlyMap<string, Status>,
  order: readonly string[],
): { shapes: string[]; states: string[] } {
  const shapes = new Set<string>();
  const states = new Set<string>();
  for (const node of nodes) {
    const known = status.get(node.key);
    shapes.add(node.kind === "object" && node.directory ? "directory" : node.kind);
    if (known?.kept) shapes.add("kept");
    if (known?.counts) for (const [state, n] of Object.entries(known.counts)) n > 0 && states.add(state);
    else if (known) states.add(known.state);
  }
  return { shapes: Object.keys(SHAPES).filter((one) => shapes.has(one)), states: order.filter((one) => states.has(one)) };
}

export class LegendView {
  readonly element = h("div", { class: "rain-legend", "aria-label": "legend" });
  private drawn = "";

  constructor(private readonly store: SessionStore) {
    this.draw();
  }

  draw(): void {
    const { looks, nodes, status } = this.store;
    const found = occurring(nodes.values(), status, Object.keys(looks));
    const wanted = JSON.stringify(found);
    if (wanted === this.drawn) return;
    this.drawn = wanted;
    const item = (symbol: Element, text: string) => h("span", { class: "rain-key" }, symbol, text);
    const symbol = (shape: string) =>
      s("svg", { class: "rain-key-shape", viewBox: "-13 -8 26 16", width: 26, height: 16, "aria-hidden": "true" }, ...(SHAPES[shape]?.() ?? []));
    replace(
      this.element,
      ...found.shapes.map((shape) => item(symbol(shape), shape)),
      ...found.states.map((state) => {
        const { mark, word } = this.store.look(state);
        return item(h("span", { class: "rain-swatch", "data-s": state, "aria-hidden": "true" }, mark), word);
      }),
    );
  }
}
