// What the browser knows of one session: a copy of the kernel's truth, brought forward by deltas. All views of a model
// share one store; a view that opens late draws from it at once.

import type { Inspected } from "./inspector/viewing.js";
import type { Answer, Filed, Parameters, Port, RequestName } from "./port.js";
import type { Answers, Delta, Download, Look, Node, SessionInfo, Snapshot, Status, Summary, Topology } from "./protocol.js";

// What has changed since listeners were last called. `everything` comes with a snapshot.
export interface Change {
  everything: boolean;
  topology: boolean;
  session: boolean;
  summary: boolean;
  selection: boolean;
  hover: boolean;
  status: ReadonlySet<string>;
}

export type Listener = (change: Change) => void;

const NOTHING: Change = {
  everything: false,
  topology: false,
  session: false,
  summary: false,
  selection: false,
  hover: false,
  status: new Set(),
};

// So long after the last delta the kernel is asked whether there was another one.
const LOOK_MS = 10_000;
const OPEN = "open";

const PLAIN: Look = { word: "?", mark: "?", fill: "#eceff1", line: "#78909c", dark_fill: "#37474f", dark_line: "#90a4ae" };

export class SessionStore {
  version = -1;
  session: SessionInfo = { id: 0, name: "", state: "", note: "" };
  looks: Record<string, Look> = {};
  topology: Topology = { number: -1, nodes: [], arcs: [], frames: [], dot: "", sideways: false, all_objects: false };
  summary: Summary = { tasks: {}, objects: 0, elapsed: null, remaining: null, ticking: false, stale: 0 };
  // When the summary came, in performance.now() milliseconds.
  summaryAt = 0;
  readonly status = new Map<string, Status>();
  readonly nodes = new Map<string, Node>();
  selected: string | null = null;
  hovered: string | null = null;
  // The group that was opened or closed last, until a layout shows it.
  turned: { key: string; opened: boolean } | null = null;
  // Why the kernel gave no snapshot: it could not be reached, or it refused.
  trouble: string | null = null;

  private readonly listeners = new Set<Listener>();
  private asking = false;
  private held: Delta[] = [];
  private heard = false;
  private readonly looking: ReturnType<typeof setInterval> | undefined;
  private readonly offs: (() => void)[];

  constructor(readonly port: Port) {
    if (!port.file) this.looking = setInterval(() => void this.lookAgain(), LOOK_MS);
    this.offs = [port.on("delta", (data) => this.delta(data)), port.on("lost", () => clearInterval(this.looking))];
    void this.refresh();
  }

  // Whether a snapshot has come.
  get ready(): boolean {
    return this.version >= 0;
  }

  // What there is instead of a kernel, in a report.
  get file(): Filed | undefined {
    return this.port.file;
  }

  // Whether there is a kernel that could do something.
  get live(): boolean {
    return !this.file;
  }

  look(state: string): Look {
    return this.looks[state] ?? { ...PLAIN, word: state };
  }

  label(key: string): string {
    return this.nodes.get(key)?.label ?? key;
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  request<K extends RequestName>(type: K, ...parameters: Parameters<K>): Promise<Answer<Answers[K]>> {
    if (type === "open" || type === "close") this.turned = { key: (parameters[0] as { key: string }).key, opened: type === "open" };
    return this.port.request(type, ...parameters);
  }

  // The way to the data of an object.
  inspected(key: string): Inspected {
    return {
      inspect: (parameters) => this.request("inspect", { ...parameters, key }),
      ...(this.live && { download: (parameters: Download) => this.request("download", { ...parameters, key }) }),
    };
  }

  // Also tells the kernel (`widget.selected`).
  select(key: string | null): void {
    if (key === this.selected) return;
    this.selected = key;
    this.tell({ selection: true });
    this.request("select", { key }).catch(() => undefined);
  }

  hover(key: string | null): void {
    if (key === this.hovered) return;
    this.hovered = key;
    this.tell({ hover: true });
  }

  // Seconds since the session began to run, up to this moment.
  elapsed(): number | null {
    const { elapsed, ticking } = this.summary;
    if (elapsed === null || !ticking) return elapsed;
    return elapsed + (performance.now() - this.summaryAt) / 1000;
  }

  // Asks for a snapshot; deltas that come meanwhile wait for it.
  async refresh(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const { data } = await this.request("snapshot");
      this.asking = false;
      this.trouble = null;
      this.replace(data);
    } catch (error) {
      this.asking = false;
      this.held = [];
      this.trouble = String(error instanceof Error ? error.message : error);
      this.tell({ session: true });
    }
    const held = this.held;
    this.held = [];
    for (const delta of held) this.delta(delta);
  }

  replace(snapshot: Snapshot): void {
    this.version = snapshot.version;
    this.session = snapshot.session;
    this.looks = snapshot.looks;
    this.status.clear();
    this.setSummary(snapshot.summary);
    this.setTopology(snapshot.topology);
    for (const [key, status] of Object.entries(snapshot.status)) this.status.set(key, status);
    this.tell({
      everything: true,
      topology: true,
      session: true,
      summary: true,
      status: new Set(this.status.keys()),
    });
  }

  // A delta that got lost is missed when the next one comes; if it was the last one, only so. A snapshot that the kernel
  // refused is asked for again.
  private async lookAgain(): Promise<void> {
    const { heard, version } = this;
    this.heard = false;
    if (heard || this.asking || globalThis.document?.hidden) return;
    if (!this.ready) return this.refresh();
    if (this.session.state !== OPEN) return;
    const answer = await this.request("version").catch(() => null);
    if (answer && answer.data.version !== version && version === this.version) await this.refresh();
  }

  delta(delta: Delta): void {
    this.heard = true;
    if (this.asking) {
      this.held.push(delta);
      return;
    }
    if (delta.version <= this.version) return;
    if (delta.base !== this.version) {
      this.held.push(delta);
      void this.refresh();
      return;
    }
    this.version = delta.version;
    if (delta.session) this.session = delta.session;
    if (delta.topology) this.setTopology(delta.topology);
    for (const [key, status] of Object.entries(delta.status)) this.status.set(key, status);
    this.setSummary(delta.summary);
    this.tell({
      topology: delta.topology !== undefined,
      session: delta.session !== undefined,
      summary: true,
      status: new Set(Object.keys(delta.status)),
    });
  }

  // The visible arcs that lead from (or to) each key.
  neighbours(): { after: Map<string, string[]>; before: Map<string, string[]> } {
    const after = new Map<string, string[]>();
    const before = new Map<string, string[]>();
    const put = (map: Map<string, string[]>, key: string, other: string) => {
      const list = map.get(key);
      if (list) list.push(other);
      else map.set(key, [other]);
    };
    for (const [tail, head] of this.topology.arcs) {
      put(after, tail, head);
      put(before, head, tail);
    }
    return { after, before };
  }

  dispose(): void {
    clearInterval(this.looking);
    for (const off of this.offs) off();
    this.listeners.clear();
  }

  private setSummary(summary: Summary): void {
    this.summary = summary;
    this.summaryAt = performance.now();
  }

  private setTopology(topology: Topology): void {
    this.topology = topology;
    this.nodes.clear();
    for (const node of topology.nodes) this.nodes.set(node.key, node);
    const visible = new Set([...this.nodes.keys(), ...topology.frames.map((frame) => frame.key)]);
    for (const key of this.status.keys()) if (!visible.has(key)) this.status.delete(key);
  }

  private tell(change: Partial<Change>): void {
    const whole = { ...NOTHING, ...change };
    for (const listener of [...this.listeners]) listener(whole);
  }
}
