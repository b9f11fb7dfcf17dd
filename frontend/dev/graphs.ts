// Made-up graphs, as the kernel would describe them.

import type { Arc, Frame, Looks, Node, Status, Topology } from "../src/protocol.js";

const look = (word: string, mark: string, fill: string, line: string, dark_fill: string, dark_line: string) => ({
  word,
  mark,
  fill,
  line,
  dark_fill,
  dark_line,
});

export const LOOKS: Looks = {
  new: look("not submitted", "·", "#ffffff", "#90a4ae", "#1e1e1e", "#78909c"),
  waiting: look("waiting", "…", "#eceff1", "#78909c", "#37474f", "#90a4ae"),
  unfinished: look("not there yet", "…", "#eceff1", "#78909c", "#37474f", "#90a4ae"),
  ready: look("ready", "◔", "#fff3c4", "#c79100", "#5d4a0a", "#ffd54f"),
  running: look("running", "▶", "#bbdefb", "#1565c0", "#0d3c6e", "#64b5f6"),
  finished: look("finished", "✓", "#c8e6c9", "#2e7d32", "#1b4a20", "#81c784"),
  removed: look("no longer held", "∅", "#f5f5f5", "#9e9e9e", "#2b2b2b", "#757575"),
  failed: look("failed", "✗", "#ffcdd2", "#c62828", "#6d1b1b", "#ef9a9a"),
  cancelled: look("cancelled", "⊘", "#e1bee7", "#7b1fa2", "#4a1a5e", "#ce93d8"),
};

export interface World {
  nodes: Node[];
  arcs: Arc[];
  frames: Frame[];
  status: Record<string, Status>;
}

const quoted = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;

function width(node: Node): number {
  const wide = Math.min(node.label.length, 28) * 6.2;
  if (node.kind === "group") return Math.max(wide + 36, 136);
  return node.kind === "task" ? Math.max(wide + 40, 60) : Math.max(wide + 28, 44);
}

export function dot(world: World): string {
  const lines = ['digraph {graph [rankdir=TB nodesep=0.25 ranksep=0.35] node [label="" fixedsize=true] edge [fontsize=9]'];
  const node = (one: Node) => {
    const shape = one.kind === "task" ? "ellipse" : "box";
    const high = one.kind === "group" ? 50 : 26;
    lines.push(`${quoted(one.key)} [shape=${shape} width=${width(one) / 72} height=${high / 72}]`);
  };
  const inside = (frame: string | null) => {
    for (const one of world.frames.filter((frame_) => frame_.in === frame)) {
      lines.push(`subgraph ${quoted(`cluster${one.key}`)} { label=${quoted(one.label)} margin=10`);
      inside(one.key);
      lines.push("}");
    }
    world.nodes.filter((one) => one.in === frame).forEach(node);
  };
  inside(null);
  for (const [tail, head, label, times] of world.arcs) {
    const text = times > 1 ? `${label} ×${times}` : label;
    lines.push(`${quoted(tail)} -> ${quoted(head)} [label=${quoted(text)}]`);
  }
  lines.push("}");
  return lines.join("\n");
}

export function topology(world: World, number: number): Topology {
  return { number, nodes: world.nodes, arcs: world.arcs, frames: world.frames, dot: dot(world) };
}

