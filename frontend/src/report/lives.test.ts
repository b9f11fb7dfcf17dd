import assert from "node:assert/strict";
import { test } from "node:test";
import type { Arc, Life, Node, Report, TaskDetails, TaskRow } from "../protocol.js";
import { FilePort } from "./port.js";
import { Moment, stateAt, took } from "./lives.js";
import { tableOf } from "./lookups.js";

// Text is split by t1; t2 and t3 are in a group; t3 fails after 40 ms, all told in microseconds.
function report(): Report {
  const row = (key: string, name: string, state: string, error = ""): TaskRow => ({
    key, id: `1/${key.slice(1)}`, name, type: "py/", state, start: 100, took: "", governor: "g", attempts: 1, cpus: 1, error, stale: false, reused: false, reuse: "",
  });
  const task = (key: string, title: string, state: string): TaskDetails => ({
    kind: "task", key, id: key, title, state, type: "py/", made: null, stack: "", source: null, call: "", inputs: [], outputs: [], resources: {},
    options: {}, user: {}, info: { start: 100, took: "10 ms", governor: "g", attempts: 1, debug: "", user: {}, ended: [] },
    error: state === "failed" ? "odd number" : null, cause: null, stale: false, renewed: null, reused: false, reuse: "", progress: null, hints: [], can_cancel: false, can_retry: false,
  });
  const t1: Node = { kind: "task", key: "t1", label: "split", type: "py/" };
  const o1: Node = { kind: "object", key: "o1", label: "text" };
  const scene = (number: number, opened: string, nodes: Node[], arcs: Arc[]) => ({
    opened, above: "", topology: { number, nodes, arcs, frames: [], dot: "", sideways: false, all_objects: opened === "objects" }, geometry: { width: 1, height: 1, nodes: {}, arcs: [], frames: {} },
  });
  return {
    made: 101, versions: [], notes: [], session: { id: 1, name: "sample", state: "closed", note: "" }, looks: {},
    severity: ["failed", "running", "ready", "waiting", "finished"],
    summary: { tasks: { finished: 2, failed: 1 }, objects: 1, elapsed: 0.04, remaining: null, ticking: false, stale: 0 },
    began: 100, length: 40_000,
    lives: {
      t1: ["waiting", [[0, "ready"], [0, "running"], [10000, "finished"]]],
      o1: ["unfinished", [[10000, "finished"], [35000, "removed"]]],
      t2: ["waiting", [[10000, "ready"], [12000, "running"], [35000, "finished"]]],
      t3: ["waiting", [[10000, "ready"], [35000, "running"], [40000, "failed"]]],
    },
    scenes: [
      scene(1, "", [t1, o1, { kind: "group", key: "g1", label: "fit", tasks: 2, objects: 2 }, { kind: "group", key: "g2", label: "x", tasks: 0, objects: 9 }], []),
      scene(2, "g1", [t1, o1, { ...t1, key: "t2", label: "fit" }, { ...t1, key: "t3", label: "fit" }], []),
    ],
    status: {
      t1: { state: "finished", took: "10 ms" }, o1: { state: "removed" }, t2: { state: "finished" }, t3: { state: "failed", error: "odd number" },
      g1: { state: "failed", counts: { finished: 1, failed: 1 } },
    },
    members: { g1: ["t2", "t3"] },
    rows: [row("t1", "split", "finished"), row("t2", "fit", "finished"), row("t3", "fit", "failed", "odd number")],
    details: {
      t1: task("t1", "split", "finished"), t2: task("t2", "fit", "finished"), t3: task("t3", "fit", "failed"),
      o1: {
        kind: "object", key: "o1", id: "1/4", title: "text", state: "removed", kept: false, content_type: null, data_type: "blob", size: "",
        digest: null, holders: [], spec_user: {}, info_user: {}, maker: { key: "t1", title: "split", state: "finished" }, users: [],
        can_inspect: false, why_not: "gone",
      },
    },
    codes: [{ made: "line 3", stack: "in cell 1", source: { text: "def fit(): ...", where: "cell 1", first_line: 1 } }], code_of: { t2: 0, t3: 0 },
    outputs: {}, outputs_whole: true, previews: {},
    timeline: {
      begin: 100, end: 100.04, now: 100.04,
      lanes: [{ governor: "g", slot: 0, kind: "cpu", bars: [[100, 0.01, "finished", "t1", "split", 1, 0, 0, 0, ""], [100.012, 0.023, "finished", "t2", "fit", 1, 1, 0, 0, ""], [100.035, 0.005, "failed", "t3", "fit", 1, 1, 0, 0, ""]] }],
      functions: ["split", "fit"], queue: [],
    },
    critical: { keys: ["t3", "o1", "t1"], took: "15 ms" },
    governors: { address: "", version: "", private: false, governors: [] },
  };
}

