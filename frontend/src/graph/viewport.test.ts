import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Status } from "../protocol.js";
import { occurring } from "./legend.js";
import { MARGIN, READABLE, readableView } from "./viewport.js";

const WINDOW = { width: 1000, height: 500 };

test("a world that fits is seen whole and in the middle", () => {
  const { scale, x, y } = readableView(WINDOW, { width: 900, height: 100 });
  assert.ok(scale > 1 && 900 * scale <= WINDOW.width - 2 * MARGIN + 1e-9);
  assert.ok(Math.abs(x + (900 * scale) / 2 - 500) < 1e-9);
  assert.ok(Math.abs(y + (100 * scale) / 2 - 250) < 1e-9);
});

test("a large world stays readable and begins at its edge", () => {
  assert.deepEqual(readableView(WINDOW, { width: 5000, height: 4000 }), { scale: READABLE, x: MARGIN, y: MARGIN });
});

test("the part that was asked for is in sight", () => {
  const part = { x: 4000, y: 3000, width: 300, height: 200 };
  const { scale, x, y } = readableView(WINDOW, { width: 5000, height: 4000 }, part);
  assert.equal(scale, READABLE);
  assert.ok(x + part.x * scale >= 0 && x + (part.x + part.width) * scale <= WINDOW.width);
  assert.ok(y + part.y * scale >= 0 && y + (part.y + part.height) * scale <= WINDOW.height);
  const large = readableView(WINDOW, { width: 5000, height: 4000 }, { x: 2000, y: 1500, width: 2500, height: 2000 });
  assert.ok(Math.abs(large.x + 2000 * READABLE - MARGIN) < 1e-9, "from its beginning");
});

test("the legend has what occurs", () => {
  const nodes: Node[] = [
    { kind: "task", key: "t1", label: "a", type: "py/" },
    { kind: "object", key: "o1", label: "b", directory: true },
    { kind: "group", key: "g1", label: "c", tasks: 3, objects: 0 },
  ] as Node[];
  const status = new Map<string, Status>([
    ["t1", { state: "running" }],
    ["o1", { state: "finished", kept: true }],
    ["g1", { state: "running", counts: { failed: 1, ready: 0 } }],
  ] as [string, Status][]);
  const order = ["ready", "running", "finished", "failed"];
  assert.deepEqual(occurring(nodes, status, order), {
    shapes: ["task", "directory", "group", "kept"],
    states: ["running", "finished", "failed"],
  });
  assert.deepEqual(occurring([], new Map(), order), { shapes: [], states: [] });
});
