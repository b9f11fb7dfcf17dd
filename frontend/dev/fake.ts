// A widget model whose kernel is this file.

import type { Counts, Details, Node, Snapshot, Status } from "../src/protocol.js";
import { large, LOOKS, sampler, topology, type World } from "./graphs.js";

type Handler = (message: unknown, buffers: DataView[]) => void;

export interface Options {
  nodes: number;
  live: boolean;
  kind?: string;
}

export class FakeModel {
  readonly log: unknown[] = [];
  readonly world: World;
  private readonly handlers: Handler[] = [];
  private version = 1;
  private number = 1;
  private begun = performance.now();

  constructor(private readonly options: Options) {
    this.world = options.nodes <= 20 ? sampler() : large(options.nodes);
    if (options.live) setInterval(() => this.live(), 100);
  }

  get(name: string): unknown {
    return name === "kind" ? (this.options.kind ?? "session") : "dev";
  }

  on(name: string, handler: Handler): void {
    if (name === "msg:custom") this.handlers.push(handler);
  }

  send(content: { type: string; request: number }): void {
    this.log.push(content);
    void this.answer(content.type, content as never).then(
      ([data, buffers]) => this.emit({ type: "reply", request: content.request, data }, buffers),
      (error: Error) => this.emit({ type: "reply", request: content.request, error: error.message }),
    );
  }

  // Some more nodes, as when a cell declares more.
  more(): void {
    const n = this.world.nodes.length + 100;
    const after = this.world.nodes.filter((node) => node.kind === "object").at(-1) as Node;
    this.world.nodes.push({ key: `t${n}`, kind: "task", label: `more ${n}`, type: "py/", in: null });
    this.world.nodes.push({ key: `o${n + 1}`, kind: "object", label: "out", directory: false, in: null });
    this.world.arcs.push([after.key, `t${n}`, "0", 1], [`t${n}`, `o${n + 1}`, "0", 1]);
    this.push({ [`t${n}`]: { s: "new" }, [`o${n + 1}`]: { s: "new" } }, true);
  }

  push(status: Record<string, Status>, grown = false): void {
    Object.assign(this.world.status, status);
    const data = {
      version: ++this.version,
      base: this.version - 1,
      status,
      summary: this.summary(),
      ...(grown ? { topology: topology(this.world, ++this.number) } : {}),
    };
    this.emit({ type: "push", event: "delta", data });
  }

  private emit(message: unknown, buffers: DataView[] = []): void {
    for (const handler of this.handlers) handler(message, buffers);
  }

  private live(): void {
    const changed: Record<string, Status> = {};
    const tasks = this.world.nodes.filter((node) => node.kind === "task");
    const running = tasks.filter((task) => this.world.status[task.key]?.s === "running").slice(0, 6);
    for (const task of running) {
      const failed = Math.random() < 0.02;
      const before = this.world.status[task.key] as Status;
      changed[task.key] = { ...before, s: failed ? "failed" : "finished", d: Math.random() * 3, ...(failed ? { e: "OSError: no" } : {}) };
      for (const [tail, head] of this.world.arcs) {
        if (tail === task.key && head.startsWith("o") && !failed) changed[head] = { s: "finished", z: Math.round(Math.random() * 1e7) };
      }
    }
    const waiting = tasks.filter((task) => ["waiting", "ready"].includes(this.world.status[task.key]?.s ?? "")).slice(0, 8);
    for (const task of waiting) changed[task.key] = { s: "running", t: Date.now() / 1000, g: "127.0.0.1:41000" };
    if (Object.keys(changed).length) this.push(changed);
  }

  private summary() {
    const tasks: Counts = {};
    for (const node of this.world.nodes) {
      if (node.kind === "object") continue;
      const status = this.world.status[node.key] as Status;
      const counts = node.kind === "group" ? (status.c as Counts) : { [status.s]: 1 };
      for (const [state, n] of Object.entries(counts)) tasks[state] = (tasks[state] ?? 0) + n;
    }
    const elapsed = (performance.now() - this.begun) / 1000 + 20;
    return { tasks, objects: this.world.nodes.length, elapsed, remaining: 42, ticking: true };
  }

