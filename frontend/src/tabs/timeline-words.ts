// What the timeline says: on its canvas, and in the lists that screen readers have in its place. Pure.

import { clock, many, seconds } from "../format.js";
import type { Bar, Look, Timeline, TimelineLane } from "../protocol.js";
import { barEnd, longestQueue, uses } from "./lanes.js";
import type { Span } from "./time.js";

export const HEADS = { shared: "tasks that ask for less than a cpu", transfers: "inputs that came" };
export const NOW = "now";
const BARS_TOLD_MAX = 100;
const APART = ["shared", "transfers"] as const;

export interface Told {
  words: string;
  parts: Told[];
}

export function headOf(governor: string): string {
  return governor || "governor not known";
}

export function waitingFor(most: number): string {
  return `waiting for room: up to ${most}`;
}

export function wordsOf(bar: Bar): string {
  const [, , state, , name, number, , , , told] = bar;
  if (number > 1) return `${number} ${state === "moved" ? "inputs" : "tasks"}`;
  return told ? `${name}: ${told}` : (state === "failed" ? "✗ " : "") + name;
}

export function titleOf(data: Timeline, span: Span, now: number): string {
  const found = uses(data.lanes, span.begin, span.end, now);
  const tasks = found.reduce((sum, use) => sum + use.tasks, 0);
  const cpus = found.reduce((sum, use) => sum + use.slots, 0);
  const length = seconds(span.end - span.begin);
  return `Timeline of ${length}: ${many(tasks, "task")} on ${many(cpus, "cpu")} of ${many(found.length, "governor")}`;
}

// All that is drawn between two moments, as lists: each governor with what ran there, then how many waited.
export function toldOf(
  data: Timeline,
  span: Span,
  now: number,
  ticking: boolean,
  name: (governor: string) => string,
  look: (state: string) => Look,
): Told[] {
  const found: Told[] = [];
  let left = BARS_TOLD_MAX;
  const bars = (governor: string, kind: TimelineLane["kind"]): Told[] => {
    const inSight = data.lanes
      .filter((lane) => lane.governor === governor && lane.kind === kind)
      .flatMap((lane) => lane.bars)
      .filter((bar) => bar[0] <= span.end && barEnd(bar, now) >= span.begin)
      .sort((one, other) => one[0] - other[0]);
    const shown = inSight.slice(0, left).map((bar) => ({ words: `${wordsOf(bar)}, ${fate(bar, now, look)}`, parts: [] }));
    left -= shown.length;
    const more = inSight.length - shown.length;
    return more ? [...shown, { words: `and ${more} more; the table lists all tasks`, parts: [] }] : shown;
  };
  for (const { governor, slots, tasks, busy } of uses(data.lanes, span.begin, span.end, now)) {
    const kinds = new Set(data.lanes.filter((lane) => lane.governor === governor).map((lane) => lane.kind));
    const own = bars(governor, "cpu");
    const apart = APART.filter((kind) => kinds.has(kind)).map((kind) => ({ words: HEADS[kind], parts: bars(governor, kind) }));
    const told = `${headOf(name(governor))}: ${many(slots, "cpu")}, ${many(tasks, "task")}, ${Math.round(busy * 100)} % busy`;
    found.push({ words: told, parts: [...own, ...apart] });
  }
  if (ticking && data.lanes.length) found.push({ words: `${NOW}: ${clock(now)}`, parts: [] });
  const most = longestQueue(data.queue, span.begin, span.end);
  if (most) found.push({ words: waitingFor(most), parts: [] });
  return found;
}

function fate(bar: Bar, now: number, look: (state: string) => Look): string {
  const state = bar[2] === "moved" ? "came in" : look(bar[2]).word;
  return `${state} ${seconds(barEnd(bar, now) - bar[0])}, since ${clock(bar[0])}`;
}
