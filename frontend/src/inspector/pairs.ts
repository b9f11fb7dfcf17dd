// Names with their values.

import { h } from "../dom.js";

export function pairs(list: [string, unknown][], kind = ""): HTMLElement | null {
  if (!list.length) return null;
  return h(
    "dl",
    { class: `rain-pairs ${kind}`.trim() },
    ...list.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, words(value)))),
  );
}

// A value of JSON as text for people.
export function words(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

// The items of what users attach; null when there is nothing to show.
export function items(value: unknown): [string, unknown][] | null {
  if (value === null || value === undefined || value === "") return null;
  if (Array.isArray(value)) return value.length ? [["", value]] : null;
  if (typeof value !== "object") return [["", value]];
  const found = Object.entries(value);
  return found.length ? found : null;
}
