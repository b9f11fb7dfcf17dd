// Raw bytes: all rows can be scrolled to, those in sight are asked for.

import { h, setText } from "../dom.js";
import { bytes, count } from "../format.js";
import { Pages } from "../tabs/pages.js";
import { Rows } from "../tabs/rows.js";
import type { HexPage, Scope } from "./page.js";
import { target } from "./text.js";

const ROW_PX = 20;
const ROW_BYTES = 16;
const PAGE_ROWS = 256;

export function hexView(scope: Scope, first: HexPage): HTMLElement {
  const { size } = first;
  const rowBytes = first.rows.length > 1 ? (first.rows[1]?.[0] ?? ROW_BYTES) - (first.rows[0]?.[0] ?? 0) : ROW_BYTES;
  const pageRows = first.end < size ? first.rows.length : PAGE_ROWS;
  const pages = new Pages<HexPage["rows"][number]>(
    pageRows,
    async (offset) => (await scope.ask<HexPage>({ offset: offset * rowBytes })).page.rows,
    (error) => {
      scope.trouble(error);
      rows.draw();
    },
  );
  const digits = Math.max(8, size.toString(16).length);
  const rows = new Rows({
    rowHeight: ROW_PX,
    make: () =>
      h(
        "div",
        { class: "rain-hex-row", role: "row" },
        h("span", { class: "rain-muted", role: "rowheader" }),
        h("span", { class: "rain-hex-bytes", role: "cell" }),
        h("span", { class: "rain-hex-text", role: "cell" }),
      ),
    fill: (element, index) => {
      const row = pages.row(index);
      const [offset, hex, text] = element.children;
      if (offset) setText(offset, (index * rowBytes).toString(16).padStart(digits, "0"));
      if (hex) setText(hex, row?.[1] ?? "");
      if (text) setText(text, row?.[2] ?? "");
    },
    seen: (from, end) => void pages.want(from, end),
  });
  if (first.offset === 0) pages.put(0, first.rows);
  rows.element.classList.add("rain-hex");
  rows.element.setAttribute("role", "table");
  rows.element.setAttribute("aria-label", "Bytes");
  rows.element.setAttribute("tabindex", "0");
  rows.setCount(Math.ceil(size / rowBytes));
  scope.onLeave(() => rows.dispose());
  const jump = h("input", {
    class: "rain-input rain-jump",
    type: "text",
    placeholder: "offset, 0x… or %",
    "aria-label": "Go to a byte offset or a percentage",
    keydown: (event: KeyboardEvent) => {
      if (event.key !== "Enter") return;
      const to = target(jump.value, size);
      if (to !== null) rows.toTop(Math.floor(to / rowBytes));
      jump.toggleAttribute("aria-invalid", to === null);
    },
  });
  const text = size < 1024 ? bytes(size) : `${bytes(size)} (${count(size)} bytes)`;
  return h(
    "div",
    { class: "rain-view" },
    h("div", { class: "rain-view-bar" }, jump, h("span", { class: "rain-muted rain-push" }, text)),
    rows.element,
  );
}
