// From Graphviz' JSON to the geometry that the scene draws and the kernel keeps (docs/notebook.md).

import type { Geometry } from "../protocol.js";

interface DotObject {
  _gvid: number;
  name: string;
  pos?: string;
  width?: string;
  height?: string;
  bb?: string;
}

interface DotEdge {
  tail: number;
  head: number;
  pos?: string;
  lp?: string;
  style?: string;
}

export interface DotOutput {
  bb?: string;
  objects?: DotObject[];
  edges?: DotEdge[];
}

const CLUSTER = "cluster";
const POINTS_PER_INCH = 72;

export function numbers(text: string): number[] {
  return text.split(/[ ,]+/).filter(Boolean).map(Number);
}

// The curve of an edge: Graphviz lists where the arrow's tip is ("e,x,y"), then the points of the curve, which stops
// short of it by the length of the arrow.
export function curve(pos: string, height: number): { path: string; middle: [number, number] } | null {
  let tip: [number, number] | null = null;
  const points: [number, number][] = [];
  for (const word of (pos.split(";")[0] ?? "").split(/\s+/)) {
    const arrow = /^[se],/.test(word);
    const [x, y] = numbers(arrow ? word.slice(2) : word);
    if (x === undefined || y === undefined) continue;
    const point: [number, number] = [Math.round(x), Math.round(height - y)];
    if (!arrow) points.push(point);
    else if (word.startsWith("e")) tip = point;
  }
  if (points.length < 4) return null;
  if (tip) points[points.length - 1] = tip;
  const [first, ...rest] = points as [[number, number], ...[number, number][]];
  let path = `M${first[0]},${first[1]}`;
  for (let i = 0; i + 2 < rest.length; i += 3) {
    path += `C${rest[i]} ${rest[i + 1]} ${rest[i + 2]}`;
  }
  const middle = points[Math.floor(points.length / 2)] ?? first;
  return { path, middle };
}

export function geometry(dot: DotOutput): Geometry {
  const [, , width = 0, height = 0] = numbers(dot.bb ?? "");
  const result: Geometry = { width: Math.round(width), height: Math.round(height), nodes: {}, arcs: [], frames: {} };
  const names = new Map<number, string>();
  for (const object of dot.objects ?? []) {
    names.set(object._gvid, object.name);
    if (object.bb !== undefined && object.name.startsWith(CLUSTER)) {
      const [x0, y0, x1, y1] = numbers(object.bb) as [number, number, number, number];
      result.frames[object.name.slice(CLUSTER.length)] = [x0, height - y1, x1 - x0, y1 - y0].map(Math.round) as never;
    } else if (object.pos !== undefined) {
      const [x, y] = numbers(object.pos) as [number, number];
      const w = Number(object.width) * POINTS_PER_INCH;
      const h = Number(object.height) * POINTS_PER_INCH;
      result.nodes[object.name] = [x, height - y, w, h].map(Math.round) as never;
    }
  }
  for (const edge of dot.edges ?? []) {
    if (edge.style === "invis") continue; // it only keeps things apart
    const tail = names.get(edge.tail);
    const head = names.get(edge.head);
    const drawn = edge.pos === undefined ? null : curve(edge.pos, height);
    if (tail === undefined || head === undefined || !drawn) continue;
    const [x, y] = edge.lp === undefined ? [NaN, NaN] : numbers(edge.lp);
    const label = Number.isFinite(x) ? [Math.round(x as number), Math.round(height - (y as number))] : drawn.middle;
    result.arcs.push([tail, head, drawn.path, label[0] as number, label[1] as number]);
  }
  return result;
}
