import assert from "node:assert/strict";
import { test } from "node:test";
import { cpusUsed, measures, memory, processor, sparkline, storeBytes } from "./loads.js";

const GOVERNOR = {
  id: "a",
  cpus: 4,
  resources: { cpus: 4, gpus: 2 },
  tasks: 9,
  objects: 3,
  load: { disk_bytes: 0, load: 2, memory_bytes: 1e6, inline_bytes: 10, fan: 1.234, objects: 3 } as Record<string, number>,
};

test("work that was sent ahead uses no cpus", () => {
  assert.equal(cpusUsed(GOVERNOR), 4);
  assert.equal(cpusUsed({ ...GOVERNOR, tasks: 1 }), 1);
});

test("what is known has a name, a unit and its place; the rest is shown as it is", () => {
  const found = measures(GOVERNOR);
  assert.deepEqual(
    found.map(({ label, text }) => `${label}: ${text}`),
    ["cpus in use: 4 of 4", "load: 2.00", "small results: 10 B", "memory store: 1.0 MB", "disk store: 0 B", "fan: 1.23", "gpus: 2"],
  );
  assert.equal(found[1]?.share, 0.5);
});

test("a processor's load from the best that is there", () => {
  assert.equal(processor(GOVERNOR), 0.5);
  assert.equal(processor({ ...GOVERNOR, load: { cpu_percent: 25 } }), 0.25);
  assert.equal(processor({ ...GOVERNOR, load: { cpu: 0.25 } }), 0.25);
  assert.equal(processor({ ...GOVERNOR, tasks: 1, load: {} }), 0.25);
  assert.equal(memory(GOVERNOR), null);
  assert.equal(memory({ ...GOVERNOR, load: { memory_percent: 150 } }), 1);
  assert.equal(storeBytes(GOVERNOR), 1_000_010);
});

test("a sparkline ends at the right edge", () => {
  assert.equal(sparkline([0, 1], 3, 100, 12), "50.0,11.0 100.0,1.0");
});
