// What is looked up in a report: the table, a search. As `rain.notebook.graph_model.queries` does it. Pure.

import type { Found, GetTable, Report, TaskRow, TaskTable } from "../protocol.js";
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
  const found = rows.filter((row) => (!states || states.includes(row.state)) && (!pattern || matches(row, pattern)));
  const keyed = found.map((row): [Value, TaskRow] => [valueOf(report, row, sort), row]);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1));
  return { total: rows.length, matched: found.length, rows: keyed.slice(offset, offset + count).map(([, row]) => row) };
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