  private snapshot(): Snapshot {
    return {
      version: this.version,
      session: { id: 3, name: "words", word: "open" },
      looks: LOOKS,
      topology: topology(this.world, this.number),
      status: this.world.status,
      summary: this.summary(),
    };
  }

  private async answer(type: string, parameters: Record<string, never>): Promise<[unknown, DataView[]]> {
    if (type === "asset") {
      const response = await fetch(`static/${parameters["name"]}`);
      return [{}, [new DataView(await response.arrayBuffer())]];
    }
    if (type === "snapshot") return [this.snapshot(), []];
    if (type === "details") return [this.details(parameters["key"] as unknown as string), []];
    if (type === "output") return [{ stdout: `line\n${"x".repeat(200)}\n${new Date().toISOString()}`, stderr: "" }, []];
    if (type === "explain") return [{ text: "It waits for the output of evaluate, which is running." }, []];
    if (type === "search") return [this.search(parameters["pattern"] as unknown as string), []];
    if (type === "critical") return [{ keys: ["o1", "t3", "o5", "t8", "o9", "g/train", "t11"], seconds: 12.5 }, []];
    if (type === "table") return [this.table(parameters), []];
    if (type === "timeline") return [this.timeline(), []];
    if (type === "governors") return [{ address: "127.0.0.1:7000", version: "0.1.0", governors: [this.governor(0), this.governor(1)] }, []];
    if (type === "card") return [this.card(), []];
    if (type === "inspect") return [this.inspect(), []];
    if (type === "open" || type === "close") this.turn(type, parameters["key"] as unknown as string);
    return [{}, []];
  }

  private turn(type: string, key: string): void {
    if (type === "open" && this.world.frames.every((frame) => frame.key !== key)) {
      this.world.nodes = this.world.nodes.filter((node) => node.key !== key);
      this.world.frames.push({ key, label: key.slice(2), in: null });
      const status: Record<string, Status> = {};
      for (let i = 200; i < 212; i++) {
        this.world.nodes.push({ key: `t${i}`, kind: "task", label: `train ${i}`, type: "py/", in: key });
        status[`t${i}`] = { s: i % 3 ? "finished" : "running", t: Date.now() / 1000 };
        this.world.arcs.push(["o9", `t${i}`, "0", 1], [`t${i}`, "t11", `${i - 200}`, 1]);
      }
      this.world.arcs = this.world.arcs.filter(([tail, head]) => tail !== key && head !== key);
      this.push(status, true);
    }
  }

  private search(pattern: string) {
    const wanted = new RegExp(pattern, "i");
    const nodes = this.world.nodes.filter((node) => wanted.test(node.label));
    const first = nodes.slice(0, 20).map((node) => ({ key: node.key, title: node.label }));
    if (wanted.test("train 17")) first.push({ key: "t999", title: "train 17" });
    const of = (kind: string) => nodes.filter((node) => node.kind === kind).length;
    return { keys: nodes.map((node) => node.key), tasks: of("task"), objects: of("object"), first };
  }

