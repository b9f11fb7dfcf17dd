// What is looked up in a report: the table, a search. As `rain.notebook.graph_model.queries` does it. Pure.

import type { DurationBin, Found, GetTable, Report, TaskRow, TaskTable } from "../protocol.js";
import { took } from "./lives.js";

const HITS_MAX = 20;

// A regular expression in which case does not matter; null for an empty one.
export function patternOf(text: string): RegExp | null {
  return text ? new RegExp(text, "iu") : null;
}

const title = (row: TaskRow): string => row.name || (row.type.split("/").pop() ?? "") || row.type;

export function matches(row: TaskRow, pattern: RegExp): boolean {
  return [title(row), row.type, row.id, row.error].some((text) => pattern.test(text));
}

type Value = string | number;

function valueOf(report: Report, row: TaskRow, column: NonNullable<GetTable["sort"]>): Value {
  if (column === "id") return Number(row.key.slice(1));
  if (column === "name") return title(row);
  if (column === "start") return row.start ?? Infinity;
  const life = report.lives[row.key];
  if (column === "took") return (life && took(life)) ?? 0;
  return row[column];
}

export function tableOf(report: Report, rows: TaskRow[], asked: GetTable): TaskTable {
  const { offset = 0, count = 100, sort = "id", descending = false, states = null } = asked;
  const pattern = patternOf(asked.filter ?? "");
  const tests = Object.entries(asked.where ?? {}).filter(([, text]) => text.trim()).map(([column, text]) => testOf(report, column as Column, text));
  const found = rows.filter(
    (row) => (!states || states.includes(row.state)) && (!pattern || matches(row, pattern)) && tests.every((test) => test(row)),
  );
  const keyed = found.map((row): [Value, TaskRow] => [valueOf(report, row, sort), row]);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1));
  const durations = asked.durations ? histogram(found.map((row) => secondsOf(report, row)).filter((one) => one !== null)) : [];
  return { total: rows.length, matched: found.length, rows: keyed.slice(offset, offset + count).map(([, row]) => row), durations };
}

type Column = NonNullable<GetTable["sort"]>;

const COMPARISON = /^\s*(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)\s*(ms|s|min|h)?\s*$/;
const UNITS: Record<string, number> = { ms: 0.001, s: 1, min: 60, h: 3600 };
const NUMBERS = ["id", "took", "attempts", "cpus"];

// What lets a task through the filter of a column.
function testOf(report: Report, column: Column, text: string): (row: TaskRow) => boolean {
  const [, sign = "", number, unit = "s"] = COMPARISON.exec(text) ?? [];
  if (sign && NUMBERS.includes(column)) {
    const limit = Number(number) * (UNITS[unit] ?? 1);
    if (Number.isNaN(limit)) throw new Error(`${number} is not a number`);
    const compare = (value: number) =>
      sign === "<" ? value < limit : sign === "<=" ? value <= limit : sign === ">" ? value > limit : sign === ">=" ? value >= limit : value === limit;
    return (row) => {
      const value = column === "took" ? secondsOf(report, row) : Number(valueOf(report, row, column));
      return value !== null && compare(value);
    };
  }
  const pattern = patternOf(text);
  return (row) => pattern?.test(String(row[column] ?? "")) ?? true;
}

function secondsOf(report: Report, row: TaskRow): number | null {
  const life = report.lives[row.key];
  const known = life && took(life);
  return known === null || known === undefined ? null : known / 1e6;
}

const BINS_MAX = 24;

// How many tasks took how long, on a logarithmic scale.
function histogram(seconds: number[]): DurationBin[] {
  if (seconds.length < 2) return [];
  const least = Math.max(seconds.reduce((a, b) => Math.min(a, b), Infinity), 1e-6);
  const most = seconds.reduce((a, b) => Math.max(a, b), 1e-6);
  if (most / least < 1.001) return [[least, most, seconds.length]];
  const count = Math.min(BINS_MAX, Math.max(4, Math.ceil(Math.sqrt(seconds.length))));
  const width = Math.log(most / least) / count;
  const bins = Array.from({ length: count }, (_, i): DurationBin => [least * Math.exp(width * i), i + 1 < count ? least * Math.exp(width * (i + 1)) : most, 0]);
  for (const one of seconds) {
    const bin = bins[Math.min(count - 1, Math.max(0, Math.floor(Math.log(Math.max(one, least) / least) / width)))];
    if (bin) bin[2]++;
  }
  return bins;
}

// `visible` gives the node that is seen of a task or object.
export function search(report: Report, text: string, visible: (key: string) => string | null): Found {
  const pattern = patternOf(text);
  const keys = new Set<string>();
  const found: Found = { keys: [], tasks: 0, objects: 0, first: [] };
  const note = (key: string, name: string) => {
    const node = visible(key);
    if (node !== null) keys.add(node);
    if (found.first.length < HITS_MAX) found.first.push({ key, title: name });
  };
  if (!pattern) return found;
  for (const row of report.rows) {
    if (!matches(row, pattern)) continue;
    found.tasks++;
    note(row.key, title(row));
  }
  for (const [key, details] of Object.entries(report.details)) {
    if (details.kind !== "object" || details.title === details.id || !pattern.test(details.title)) continue;
    found.objects++;
    note(key, details.title);
  }
  return { ...found, keys: [...keys] };
}
