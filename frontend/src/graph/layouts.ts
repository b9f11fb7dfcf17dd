// Layouts are made by one worker per page, one at a time. A store has one layout under way at most: the newest
// topology waits, those between are dropped.

import type { DotLayout, Geometry, Topology } from "../protocol.js";
import type { SessionStore } from "../store.js";
import { MARGIN, READABLE } from "./viewport.js";

interface Job {
  id: number;
  dot: string;
  resolve(layout: DotLayout): void;
  reject(error: Error): void;
}

const QUICK_NODES = 60;
const SETTLE_MS = 250;
const LINE_MIN = 200;
const OTHER_WIDTH = 0.08;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Ask = (name: string) => Promise<DataView>;

// A kernel that is asked for the program and goes meanwhile never answers: after so long another view's is asked too.
const PATIENCE_MS = 3000;

export class Engine {
  private worker: Worker | null = null;
  private readonly queue: Job[] = [];
  private running: Job | null = null;
  private number = 0;
  private readonly asked = new Map<Ask, Promise<DataView>>();
  private made: (worker: Worker) => void = () => undefined;
  private ready = this.awaited();

  // Starts the worker while there is nothing to lay out yet.
  warm(ask: Ask): void {
    this.started(ask).catch(() => undefined);
  }

  layout(dot: string, ask: Ask): Promise<DotLayout> {
    return new Promise((resolve, reject) => {
      this.queue.push({ id: ++this.number, dot, resolve, reject });
      if (this.running) this.warm(ask); // what runs may wait for a kernel that has gone
      void this.next(ask);
    });
  }

  private async next(ask: Ask): Promise<void> {
    if (this.running) return;
    const job = (this.running = this.queue.shift() ?? null);
    if (!job) return;
    try {
      const worker = await this.started(ask);
      job.resolve(await this.run(worker, job));
    } catch (error) {
      this.worker?.terminate();
      if (this.worker) this.ready = this.awaited();
      this.worker = null;
      job.reject(error instanceof Error ? error : new Error(String(error)));
    }
    this.running = null;
    void this.next(ask);
  }

  private run(worker: Worker, job: Job): Promise<DotLayout> {
    return new Promise((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<{ id: number; layout?: DotLayout; error?: string }>) => {
        if (event.data.layout) resolve(event.data.layout);
        else reject(new Error(event.data.error));
      };
      worker.onerror = (event) => reject(new Error(event.message || "the layout worker stopped"));
      worker.postMessage({ id: job.id, dot: job.dot });
    });
  }

  private awaited(): Promise<Worker> {
    return new Promise((resolve) => (this.made = resolve));
  }

  private async started(ask: Ask): Promise<Worker> {
    if (this.worker) return this.worker;
    return Promise.race([this.ready, this.program(ask).then((bytes) => this.make(bytes))]);
  }

  private make(bytes: DataView): Worker {
    if (!this.worker) {
      this.worker = worker(bytes);
      this.asked.clear();
      this.made(this.worker);
    }
    return this.worker;
  }

  // The program, from whichever kernel has it first.
  private async program(ask: Ask): Promise<DataView> {
    const others = [...this.asked.values()];
    if (others.length && !this.asked.has(ask)) {
      const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE_MS));
      const bytes = await Promise.race([Promise.any(others), late]).catch(() => null);
      if (bytes) return bytes;
    }
    if (!this.asked.has(ask)) {
      const answer = ask("graphviz.js");
      this.asked.set(ask, answer);
      answer.catch(() => this.asked.delete(ask));
    }
    return Promise.any(this.asked.values()).catch((error: AggregateError) => Promise.reject(error.errors[0]));
  }
}

function worker(bytes: DataView): Worker {
  const url = URL.createObjectURL(new Blob([bytes as DataView<ArrayBuffer>], { type: "text/javascript" }));
  try {
    return new Worker(url);
  } finally {
    // The worker fetches its script after this turn.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}

const page = globalThis as { rainNotebookEngine?: Engine };

// A graph that grows faster than it is laid out is drawn as it was a moment ago.
export interface Layout {
  topology: Topology;
  geometry: Geometry;
}

export class Layouts {
  layout: Layout | null = null;
  trouble: string | null = null;
  private readonly listeners = new Set<() => void>();
  private readonly engine = (page.rainNotebookEngine ??= new Engine());
  private busy = false;
  // CSS pixels that a view has beside each other, and what Graphviz said last, for other lines of the same graph.
  private width = 960;
  private drawn: { topology: Topology; layout: DotLayout; width: number } | null = null;

  constructor(private readonly store: SessionStore) {
    store.subscribe((change) => {
      if (change.topology) void this.run();
    });
    if (!store.file) this.engine.warm(this.ask);
    if (store.ready) void this.run();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  // A view is so wide. Lines are made anew if that is much more or less than before.
  setWidth(width: number): void {
    this.width = width;
    const { drawn } = this;
    if (!drawn || this.busy || !drawn.topology.sideways) return;
    if (Math.abs(width - drawn.width) > OTHER_WIDTH * drawn.width) void this.place(drawn.topology, drawn.layout).then(() => this.tell());
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }

  private async run(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    // A layout of hundreds of nodes takes a cpu from the tasks: not while the graph is still growing.
    if (this.layout && !this.store.file && this.store.topology.nodes.length > QUICK_NODES) await pause(SETTLE_MS);
    const { topology } = this.store;
    try {
      if (this.layout?.topology.number !== topology.number) await this.make(topology);
      this.trouble = null;
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
    }
    this.busy = false;
    this.tell();
    if (this.store.topology.number !== topology.number) void this.run();
  }

  private readonly ask: Ask = async (name) => {
    const bytes = (await this.store.request("asset", { name })).buffers[0];
    if (!bytes) throw new Error(`the kernel sent no ${name}`);
    return bytes;
  };

  private async make(topology: Topology): Promise<void> {
    const placed = this.store.file?.placed(topology.number);
    if (placed) {
      this.layout = { topology, geometry: placed };
      return;
    }
    await this.place(topology, await this.engine.layout(topology.dot, this.ask));
  }

  private async place(topology: Topology, layout: DotLayout): Promise<void> {
    const { width } = this;
    this.drawn = { topology, layout, width };
    const line = topology.sideways ? Math.max(LINE_MIN, (width - 2 * MARGIN) / READABLE) : null;
    const { data: geometry } = await this.store.request("geometry", { number: topology.number, layout, line });
    this.layout = { topology, geometry };
  }
}
