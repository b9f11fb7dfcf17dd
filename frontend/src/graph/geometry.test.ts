import assert from "node:assert/strict";
import { test } from "node:test";
import { Graphviz } from "@hpcc-js/wasm-graphviz";
import { curve, type DotOutput, geometry } from "./geometry.js";
import { shortened } from "./labels.js";
import { arrowHead } from "./scene.js";
import { reach, toward } from "./reachability.js";

const DOT = `digraph {
  node [label="" fixedsize=true height=0.5 width=1]
  subgraph "clusterg/a b" { label="a b" "t1"; "o2" [shape=box] }
  "t1" -> "o2" [label="0"]
  "o2" -> "t3" [label="0: x"]
  "o2" -> "t3" [label="1: x"]
}`;

test("Graphviz' own output becomes geometry", async () => {
  const text = (await Graphviz.load()).layout(DOT, "json0" as never, "dot");
  const made = geometry(JSON.parse(text) as DotOutput);
  assert.deepEqual(Object.keys(made.nodes).sort(), ["o2", "t1", "t3"]);
  assert.deepEqual(Object.keys(made.frames), ["g/a b"]);
  assert.deepEqual(made.arcs.map(([tail, head]) => `${tail} ${head}`), ["t1 o2", "o2 t3", "o2 t3"]);
  const [, first, , high] = made.nodes["t1"] as [number, number, number, number];
  const [, second] = made.nodes["o2"] as [number, number, number, number];
  assert.ok(first < second, "y goes down");
  assert.equal(high, 36);
  for (const [, , path, x, y] of made.arcs) {
    assert.match(path, /^M-?\d+,-?\d+(C-?\d+,-?\d+ -?\d+,-?\d+ -?\d+,-?\d+)+$/);
    assert.ok(Number.isInteger(x) && Number.isInteger(y));
  }
  const [x, y, w, h] = made.frames["g/a b"] as [number, number, number, number];
  assert.ok(x >= 0 && y >= 0 && x + w <= made.width && y + h <= made.height);
});

test("an empty graph has a geometry", () => {
  assert.deepEqual(geometry({ bb: "0,0,0,0" }), { width: 0, height: 0, nodes: {}, arcs: [], frames: {} });
});

test("a curve ends at the tip of its arrow", () => {
  assert.equal(curve("e,10,0 0,40 1,30 2,20 3,10", 40)?.path, "M0,0C1,10 2,20 10,40");
  assert.equal(curve("0,40", 40), null);
});

test("an arrow's head points along the end of its curve", () => {
  assert.equal(arrowHead("M0,0C0,10 0,20 0,30"), "M0,30L-2.8,23.0 2.8,23.0Z");
  assert.equal(arrowHead("M0,0"), "");
});

test("texts are shortened in the middle, and what cannot be seen is written out", () => {
  assert.equal(shortened("prepare/a-very-long-name/part-17", 16), "prepare/…part-17");
  assert.equal(shortened("a\u202eb", 16), "a\\u202eb");
  assert.equal(shortened("a\n\tb", 16), "a b");
});

test("reach and toward follow arcs", () => {
  const links = new Map([["a", ["b", "c"]], ["b", ["d"]], ["d", ["a"]]]);
  assert.deepEqual([...reach("a", links)].sort(), ["a", "b", "c", "d"]);
  const nodes = { a: [0, 0, 1, 1], b: [0, 50, 1, 1], c: [40, 50, 1, 1], d: [100, 0, 1, 1] } as never;
  assert.equal(toward("a", "ArrowDown", nodes, ["c"]), "c");
  assert.equal(toward("a", "ArrowDown", nodes, []), "b");
  assert.equal(toward("a", "ArrowRight", nodes, []), "d");
  assert.equal(toward("a", "ArrowUp", nodes, ["b"]), null);
});
