// What a governor says of itself, as lines to show. Pure.

import { bytes, count } from "../format.js";

export interface Governor {
  id: string;
  cpus: number;
  resources: Record<string, number>;
  tasks: number;
  objects: number;
  load: Record<string, number>;
}

export interface Measure {
  key: string;
  label: string;
  text: string;
  share: number | null; // 0 to 1 where there is a whole
}

const LABELS: Record<string, string> = {
  load: "load",
  cpu: "processor",
  memory: "memory",
  inline_bytes: "small results",
  memory_bytes: "memory store",
  disk_bytes: "disk store",
  spilled_bytes: "spilled",
  store_bytes: "store",
};

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

export function storeBytes({ load }: Governor): number {
  if (load["store_bytes"] !== undefined) return load["store_bytes"];
  return (load["inline_bytes"] ?? 0) + (load["memory_bytes"] ?? 0) + (load["disk_bytes"] ?? 0);
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
  const { cpus, load } = governor;
  const used = cpusUsed(governor);
  const found: Measure[] = [
    { key: "cpus", label: "cpus in use", text: `${plain(used)} of ${plain(cpus)}`, share: cpus ? clamp(used / cpus) : 0 },
  ];
  const told = new Set(["cpus_used", "objects", "tasks"]);
  for (const name of ["cpu", "memory"]) {
    const value = share(load, name);
    told.add(name).add(`${name}_percent`);
    if (value !== null) found.push({ key: name, label: LABELS[name] ?? name, text: percent(value), share: value });
  }
  for (const [key, value] of Object.entries(load).sort(([a], [b]) => compare(rank(a), rank(b)))) {
    if (told.has(key) || (key === "spilled_bytes" && !value)) continue;
    const label = LABELS[key] ?? key;
    if (key === "load") found.push({ key, label, text: value.toFixed(2), share: cpus ? clamp(value / cpus) : null });
    else if (key.endsWith("_bytes")) found.push({ key, label, text: bytes(Math.round(value)), share: null });
    else if (key.endsWith("_percent")) found.push({ key, label, text: percent(clamp(value / 100)), share: clamp(value / 100) });
    else found.push({ key, label, text: plain(value), share: null });
  }
  for (const [name, value] of Object.entries(governor.resources)) {
    if (name !== "cpus") found.push({ key: `resource ${name}`, label: name, text: plain(value), share: null });
  }
  return found;
}

// Points of a line through values from 0 to 1, the newest at the right edge of `slots` places.
export function sparkline(values: number[], slots: number, width: number, height: number): string {
  const step = width / (slots - 1);
  const left = width - (values.length - 1) * step;
  return values
    .map((value, i) => `${(left + i * step).toFixed(1)},${(1 + (height - 2) * (1 - clamp(value))).toFixed(1)}`)
    .join(" ");
}
