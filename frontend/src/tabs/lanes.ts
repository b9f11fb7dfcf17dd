// The rows of the timeline: a line for each governor, then its cpus, then what tasks that share cpus did, then what came
// to it. Pure.

import type { Bar, QueuePoint, TimelineLane } from "../protocol.js";

type LaneKind = TimelineLane["kind"];

export const HEAD_PX = 24;
export const SHARED_HEAD_PX = 18;
export const LANE_PX = 20;

// A heading is of a governor, or of those of its lanes that are no cpus.
export type Line = { top: number; height: number; governor: string; lane: TimelineLane | null; kind: LaneKind };

export function lines(lanes: TimelineLane[]): Line[] {
  const found: Line[] = [];
  let top = 0;
  let last: TimelineLane | null = null;
  const add = (height: number, lane: TimelineLane, whole: boolean, kind: LaneKind) => {
    found.push({ top, height, governor: lane.governor, lane: whole ? lane : null, kind });
    top += height;
  };
  for (const lane of lanes) {
    const other = lane.governor !== last?.governor;
    if (other) add(HEAD_PX, lane, false, "cpu");
    if (lane.kind !== "cpu" && (other || last?.kind !== lane.kind)) add(SHARED_HEAD_PX, lane, false, lane.kind);
    add(LANE_PX, lane, true, lane.kind);
    last = lane;
  }
  return found;
}

// The most tasks that waited at a time, between two moments.
export function longestQueue(queue: QueuePoint[], begin: number, end: number): number {
  let most = 0;
  queue.forEach(([at, count], i) => {
    const until = queue[i + 1]?.[0] ?? Infinity;
    if (at <= end && until >= begin) most = Math.max(most, count);
  });
  return most;
}

export function height(found: Line[]): number {
  const last = found[found.length - 1];
  return last ? last.top + last.height : 0;
}

export function lineAt(found: Line[], y: number): Line | null {
  let low = 0;
  let high = found.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const line = found[middle];
    if (line && line.top + line.height <= y) low = middle + 1;
    else high = middle;
  }
  const line = found[low];
  return line && y >= line.top ? line : null;
}

// A running bar grows until `now`.
export function barEnd([start, seconds, state]: Bar, now: number): number {
  return state === "running" ? Math.max(now, start + seconds) : start + seconds;
}

// The bar nearest to a time, if not farther than `slack` seconds.
export function barAt(bars: Bar[], time: number, slack: number, now: number): Bar | null {
  let best: Bar | null = null;
  let distance = slack;
  for (const bar of bars) {
    const end = barEnd(bar, now);
    const away = time < bar[0] ? bar[0] - time : time > end ? time - end : 0;
    if (away === 0) return bar;
    if (away <= distance) {
      best = bar;
      distance = away;
    }
  }
  return best;
}

export interface Use {
  governor: string;
  slots: number; // cpus that were in use; lanes of tasks that share cpus are not counted
  tasks: number;
  busy: number; // share of the slots' time between two moments, 0 to 1
}

export function uses(lanes: TimelineLane[], begin: number, end: number, now: number): Use[] {
  const found = new Map<string, Use>();
  for (const lane of lanes) {
    const use = found.get(lane.governor) ?? { governor: lane.governor, slots: 0, tasks: 0, busy: 0 };
    found.set(lane.governor, use);
    if (lane.kind === "transfers") continue;
    if (lane.kind === "cpu") use.slots++;
    for (const bar of lane.bars) {
      const seconds = Math.min(barEnd(bar, now), end) - Math.max(bar[0], begin);
      if (seconds < 0) continue;
      use.tasks += bar[5];
      if (lane.kind === "cpu") use.busy += seconds;
    }
  }
  const until = Math.max(begin, Math.min(end, now));
  for (const use of found.values()) {
    use.busy = until > begin && use.slots ? Math.min(1, use.busy / (use.slots * (until - begin))) : 0;
  }
  return [...found.values()];
}
