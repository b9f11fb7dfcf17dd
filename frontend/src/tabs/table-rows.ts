// The columns of the table of tasks, and its rows as elements.

import { h, setAttribute, setText } from "../dom.js";
import { clock } from "../format.js";
import type { TaskRow } from "../protocol.js";
import type { SessionStore } from "../store.js";

export type ColumnId = Exclude<keyof TaskRow, "key" | "stale" | "reused" | "reuse">;

export const COLUMNS: { id: ColumnId; title?: string; numeric?: boolean; long?: boolean }[] = [
  { id: "name", long: true },
  { id: "id", numeric: true },
  { id: "type", long: true },
  { id: "state" },
  { id: "start", numeric: true },
  { id: "took", title: "duration", numeric: true },
  { id: "governor", long: true },
  { id: "attempts", numeric: true },
  { id: "cpus", numeric: true },
  { id: "error", long: true },
];

export function makeRow(): HTMLElement {
  const row = h("div", { role: "row", class: "rain-grid-row rain-task-row rain-item" });
  for (const { id, numeric } of COLUMNS) {
    const kind = id === "state" ? "rain-cell rain-state" : numeric ? "rain-cell rain-num" : "rain-cell";
    row.append(h("div", { role: "gridcell", class: kind }));
  }
  return row;
}

// Fills the element with a task; undefined is one that has not come yet.
export function fillRow(element: HTMLElement, store: SessionStore, row: TaskRow | undefined, index: number, active: boolean): void {
  element.dataset["index"] = String(index);
  element.classList.toggle("rain-active", active);
  element.classList.toggle("rain-odd", index % 2 === 1);
  element.classList.toggle("rain-awaited", row === undefined);
  setAttribute(element, "aria-selected", String(row !== undefined && row.key === store.selected));
  setAttribute(element, "data-s", row ? row.state : null);
  const texts = row ? textsOf(store, row) : null;
  COLUMNS.forEach(({ id, long }, column) => {
    const cell = element.children[column] as HTMLElement;
    const text = texts?.[id] ?? "";
    setText(cell, text);
    if (long) setAttribute(cell, "title", text || null);
    if (id === "state") setAttribute(cell, "title", row?.reuse || null);
    if (id === "name") cell.classList.toggle("rain-muted", row !== undefined && !row.name);
  });
}

function textsOf(store: SessionStore, row: TaskRow): Record<ColumnId, string> {
  const look = store.look(row.state);
  return {
    name: row.name || row.type,
    id: row.id,
    type: row.type,
    state: `${look.mark} ${row.reused ? "reused" : look.word}${row.stale ? ", stale" : ""}`,
    start: row.start === null ? "" : clock(row.start),
    took: row.took,
    governor: row.governor,
    attempts: row.attempts ? String(row.attempts) : "",
    cpus: String(row.cpus),
    error: row.error,
  };
}
