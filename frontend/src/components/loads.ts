// What a governor says of itself, as lines to show. Pure.

import { bytes, count } from "../format.js";
import type { Governor } from "../protocol.js";

export interface Measure {
  key: string;
  label: string;
  text: string;
  share: number | null; // 0 to 1 where there is a whole
}

// Names that a governor's `load` is known to have, in the order in which they are shown.
const LABELS: Record<string, string> = {
  load: "load",
  cpu: "processor",
  memory: "memory of the host",
  memory_bytes: "store in memory",
  disk_bytes: "store on disk",
  inline_bytes: "small results",
  spilled_bytes: "moved to disk",
  executors: "executors",
  own_cpus: "cpus kept busy",
  tasks_waiting: "tasks waiting for data",
  tasks_ready: "tasks ready to run",
  fetches: "transfers",
};

// Of how much there is so much: the whole that belongs to a part.
const WHOLES: Record<string, string> = {
  memory_bytes: "memory_max_bytes",
  disk_bytes: "disk_max_bytes",
  executors_running: "executors",
};
// Told elsewhere, or in a line with another one.
const ELSEWHERE = ["objects", "tasks", "host_used_bytes", "host_max_bytes", "executors_running"];
const UNLESS_ZERO = new Set(["spilled_bytes", "fetches", "tasks_waiting", "tasks_ready", "inline_bytes"]);

// The first of the names that is there, of a share of 0 to 1 (`cpu`) or in percent (`cpu_percent`).
function share(load: Record<string, number>, name: string): number | null {
  const percent = load[`${name}_percent`];
  const plain = load[name];
  if (percent !== undefined) return clamp(percent / 100);
  if (plain === undefined) return null;
  return clamp(plain > 1 ? plain / 100 : plain);
}

function clamp(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.min(1, value)) : 0;
}

export function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}

// How many cpus tasks use; a governor has more tasks than run, since work is sent ahead.
export function cpusUsed({ cpus, tasks, load }: Governor): number {
  return Math.min(cpus, load["cpus_used"] ?? tasks);
}

// How busy its processors are, by the best that is known.
export function processor(governor: Governor): number {
  const known = share(governor.load, "cpu");
  if (known !== null) return known;
  const average = governor.load["load"];
  if (average !== undefined && governor.cpus > 0) return clamp(average / governor.cpus);
  return governor.cpus > 0 ? cpusUsed(governor) / governor.cpus : 0;
}

export function memory(governor: Governor): number | null {
  return share(governor.load, "memory");
}

// What is known comes in a fixed order, before the rest.
function rank(key: string): number {
  const place = Object.keys(LABELS).indexOf(key);
  return place < 0 ? Infinity : place;
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function plain(value: number): string {
  return Number.isInteger(value) ? count(value) : String(Math.round(value * 100) / 100);
}

export function measures(governor: Governor): Measure[] {
  const { cpus, load, resources } = governor;
  const used = cpusUsed(governor);
  const found: Measure[] = [whole("cpus", "cpus in use", used, cpus)];
  for (const [name, all] of Object.entries(resources)) {
    if (name !== "cpus") found.push(whole(`resource ${name}`, name, load[`${name}_used`] ?? 0, all));
  }
  const told = new Set([...ELSEWHERE, ...Object.values(WHOLES).filter((name) => name !== "executors")]);
  for (const name of Object.keys(resources)) told.add(`${name}_used`);
  for (const name of ["cpu", "memory"]) {
    const value = share(load, name);
    told.add(name).add(`${name}_percent`);
    if (value === null) continue;
    const all = name === "memory" ? load["host_max_bytes"] : undefined;
    const text = all === undefined ? percent(value) : `${bytes(Math.round(value * all))} of ${bytes(all)}`;
    found.push({ key: name, label: LABELS[name] ?? name, text, share: value });
  }
  for (const [key, value] of Object.entries(load).sort(([a], [b]) => compare(rank(a), rank(b)))) {
    if (told.has(key) || (UNLESS_ZERO.has(key) && !value)) continue;
    const label = LABELS[key] ?? key;
    const all = load[WHOLES[key] ?? ""];
    if (key === "load") found.push({ key, label, text: value.toFixed(2), share: cpus ? clamp(value / cpus) : null });
    else if (key === "executors") found.push({ key, label, text: executors(load), share: null });
    else if (key.endsWith("_bytes")) {
      const text = bytes(Math.round(value)) + (all === undefined ? "" : ` of ${bytes(all)}`);
      found.push({ key, label, text, share: all ? clamp(value / all) : null });
    } else if (key.endsWith("_percent")) found.push({ key, label, text: percent(clamp(value / 100)), share: clamp(value / 100) });
    else found.push({ key, label, text: plain(value), share: null });
  }
  return found;
}

function whole(key: string, label: string, used: number, all: number): Measure {
  return { key, label, text: `${plain(used)} of ${plain(all)}`, share: all ? clamp(used / all) : 0 };
}

function executors(load: Record<string, number>): string {
  const running = load["executors_running"];
  return plain(load["executors"] ?? 0) + (running === undefined ? "" : `, ${plain(running)} at work`);
}

// Points of a line through values from 0 to 1, the newest at the right edge of `slots` places.
export function sparkline(values: number[], slots: number, width: number, height: number): string {
  const step = width / (slots - 1);
  const left = width - (values.length - 1) * step;
  return values
    .map((value, i) => `${(left + i * step).toFixed(1)},${(1 + (height - 2) * (1 - clamp(value))).toFixed(1)}`)
    .join(" ");
}
