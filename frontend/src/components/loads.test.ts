import assert from "node:assert/strict";
import { test } from "node:test";
import { cpusUsed, measures, memory, processor, sparkline } from "./loads.js";

const GOVERNOR = {
  id: "a",
  cpus: 4,
  resources: { cpus: 4, gpus: 2 },
  tasks: 9,
  objects: 3,
  load: {
    gpus_used: 1,
    disk_bytes: 0,
    load: 2,
    memory_bytes: 1e6,
    memory_max_bytes: 4e6,
    inline_bytes: 10,
    executors: 3,
    executors_running: 2,
    tasks_ready: 0,
    fan: 1.234,
    objects: 3,
  } as Record<string, number>,
};

test("work that was sent ahead uses no cpus", () => {
  assert.equal(cpusUsed(GOVERNOR), 4);
  assert.equal(cpusUsed({ ...GOVERNOR, tasks: 1 }), 1);
});

test("what is known has a name, a unit and its place; the rest is shown as it is", () => {
  const found = measures(GOVERNOR);
  assert.deepEqual(
    found.map(({ label, text }) => `${label}: ${text}`),
    [
      "cpus in use: 4 of 4",
      "gpus: 1 of 2",
      "load: 2.00",
      "store in memory: 976.6 KiB of 3.8 MiB",
      "store on disk: 0 bytes",
      "small results: 10 bytes",
      "executors: 3, 2 at work",
      "fan: 1.23",
    ],
  );
  assert.deepEqual(
    found.slice(1, 4).map(({ share }) => share),
    [0.5, 0.5, 0.25],
  );
  const host = measures({ ...GOVERNOR, load: { memory_percent: 50, host_max_bytes: 8e9, host_used_bytes: 4e9 } });
  assert.equal(host.find(({ key }) => key === "memory")?.text, "3.7 GiB of 7.5 GiB");
});

test("a processor's load from the best that is there", () => {
  assert.equal(processor(GOVERNOR), 0.5);
  assert.equal(processor({ ...GOVERNOR, load: { cpu_percent: 25 } }), 0.25);
  assert.equal(processor({ ...GOVERNOR, load: { cpu: 0.25 } }), 0.25);
  assert.equal(processor({ ...GOVERNOR, tasks: 1, load: {} }), 0.25);
  assert.equal(memory(GOVERNOR), null);
  assert.equal(memory({ ...GOVERNOR, load: { memory_percent: 150 } }), 1);
});

test("a sparkline ends at the right edge", () => {
  assert.equal(sparkline([0, 1], 3, 100, 12), "50.0,11.0 100.0,1.0");
});
