import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Answer, Events, Parameters, Port, RequestName } from "./port.js";
import type { Answers, Delta, Snapshot, Status, Summary } from "./protocol.js";
import { type Change, SessionStore } from "./store.js";

mock.timers.enable({ apis: ["setInterval"] });

const SUMMARY: Summary = { tasks: { running: 1 }, objects: 1, elapsed: 2, remaining: null, ticking: false, stale: 0 };

function snapshot(version: number, status: Record<string, Status> = { t1: { state: "waiting" } }): Snapshot {
  return {
    version,
    session: { id: 1, name: "s", state: "open", note: "" },
    looks: {},
    topology: {
      number: 1,
      nodes: [{ key: "t1", kind: "task", label: "a", type: "py/"}],
      arcs: [["t1", "o2", "0"]],
      frames: [],
      dot: "digraph {}",
      sideways: false, all_objects: false,
    },
    status,
    summary: SUMMARY,
  };
}

function delta(base: number, state: string, more: Partial<Delta> = {}): Delta {
  return { version: base + 1, base, status: { t1: { state } }, summary: SUMMARY, ...more };
}

// A port whose requests are answered by hand.
class HandPort implements Port {
  readonly kind = "session";
  readonly asked: { type: string; answer(data: unknown): void; fail(error: Error): void }[] = [];
  push: (data: Delta) => void = () => undefined;

  request<K extends RequestName>(type: K, ..._: Parameters<K>) {
    return new Promise<Answer<Answers[K]>>((resolve, reject) => {
      this.asked.push({ type, answer: (data) => resolve({ data: data as Answers[K], buffers: [] }), fail: reject });
    });
  }

  on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void) {
    if (event === "delta") this.push = handler as (data: Delta) => void;
    return () => undefined;
  }

  count(type: string): number {
    return this.asked.filter((one) => one.type === type).length;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function begun(version = 5) {
  const port = new HandPort();
  const store = new SessionStore(port);
  const changes: Change[] = [];
  store.subscribe((change) => changes.push(change));
  port.asked[0]?.answer(snapshot(version));
  await turn();
  return { port, store, changes };
}

test("a snapshot replaces everything", async () => {
  const { store, changes } = await begun();
  assert.equal(store.version, 5);
  assert.equal(changes.length, 1);
  assert.ok(changes[0]?.everything);
  store.replace(snapshot(9, {}));
  assert.equal(store.status.size, 0);
});

test("a delta on the present version is applied and told", async () => {
  const { port, store, changes } = await begun();
  port.push(delta(5, "running"));
  assert.equal(store.version, 6);
  assert.equal(store.status.get("t1")?.state, "running");
  assert.deepEqual([...(changes.at(-1)?.status ?? [])], ["t1"]);
  assert.equal(changes.at(-1)?.topology, false);
});

test("an old delta is dropped", async () => {
  const { port, store } = await begun();
  port.push(delta(3, "failed"));
  assert.equal(store.status.get("t1")?.state, "waiting");
  assert.equal(port.count("snapshot"), 1);
});

test("a gap asks for a snapshot once, and news meanwhile is kept", async () => {
  const { port, store } = await begun();
  port.push(delta(7, "running"));
  port.push(delta(8, "finished"));
  assert.equal(port.count("snapshot"), 2);
  assert.equal(store.status.get("t1")?.state, "waiting");
  port.asked.at(-1)?.answer(snapshot(8, { t1: { state: "running" } }));
  await turn();
  assert.equal(store.version, 9);
  assert.equal(store.status.get("t1")?.state, "finished");
});

test("a snapshot that cannot be had is told, and asked for again with the next news", async () => {
  const port = new HandPort();
  const store = new SessionStore(port);
  port.asked[0]?.fail(new Error("no"));
  await turn();
  assert.equal(store.trouble, "no");
  port.push(delta(1, "running"));
  assert.equal(port.count("snapshot"), 2);
  port.asked.at(-1)?.answer(snapshot(2));
  await turn();
  assert.equal(store.trouble, null);
});

test("statuses of what is no longer visible go with the topology", async () => {
  const { port, store } = await begun();
  const topology = { number: 2, nodes: [], arcs: [], frames: [], dot: "digraph {}", sideways: false, all_objects: false };
  port.push(delta(5, "running", { topology, status: { "g/a": { state: "running" } } }));
  assert.equal(store.status.has("t1"), false);
  assert.equal(store.nodes.size, 0);
});

test("a selection is told to the kernel", async () => {
  const { port, store, changes } = await begun();
  store.select("t1");
  store.select("t1");
  assert.equal(port.count("select"), 1);
  assert.ok(changes.at(-1)?.selection);
});

test("neighbours follow the arcs both ways", async () => {
  const { store } = await begun();
  const { after, before } = store.neighbours();
  assert.deepEqual(after.get("t1"), ["o2"]);
  assert.deepEqual(before.get("o2"), ["t1"]);
});

test("a last delta that got lost is asked for, as long as the session is open and nothing comes", async () => {
  const { port, store } = await begun(5);
  mock.timers.tick(10_000);
  assert.equal(port.count("version"), 1);
  port.asked.at(-1)?.answer({ version: 5 });
  await turn();
  assert.equal(port.count("snapshot"), 1);
  port.push(delta(5, "running"));
  mock.timers.tick(10_000);
  assert.equal(port.count("version"), 1);
  mock.timers.tick(10_000);
  assert.equal(port.count("version"), 2);
  port.asked.at(-1)?.answer({ version: 7 });
  await turn();
  assert.equal(port.count("snapshot"), 2);
  port.asked.at(-1)?.answer({ ...snapshot(7), session: { id: 1, name: "s", state: "closed", note: "" } });
  await turn();
  assert.equal(store.version, 7);
  mock.timers.tick(60_000);
  assert.equal(port.count("version"), 2);
  store.dispose();
});

test("a snapshot that the kernel refused is asked for again", async () => {
  const port = new HandPort();
  const store = new SessionStore(port);
  port.asked[0]?.fail(new Error("too much is asked at once"));
  await turn();
  assert.equal(store.trouble, "too much is asked at once");
  mock.timers.tick(10_000);
  assert.equal(port.count("snapshot"), 2);
  port.asked.at(-1)?.answer(snapshot(3));
  await turn();
  assert.equal(store.trouble, null);
  assert.ok(store.ready);
  store.dispose();
});