  private details(key: string): Details {
    const node = this.world.nodes.find((one) => one.key === key);
    if (!node) throw new Error(`there is no ${key} in this session; it may have been unkept`);
    const status = this.world.status[key] as Status;
    const link = (other: string) => {
      const one = this.world.nodes.find((two) => two.key === other);
      return { key: other, title: one?.label ?? other, label: "0: x", state: this.world.status[other]?.s ?? "new" };
    };
    const inputs = this.world.arcs.filter(([, head]) => head === key).map(([tail]) => link(tail));
    const outputs = this.world.arcs.filter(([tail]) => tail === key).map(([, head]) => link(head));
    if (node.kind === "group") {
      const failed = [{ key: "t8", title: "train 17", error: "ValueError: x" }];
      return { kind: "group", key, title: node.label, counts: status.c as Counts, objects: node.objects, seconds: 99, failed };
    }
    const id = `3/${key.slice(1)}`;
    if (node.kind === "object") {
      return {
        kind: "object", key, id, title: node.label, state: status.s, kept: status.k ?? false,
        content_type: "json", data_type: "blob", size: status.z ?? null, digest: "xxh3:0123456789abcdef",
        holders: ["127.0.0.1:41000"], spec_user: null, info_user: { rows: 3 }, maker: inputs[0] ?? null, users: outputs,
        can_inspect: status.s === "finished", why_not: status.s === "finished" ? null : "It is not there yet.",
      };
    }
    const error = status.e ? `Traceback (most recent call last):\n  Cell In[3], line 6, in count\n    int(word)\n    ^^^^^^^^^\n${status.e}` : null;
    return {
      kind: "task", key, id, title: node.label, state: status.s, type: node.type, made: "Cell In[3], line 4", stack: null,
      source: { text: "@remote()\ndef count(ctx, text):\n    words = text.load().split()\n    return len(words)\n", where: "Cell In[3]", first_line: 4 },
      inputs, outputs, resources: { cpus: 1 }, options: {}, user: { colour: "blue" },
      info: { start: status.t ?? null, duration: status.d ?? null, governor: status.g ?? null, attempts: status.n ?? 1, debug: "", user: null },
      error, hints: error ? ["Fix the function and retry the task.", "t.explain() tells more."] : [],
      can_cancel: ["running", "waiting", "ready"].includes(status.s), can_retry: status.s === "failed",
    };
  }

  private table(parameters: Record<string, never>) {
    const tasks = this.world.nodes.filter((node) => node.kind === "task");
    const [offset, count] = [Number(parameters["offset"]), Number(parameters["count"])];
    const rows = tasks.slice(offset, offset + count).map((node) => {
      const status = this.world.status[node.key] as Status;
      return {
        key: node.key, id: `3/${node.key.slice(1)}`, name: node.label, type: node.type, state: status.s, start: status.t ?? null,
        duration: status.d ?? null, governor: status.g ?? null, attempts: status.n ?? 1, cpus: 1, error: status.e ?? null,
      };
    });
    return { total: tasks.length, matched: tasks.length, rows };
  }

  private timeline() {
    const now = Date.now() / 1000;
    const bars = (shift: number) =>
      Array.from({ length: 20 }, (_, i) => [now - 60 + 3 * i + shift, 2.2, i % 7 ? "finished" : "failed", `t${3 + i}`, `task ${i}`, 1]);
    const lanes = [0, 1, 2, 3].map((slot) => ({ governor: `127.0.0.1:4100${slot % 2}`, slot: slot >> 1, bars: bars(slot / 3) }));
    return { begin: now - 61, end: now, now, lanes };
  }

  private governor(n: number) {
    const load = { cpu: 0.4 + n / 3, memory: 0.5, store: 0.1, memory_bytes: 4e9, store_bytes: 1e8 };
    return { id: `127.0.0.1:4100${n}`, cpus: 4, resources: { gpu: 1 }, tasks: 3, objects: 12, load };
  }

  private card() {
    const sessions = [{ id: 3, name: "words", persistent: false, client: "notebook", tasks: { finished: 10, running: 2, failed: 1 } }];
    const governors = [this.governor(0), this.governor(1)];
    return { address: "127.0.0.1:7000", http: "127.0.0.1:7001", version: "0.1.0", state: "connected", governors, sessions };
  }

  private inspect() {
    const overview = {
      title: "counts", id: "3/9", content_type: "text", data_type: "blob", size: 42, digest: "xxh3:0123", holders: ["127.0.0.1:41000"],
      maker: "count", spec_user: null, info_user: null, path: [],
    };
    const page = { encoding: "utf-8", offset: 0, end: 42, size: 42, text: "the quick brown fox\n<script>alert(1)</script>\n" };
    return { overview, views: ["text", "hex"], view: "text", page };
  }
}
