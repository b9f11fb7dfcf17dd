// Ways through the visible graph: what is upstream and downstream, and which node lies in a direction. Pure.

import type { Geometry } from "../protocol.js";

export type Links = Map<string, string[]>;

// All that can be reached from `key`, itself too.
export function reach(key: string, links: Links): Set<string> {
  const found = new Set([key]);
  const todo = [key];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    for (const other of links.get(next) ?? []) {
      if (found.has(other)) continue;
      found.add(other);
      todo.push(other);
    }
  }
  return found;
}

export type Direction = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

const STEPS: Record<Direction, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

// The node to go to from `key`: the nearest that an arc joins to it in about that direction, else the nearest of all.
// What lies aside counts as twice as far.
export function toward(key: string, direction: Direction, nodes: Geometry["nodes"], linked: Iterable<string>): string | null {
  const from = nodes[key];
  if (!from) return null;
  const [dx, dy] = STEPS[direction];
  const nearest = (keys: Iterable<string>, slope: number): string | null => {
    let best: string | null = null;
    let least = Infinity;
    for (const other of keys) {
      const place = nodes[other];
      if (!place || other === key) continue;
      const ahead = (place[0] - from[0]) * dx + (place[1] - from[1]) * dy;
      const aside = Math.abs((place[0] - from[0]) * dy) + Math.abs((place[1] - from[1]) * dx);
      if (ahead <= 0 || aside > slope * ahead) continue;
      const far = ahead + 2 * aside;
      if (far < least) [best, least] = [other, far];
    }
    return best;
  };
  return nearest(linked, 4) ?? nearest(Object.keys(nodes), 3);
}
