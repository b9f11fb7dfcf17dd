// What is said of a node beside its picture: in the hover card, and by a screen reader.

import { count, hostOf, many, seconds } from "../format.js";
import type { Node, Status } from "../protocol.js";
import type { SessionStore } from "../store.js";

const ERROR_CHARS_SPOKEN_MAX = 200;

// In the order in which a bar of counts is drawn.
export const ORDER = ["finished", "running", "ready", "waiting", "new", "cancelled", "not run", "failed"];

export function sortedCounts(counts: Record<string, number>): [string, number][] {
  const place = (state: string) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);
  return Object.entries(counts)
    .filter(([, n]) => n > 0)
    .sort(([a], [b]) => place(a) - place(b));
}

// How long a task took, or has taken so far.
function tookOf(status: Status | undefined): string {
  if (status?.took || status?.state !== "running" || !status.start) return status?.took ?? "";
  return seconds(Date.now() / 1000 - status.start);
}

// What the hover card says, a line each.
export function facts(store: SessionStore, node: Node, status: Status | undefined): [string, string][] {
  if (node.kind === "group") {
    const counts: [string, string][] = sortedCounts(status?.counts ?? {}).map(([state, n]) => [store.look(state).word, count(n)]);
    if (status?.stale) counts.push(["stale", count(status.stale)]);
    return [...counts, ["holds", `${many(node.tasks, "task")}, ${many(node.objects, "object")}`]];
  }
  const known: [string, string | null | undefined][] = [
    ["type", node.kind === "task" ? node.type : null],
    ["took", tookOf(status)],
    ["done", status?.doing],
    ["size", status?.size],
    ["content", status?.content_type],
    ["host", status?.governor && hostOf(status.governor)],
    ["attempts", status?.attempts ? String(status.attempts) : null],
    ["kept", status?.kept ? "yes" : null],
    ["stale", status?.stale ? "its function was edited since" : null],
    ["reuse", status?.reuse],
    [status?.state === "failed" ? "error" : "because", status?.error],
  ];
  return known.filter((fact): fact is [string, string] => !!fact[1]);
}

// «task split, running, 1.2 s»
export function spoken(store: SessionStore, node: Node, status: Status | undefined): string {
  const parts = [`${node.kind} ${node.label}`, store.look(status?.state ?? "").word, status?.stale ? "stale" : ""];
  if (node.kind === "group") {
    parts.push(...sortedCounts(status?.counts ?? {}).map(([state, n]) => `${n} ${store.look(state).word}`));
  } else {
    parts.push(status?.doing ?? "", status?.took ?? "", status?.size ?? "", status?.kept ? "kept" : "", (status?.error ?? "").slice(0, ERROR_CHARS_SPOKEN_MAX));
  }
  return parts.filter(Boolean).join(", ");
}