// A small one with all that can be drawn.
export function sampler(): World {
  const task = (n: number, label: string, home: string | null = null): Node => ({ key: `t${n}`, kind: "task", label, type: "py/", in: home });
  const object = (n: number, label: string, directory = false, home: string | null = null): Node => ({
    key: `o${n}`,
    kind: "object",
    label,
    directory,
    in: home,
  });
  const nodes: Node[] = [
    object(1, "corpus.txt"),
    object(2, "libsvm", true),
    task(3, "split"),
    object(4, "part-0"),
    object(5, "part-1"),
    task(6, "prepare/clean", "g/prepare"),
    object(7, "clean", false, "g/prepare"),
    task(8, "prepare/count words <b>&amp;</b>", "g/prepare"),
    object(9, "counts", false, "g/prepare"),
    { key: "g/train", kind: "group", label: "train", tasks: 120, objects: 240, in: null },
    task(11, "evaluate"),
    object(12, "accuracy"),
    task(13, "report"),
    object(14, "report.html"),
    task(15, "plot a very long name that goes on and on"),
    object(16, "removed"),
  ];
  const arcs: Arc[] = [
    ["o1", "t3", "0: text", 1],
    ["t3", "o4", "0: part-0", 1],
    ["t3", "o5", "1: part-1", 1],
    ["o4", "t6", "0", 1],
    ["t6", "o7", "0", 1],
    ["o5", "t8", "0: text", 1],
    ["o7", "t8", "1: clean", 1],
    ["t8", "o9", "0", 1],
    ["o9", "g/train", "0: counts", 120],
    ["o2", "g/train", "1: programs", 120],
    ["g/train", "t11", "models", 120],
    ["t11", "o12", "0", 1],
    ["o12", "t13", "0", 1],
    ["t13", "o14", "0", 1],
    ["o12", "t15", "0", 1],
    ["o16", "t15", "1", 1],
  ];
  const now = Date.now() / 1000;
  const status: Record<string, Status> = {
    o1: { s: "finished", z: 1_234_567, k: true, c: "text" },
    o2: { s: "finished", z: 12_000_000, c: "dir" },
    t3: { s: "finished", d: 0.42, t: now - 20, g: "127.0.0.1:41000" },
    o4: { s: "finished", z: 600_000 },
    o5: { s: "finished", z: 634_567 },
    t6: { s: "finished", d: 3.1, t: now - 19, g: "127.0.0.1:41000", n: 2 },
    o7: { s: "finished", z: 42 },
    t8: { s: "failed", d: 0.1, t: now - 10, g: "127.0.0.1:41001", e: "ValueError: <img src=x onerror=alert(1)> is no number\nmore" },
    o9: { s: "unfinished" },
    "g/train": { s: "running", c: { finished: 70, running: 8, ready: 12, waiting: 28, failed: 2 } },
    t11: { s: "running", t: now - 4, g: "127.0.0.1:41000" },
    o12: { s: "unfinished", k: true },
    t13: { s: "waiting" },
    o14: { s: "unfinished" },
    t15: { s: "new" },
    o16: { s: "removed", z: 10 },
  };
  return { nodes, arcs, frames: [{ key: "g/prepare", label: "prepare", in: null }], status };
}

// `size` nodes: chains of tasks and objects that fan out from one and join in the end, in groups that are open.
export function large(size: number): World {
  const world: World = { nodes: [], arcs: [], frames: [], status: {} };
  let n = 0;
  const task = (label: string, home: string | null) => {
    const key = `t${++n}`;
    world.nodes.push({ key, kind: "task", label, type: "py/", in: home });
    world.status[key] = { s: "waiting" };
    return key;
  };
  const object = (label: string, home: string | null) => {
    const key = `o${++n}`;
    world.nodes.push({ key, kind: "object", label, directory: false, in: home });
    world.status[key] = { s: "unfinished" };
    return key;
  };
  const first = object("data", null);
  world.status[first] = { s: "finished", z: 1e6, k: true };
  const wide = Math.max(3, Math.round(Math.sqrt(size / 2)));
  const lastTask = task("join", null);
  const last = object("result", null);
  world.arcs.push([lastTask, last, "0", 1]);
  world.frames.push({ key: "g/fold", label: "fold", in: null });
  for (let chain = 0; chain < wide; chain++) {
    const home = chain % 3 === 0 ? "g/fold" : null;
    let from = first;
    const steps = Math.max(1, Math.floor((size - 3) / wide / 2));
    for (let step = 0; step < steps; step++) {
      const made = task(`${step ? "step" : "load"} ${chain}.${step}`, home);
      const out = object(`part ${chain}.${step}`, home);
      world.arcs.push([from, made, "0: x", 1], [made, out, "0", 1]);
      if (step && chain % 4 === 1) world.arcs.push([`t${Math.max(4, n - 40 - (n % 2))}`, made, "1", 1]);
      from = out;
    }
    world.arcs.push([from, lastTask, `${chain}`, 1]);
  }
  const known = new Set(world.nodes.map((node) => node.key));
  world.arcs = world.arcs.filter(([tail, head]) => known.has(tail) && known.has(head));
  return world;
}
