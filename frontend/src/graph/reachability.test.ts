import assert from "node:assert/strict";
import { test } from "node:test";
import { arrowHead } from "./scene.js";
import { reach, toward } from "./reachability.js";

test("an arrow's head points along the end of its curve", () => {
  assert.equal(arrowHead("M0,0C0,10 0,20 0,30"), "M0,30L-2.8,23.0 2.8,23.0Z");
  assert.equal(arrowHead("M0,0"), "");
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
