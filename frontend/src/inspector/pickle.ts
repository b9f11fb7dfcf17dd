// What can be said of a pickle without loading it, and its value when somebody asks for that.

import { button, h } from "../dom.js";
import { count } from "../format.js";
import type { PicklePage, Scope, ValuePage } from "./page.js";
import { pairs } from "./pairs.js";
import { tableView } from "./table.js";

export function pickleView(scope: Scope, page: PicklePage): HTMLElement {
  const most = Math.max(1, ...page.opcodes.map(([, number]) => number));
  return h(
    "div",
    { class: "rain-view" },
    h(
      "div",
      { class: "rain-view-bar" },
      h("span", { class: "rain-muted" }, "Nothing was unpickled to show this."),
      button("Unpickle (runs code from the object)", "Loads the value in the kernel; code that the object names may run", () => scope.turn("value"), "rain-push rain-careful"),
    ),
    h(
      "div",
      { class: "rain-pickle", tabindex: "0", role: "region", "aria-label": "Summary of the pickle" },
      pairs(page.summary),
      page.globals.length > 0 && h("section", {}, h("h4", {}, "names it refers to"), h("ul", { class: "rain-globals" }, ...page.globals.map((name) => h("li", {}, name)))),
      page.opcodes.length > 0 &&
        h("section", {}, h("h4", {}, "opcodes"), h("ul", { class: "rain-opcodes" }, ...page.opcodes.map(([name, number]) => opcode(name, number, most)))),
    ),
  );
}

function opcode(name: string, number: number, most: number): HTMLElement {
  const fill = h("span", { class: "rain-gauge-fill" });
  fill.style.width = `${((number / most) * 100).toFixed(1)}%`;
  return h(
    "li",
    { class: "rain-gauge" },
    h("span", { class: "rain-gauge-label" }, name),
    h("span", { class: "rain-gauge-bar", "aria-hidden": "true" }, fill),
    h("span", { class: "rain-gauge-value" }, count(number)),
  );
}

export function valueView(scope: Scope, page: ValuePage): HTMLElement {
  const type = h("div", { class: "rain-value-type" }, h("span", { class: "rain-muted" }, "type "), page.type);
  if ("columns" in page) return h("div", { class: "rain-view" }, type, tableView(scope, page));
  return h("div", { class: "rain-view" }, type, h("pre", { class: "rain-text rain-wrap", tabindex: "0", "aria-label": "Value" }, page.text));
}
