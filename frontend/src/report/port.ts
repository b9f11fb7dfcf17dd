// The file in the place of a kernel: it answers what the components ask, for one moment of the session.

import type { Answer, Events, Parameters, Port, RequestName } from "../port.js";
import type { Answers, Geometry, GroupDetails, Preview, Report, Requests, Scene, Status } from "../protocol.js";
import { seconds } from "../format.js";
import { Moment, took } from "./lives.js";
import { search, tableOf } from "./lookups.js";

const FAILED_MAX = 20;
const ALL_OBJECTS = "objects"; // `opened` of that scene

type Handlers = { [K in RequestName]?: (asked: Requests[K]) => Answers[K] };

export class FilePort implements Port {
  readonly kind = "session";
  readonly file = {
    placed: (number: number): Geometry | null => this.report.scenes.find(({ topology }) => topology.number === number)?.geometry ?? null,
    opens: (key: string): boolean => this.sceneOf(key) !== undefined,
  };
  moment: Moment;
  private scene: Scene;
  private version = 1;
  private readonly told = new Map<string, Status | undefined>();
  private readonly deltas = new Set<(delta: Events["delta"]) => void>();
  private readonly handlers: Handlers = {
    snapshot: () => this.snapshot(),
    open: ({ key }) => this.turn(this.sceneOf(key)),
    close: ({ key }) => this.turn(this.scenes.get(this.sceneOf(key)?.above ?? "")),
    objects: ({ all }) => this.turn(this.scenes.get(all ? ALL_OBJECTS : ""), "The report draws objects of smaller sessions only."),
    details: ({ key }) => {
      const found = this.moment.details(key) ?? this.group(key);
      if (!found) throw new Error(`nothing in this session has the key ${key}`);
      return found;
    },
    output: ({ key }) => {
      const found = this.report.outputs[key];
      if (!found && !this.report.outputs_whole) throw new Error("What it wrote is not in the report.");
      return found ?? { stdout: "", stderr: "" };
    },
    search: ({ pattern }) => search(this.report, pattern, (key) => this.visible(key)),
    critical: () => {
      const keys = this.report.critical.keys.map((key) => this.visible(key));
      return { keys: [...new Set(keys.filter((key) => key !== null))], took: this.report.critical.took };
    },
    select: () => ({}),
    table: (asked) => tableOf(this.report, this.rows(), asked),
    timeline: () => this.moment.timeline(),
    governors: () => this.report.governors,
    inspect: (asked) => {
      const preview = this.report.previews[asked.key ?? ""];
      if (!preview || asked.offset || asked.at?.length || asked.path?.length || asked.column) {
        throw new Error("The report has only the beginning of these data.");
      }
      return preview.answer;
    },
  };
  private readonly scenes: Map<string, Scene>;
  private readonly inside = new Map<string, string[]>(); // a task or constant -> the groups that it is in

  constructor(readonly report: Report) {
    this.moment = new Moment(report, report.length);
    this.scenes = new Map(report.scenes.map((scene) => [scene.opened, scene]));
    this.scene = report.scenes[0] as Scene;
    for (const [group, keys] of Object.entries(report.members)) {
      for (const key of keys) {
        const groups = this.inside.get(key);
        if (groups) groups.push(group);
        else this.inside.set(key, [group]);
      }
    }
  }

  request<K extends RequestName>(type: K, ...[asked]: Parameters<K>): Promise<Answer<Answers[K]>> {
    const handler = this.handlers[type] as ((asked: unknown) => Answers[K]) | undefined;
    if (!handler) return Promise.reject(new Error("A report only shows: there is no kernel."));
    try {
      const key = (asked as { key?: string } | undefined)?.key ?? "";
      const buffers = type === "inspect" ? pieces(this.report.previews[key]) : [];
      return Promise.resolve({ data: handler(asked ?? {}), buffers });
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void): () => void {
    if (event !== "delta") return () => undefined;
    const known = handler as (delta: Events["delta"]) => void;
    this.deltas.add(known);
    return () => this.deltas.delete(known);
  }

  // Goes to a moment, in microseconds since the report's `began`.
  seek(at: number): void {
    this.moment = new Moment(this.report, at);
    this.tell(false);
  }

  private sceneOf(key: string): Scene | undefined {
    return key ? this.scenes.get(key) : undefined;
  }

  private turn(scene: Scene | undefined, why = "The report has no drawing of what is in this group; the table lists its tasks."): Record<string, never> {
    if (!scene) throw new Error(why);
    this.scene = scene;
    this.told.clear();
    // After the answer, as a kernel would.
    queueMicrotask(() => this.tell(true));
    return {};
  }

  private snapshot(): Answers["snapshot"] {
    const { session, looks } = this.report;
    this.told.clear();
    const { topology } = this.scene;
    return { version: this.version, session, looks, topology, status: this.changes(), summary: this.moment.summary() };
  }

  // The statuses of visible nodes that are others than was told.
  private changes(): Record<string, Status> {
    const changed: Record<string, Status> = {};
    for (const { key } of this.scene.topology.nodes) {
      const status = this.moment.status(key);
      const before = this.told.get(key);
      if (!status || (before && before.state === status.state && !status.counts && before.took === status.took)) continue;
      this.told.set(key, status);
      changed[key] = status;
    }
    return changed;
  }

  private tell(turned: boolean): void {
    const base = this.version++;
    const told = { version: this.version, base, status: this.changes(), summary: this.moment.summary() };
    const delta = turned ? { ...told, topology: this.scene.topology } : told;
    for (const handler of [...this.deltas]) handler(delta);
  }

  private rows() {
    if (this.moment.last) return this.report.rows;
    return this.report.rows.map((row) => {
      const state = this.moment.state(row.key) ?? row.state;
      return state === row.state ? row : { ...row, state, took: "", error: "" };
    });
  }

  // The node that is seen of a task or an object.
  private visible(key: string): string | null {
    const { nodes } = this.scene.topology;
    const present = (wanted: string) => nodes.some((node) => node.key === wanted);
    if (present(key)) return key;
    const group = this.inside.get(key)?.find(present);
    if (group) return group;
    const details = this.report.details[key];
    return details?.kind === "object" && details.maker ? this.visible(details.maker.key) : null;
  }

  private group(key: string): GroupDetails | undefined {
    const keys = this.report.members[key];
    if (!keys) return undefined;
    const node = this.report.scenes.flatMap(({ topology }) => topology.nodes).find((one) => one.key === key);
    const failed: GroupDetails["failed"] = [];
    let ran = 0;
    for (const one of keys) {
      const life = this.report.lives[one];
      ran += (life && took(life)) ?? 0;
      const details = this.moment.details(one);
      if (details?.kind === "task" && details.state === "failed" && failed.length < FAILED_MAX) {
        failed.push({ key: one, title: details.title, error: this.report.rows.find((row) => row.key === one)?.error ?? "" });
      }
    }
    const objects = node?.kind === "group" ? node.objects : 0;
    return { kind: "group", key, title: node?.label ?? key, counts: this.moment.counts(keys), objects, took: seconds(ran / 1e6), failed };
  }
}

function pieces(preview: Preview | undefined): DataView[] {
  return (preview?.pieces ?? []).map((text) => new DataView(bytesOf(text).buffer));
}

// The bytes that base64 stands for.
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
