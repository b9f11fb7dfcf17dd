// Texts in the picture, shortened as rain/notebook/drawing/text_metrics.py does it: sizes of nodes come from there.

import type { Node, Status } from "../protocol.js";
import type { SessionStore } from "../store.js";
import { bytes, count, firstLine, many, seconds } from "../format.js";

const NODE_CHARS = 28;
const ARC_CHARS = 20;
const FRAME_CHARS = 40;

const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\uffff]/g;

function visible(text: string): string {
  return text.replace(/[\t\n\r\f\v ]+/g, " ").replace(UNSEEN, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

export function shortened(text: string, chars: number): string {
  const seen = visible(text.length > 4 * chars ? text.slice(0, 2 * chars) + text.slice(-2 * chars) : text);
  if (seen.length <= chars) return seen;
  const end = Math.floor((chars - 1) / 2);
  return `${seen.slice(0, chars - 1 - end)}…${seen.slice(seen.length - end)}`;
}

export const nodeLabel = (node: Node): string => shortened(node.label, NODE_CHARS);
export const arcLabel = (label: string, times: number): string =>
  [shortened(label, ARC_CHARS), times > 1 ? `×${count(times)}` : ""].filter(Boolean).join(" ");
export const frameLabel = (label: string): string => shortened(label, FRAME_CHARS);

// In the order in which a bar of counts is drawn.
export const ORDER = ["finished", "running", "ready", "waiting", "new", "cancelled", "failed"];

export function sortedCounts(counts: Record<string, number>): [string, number][] {
  const place = (state: string) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);
  return Object.entries(counts)
    .filter(([, n]) => n > 0)
    .sort(([a], [b]) => place(a) - place(b));
}

export function countsOf(status: Status | undefined): Record<string, number> {
  return typeof status?.c === "object" ? status.c : {};
}

// How long it took, or has taken so far.
export function durationOf(status: Status | undefined): number | null {
  if (status?.d !== undefined) return status.d;
  if (status?.s === "running" && status.t !== undefined) return Math.max(0, Date.now() / 1000 - status.t);
  return null;
}

// What the hover card says, a line each.
export function facts(store: SessionStore, node: Node, status: Status | undefined): [string, string][] {
  const lines: [string, string][] = [];
  const put = (name: string, value: string | null | undefined) => {
    if (value) lines.push([name, value]);
  };
  if (node.kind === "group") {
    for (const [state, n] of sortedCounts(countsOf(status))) put(store.look(state).word, count(n));
    put("holds", `${many(node.tasks, "task")}, ${many(node.objects, "object")}`);
    return lines;
  }
  if (node.kind === "task") put("type", node.type);
  put("took", seconds(durationOf(status)));
  put("size", bytes(status?.z));
  put("content", typeof status?.c === "string" ? status.c : null);
  put("governor", status?.g);
  put("attempts", status?.n ? String(status.n) : null);
  put("kept", status?.k ? "yes" : null);
  put("error", status?.e ? firstLine(status.e).slice(0, 300) : null);
  return lines;
}

// What a screen reader says: «task split, running, 1.2 s».
export function spoken(store: SessionStore, node: Node, status: Status | undefined): string {
  const parts = [`${node.kind} ${node.label}`, store.look(status?.s ?? "").word];
  if (node.kind === "group") {
    parts.push(...sortedCounts(countsOf(status)).map(([state, n]) => `${n} ${store.look(state).word}`));
  } else {
    if (status?.d !== undefined) parts.push(seconds(status.d));
    if (status?.z !== undefined) parts.push(bytes(status.z));
    if (status?.k) parts.push("kept");
    if (status?.e) parts.push(firstLine(status.e).slice(0, 200));
  }
  return parts.join(", ");
}
