// What a report looks like at a moment: the states of tasks, objects and groups from their lives. Pure.

import type { Details, Life, Link, Report, Status, Summary, Timeline } from "../protocol.js";

const OPEN = ["new", "waiting", "ready", "running", "unfinished"];

export const settled = (state: string): boolean => !OPEN.includes(state);

// Microseconds count from the report's `began`.
export function stateAt([first, changes]: Life, at: number): string {
  let state = first;
  for (const [since, next] of changes) if (since <= at) state = next;
  return state;
}

// How long a task ran, in microseconds; null if it did not.
export function took([, changes]: Life): number | null {
  const begun = changes.findIndex(([, state]) => state === "running");
  const begin = changes[begun];
  const end = changes[begun + 1];
  return begin && end ? end[0] - begin[0] : null;
}

export class Moment {
  // Whether it is the end, at which everything is as it was found.
  readonly last: boolean;
  private readonly tasks: string[];

  constructor(
    private readonly report: Report,
    readonly at: number,
  ) {
    this.last = at >= report.length;
    this.tasks = report.rows.map(({ key }) => key);
  }

  state(key: string): string | null {
    const life = this.report.lives[key];
    return life ? stateAt(life, this.at) : null;
  }

  counts(keys: Iterable<string>): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const key of keys) {
      const state = this.state(key);
      if (state !== null) counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }

  status(key: string): Status | undefined {
    const found = this.report.status[key];
    if (this.last || !found) return found;
    const members = this.report.members[key];
    if (members) {
      const counts = this.counts(members);
      return { state: this.worst(counts), counts };
    }
    const state = this.state(key) ?? found.state;
    if (state === found.state || settled(state)) return { ...found, state };
    return { state, governor: state === "running" ? found.governor : null, kept: found.kept };
  }

  summary(): Summary {
    if (this.last) return this.report.summary;
    return { ...this.report.summary, tasks: this.counts(this.tasks), elapsed: this.at / 1e6, remaining: null, ticking: false };
  }

  details(key: string): Details | undefined {
    const found = this.found(key);
    if (!found || found.kind === "group" || this.last) return found;
    const linked = (links: Link[]) => links.map((link) => ({ ...link, state: this.state(link.key) ?? link.state }));
    const state = this.state(key) ?? found.state;
    if (found.kind === "object") {
      const there = state === found.state ? found : { ...found, state, can_inspect: false, why_not: "It was not there at this moment." };
      return { ...there, maker: found.maker && (linked([found.maker])[0] ?? null), users: linked(found.users) };
    }
    const same = { ...found, inputs: linked(found.inputs), outputs: linked(found.outputs) };
    return state === found.state ? same : { ...same, state, error: null, cause: null, hints: [], info: null };
  }

  // As it was found; many tasks have the same code.
  private found(key: string): Details | undefined {
    const found = this.report.details[key];
    const code = this.report.codes[this.report.code_of[key] ?? -1];
    return found?.kind === "task" && code ? { ...found, ...code } : found;
  }

  timeline(): Timeline {
    const whole = this.report.timeline;
    if (this.last) return whole;
    const now = this.report.began + this.at / 1e6;
    const lanes = whole.lanes.map((lane) => ({
      ...lane,
      bars: lane.bars
        .filter(([start]) => start <= now)
        .map(([start, seconds, state, ...rest]): Timeline["lanes"][0]["bars"][0] =>
          start + seconds <= now || state === "moved" ? [start, seconds, state, ...rest] : [start, now - start, "running", ...rest],
        ),
    }));
    return { ...whole, now, lanes, queue: whole.queue.filter(([at]) => at <= now) };
  }

  // As `Counted.state` of the kernel says it.
  private worst(counts: Record<string, number>): string {
    const begun = Object.keys(counts).some((state) => counts[state] && settled(state));
    if (begun && !counts["failed"] && (counts["ready"] || counts["waiting"])) return "running";
    return this.report.severity.find((state) => counts[state]) ?? Object.keys(counts)[0] ?? "new";
  }
}
