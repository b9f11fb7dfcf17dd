import assert from "node:assert/strict";
import { test } from "node:test";
import type { DotLayout, Geometry, Topology } from "../protocol.js";
import type { Change, SessionStore } from "../store.js";
import { Engine, Layouts } from "./layouts.js";

const EMPTY: DotLayout = { bb: "0,0,0,0", objects: [], edges: [] };
const GEOMETRY: Geometry = { width: 0, height: 0, nodes: {}, arcs: [], frames: {} };
const turn = () => new Promise((resolve) => setImmediate(resolve));

// A store whose topology is set by hand, and an engine that is answered by hand.
function setting() {
  const asked: { dot: string; answer(error?: Error): void }[] = [];
  const engine = {
    warm: () => undefined,
    layout: (dot: string) =>
      new Promise((resolve, reject) => asked.push({ dot, answer: (error) => (error ? reject(error) : resolve(EMPTY)) })),
  };
  Object.assign(globalThis, { rainNotebookEngine: engine });
  const sent: unknown[] = [];
  let tell: (change: Change) => void = () => undefined;
  const store = {
    ready: false,
    topology: null as Topology | null,
    subscribe: (listener: (change: Change) => void) => (tell = listener),
    request: async (type: string, parameters: { number: number }) => {
      sent.push([type, parameters.number]);
      return { data: GEOMETRY, buffers: [] };
    },
  };
  const grow = (number: number) => {
    store.topology = { number, nodes: [], arcs: [], frames: [], dot: `dot ${number}`, sideways: false, all_objects: false };
    tell({ topology: true } as Change);
  };
  return { asked, sent, grow, layouts: new Layouts(store as unknown as SessionStore) };
}

test("topologies between the one that is laid out and the newest are dropped", async () => {
  const { asked, sent, grow, layouts } = setting();
  const drawn: (number | undefined)[] = [];
  layouts.subscribe(() => drawn.push(layouts.layout?.topology.number));
  [1, 2, 3].forEach(grow);
  assert.deepEqual(asked.map((one) => one.dot), ["dot 1"]);
  asked[0]?.answer();
  await turn();
  asked[1]?.answer();
  await turn();
  assert.deepEqual(asked.map((one) => one.dot), ["dot 1", "dot 3"]);
  assert.deepEqual(drawn, [1, 3]);
  assert.deepEqual(sent, [["geometry", 1], ["geometry", 3]]);
});

test("a layout that fails is told, and the next topology is tried", async () => {
  const { asked, grow, layouts } = setting();
  grow(1);
  asked[0]?.answer(new Error("no memory"));
  await turn();
  assert.equal(layouts.trouble, "no memory");
  grow(2);
  asked[1]?.answer();
  await turn();
  assert.equal(layouts.trouble, null);
  assert.equal(layouts.layout?.topology.number, 2);
});

// Workers that answer at once, counted.
function workers(): { count: number } {
  const made = { count: 0 };
  class Answering {
    onmessage: ((event: { data: { id: number; layout: DotLayout } }) => void) | null = null;
    constructor() {
      made.count++;
    }
    postMessage({ id }: { id: number }) {
      queueMicrotask(() => this.onmessage?.({ data: { id, layout: EMPTY } }));
    }
    terminate() {}
  }
  Object.assign(globalThis, { Worker: Answering });
  return made;
}

const program = async () => new DataView(new ArrayBuffer(1));

test("a kernel that goes before it has sent the program holds up no other view", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const made = workers();
  const engine = new Engine();
  engine.warm(() => new Promise(() => undefined));
  let asked = 0;
  const layout = engine.layout("digraph {}", () => {
    asked++;
    return program();
  });
  await turn();
  assert.equal(asked, 0);
  mock.timers.tick(3000);
  assert.deepEqual(await layout, EMPTY);
  assert.deepEqual([asked, made.count], [1, 1]);
});

test("one program is enough for all views, and a failure is told to the view that asked", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const made = workers();
  const engine = new Engine();
  await assert.rejects(engine.layout("digraph {}", () => Promise.reject(new Error("no such file"))), /no such file/);
  let asked = 0;
  const ask = () => {
    asked++;
    return program();
  };
  engine.warm(ask);
  assert.deepEqual(await Promise.all([engine.layout("digraph {}", ask), engine.layout("digraph {}", () => program())]), [EMPTY, EMPTY]);
  assert.deepEqual([asked, made.count], [1, 1]);
});

test("nor does one that was to draw a graph when it went", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const made = workers();
  const engine = new Engine();
  const first = engine.layout("digraph {}", () => new Promise(() => undefined));
  const second = engine.layout("digraph {}", program);
  await turn();
  mock.timers.tick(3000);
  assert.deepEqual(await Promise.all([first, second]), [EMPTY, EMPTY]);
  assert.equal(made.count, 1);
});