test("a life has a state at each moment", () => {
  const life: Life = ["waiting", [[0, "ready"], [10, "running"], [30, "failed"]]];
  assert.deepEqual([-1, 0, 9, 10, 29, 30, 99].map((at) => stateAt(life, at)), ["waiting", "ready", "ready", "running", "running", "failed", "failed"]);
  assert.equal(took(life), 20);
  assert.equal(took(["waiting", [[5, "cancelled"]]]), null);
});

test("a moment recolours tasks, objects and groups, and the end is as it was found", () => {
  const moment = new Moment(report(), 15_000);
  assert.deepEqual(moment.status("t1"), { state: "finished", took: "10 ms" });
  assert.deepEqual(moment.status("g1"), { state: "running", counts: { running: 1, ready: 1 } });
  assert.equal(moment.status("o1")?.state, "finished");
  assert.deepEqual(moment.summary().tasks, { finished: 1, running: 1, ready: 1 });
  const end = new Moment(report(), 40_000);
  assert.deepEqual(end.status("g1"), { state: "failed", counts: { finished: 1, failed: 1 } });
});

test("bars of the timeline end at the moment", () => {
  const { lanes, now } = new Moment(report(), 15_000).timeline();
  assert.equal(now, 100.015);
  assert.deepEqual(lanes[0]?.bars.map((bar) => [bar[2], bar[3]]), [["finished", "t1"], ["running", "t2"]]);
});

test("the table is filtered, sorted and cut", () => {
  const whole = report();
  const keys = (asked: object) => tableOf(whole, whole.rows, asked).rows.map(({ key }) => key);
  assert.deepEqual(keys({}), ["t1", "t2", "t3"]);
  assert.deepEqual(keys({ sort: "took", descending: true }), ["t2", "t1", "t3"]);
  assert.deepEqual(keys({ sort: "name" }), ["t2", "t3", "t1"]);
  assert.deepEqual(keys({ filter: "FIT" }), ["t2", "t3"]);
  assert.deepEqual(keys({ filter: "odd number" }), ["t3"]);
  assert.deepEqual(keys({ states: ["failed"] }), ["t3"]);
  assert.deepEqual(keys({ offset: 1, count: 1 }), ["t2"]);
  assert.throws(() => keys({ filter: "(" }));
});

test("the file answers for the kernel", async () => {
  const port = new FilePort(report());
  const told: string[] = [];
  port.on("delta", (delta) => told.push(`${delta.base}: ${Object.keys(delta.status)} ${delta.topology?.number}`));
  const { data } = await port.request("snapshot");
  assert.equal(data.status["g1"]?.state, "failed");
  assert.deepEqual((await port.request("search", { pattern: "fit|odd|text" })).data, {
    keys: ["g1", "o1"],
    tasks: 2,
    objects: 1,
    first: [{ key: "t2", title: "fit" }, { key: "t3", title: "fit" }, { key: "o1", title: "text" }],
  });
  assert.deepEqual((await port.request("critical")).data.keys, ["g1", "o1", "t1"]);
  port.seek(15_000);
  assert.deepEqual(told, ["1: o1,g1 undefined"]);
  assert.ok(port.file.opens("g1") && !port.file.opens("g2"));
  await port.request("open", { key: "g1" });
  assert.equal(told.at(-1), "2: t1,o1,t2,t3 2");
  assert.deepEqual((await port.request("details", { key: "t3" })).data, { ...report().details["t3"], ...report().codes[0], state: "ready", error: null, hints: [], info: null });
  assert.equal((await port.request("details", { key: "g1" })).data.kind, "group");
  await assert.rejects(port.request("open", { key: "g2" }), /no drawing/);
  await assert.rejects(port.request("retry", { key: "t3" }), /no kernel/);
  await assert.rejects(port.request("inspect", { key: "o1" }), /beginning/);
  assert.deepEqual((await port.request("output", { key: "t1" })).data, { stdout: "", stderr: "" });
});
