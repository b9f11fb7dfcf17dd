// Raw bytes: all rows can be scrolled to, those in sight are asked for.

import { useMemo, useRef } from "preact/hooks";
import { h, setText } from "../dom.js";
import { Pages } from "../lists/pages.js";
import type { VirtualList } from "../lists/virtual-list.js";
import { VirtualRows } from "../lists/virtual-rows.js";
import type { HexPage, HexRow } from "../protocol.js";
import { Jump } from "./jump.js";
import type { ViewProps } from "./viewing.js";

const ROW_PX = 20;
const ROW_BYTES = 16;
const PAGE_ROWS = 256;
const OFFSET_DIGITS_MIN = 8;

function makeRow(): HTMLElement {
  return h(
    "div",
    { class: "rain-hex-row", role: "row" },
    h("span", { class: "rain-muted", role: "rowheader" }),
    h("span", { class: "rain-hex-bytes", role: "cell" }),
    h("span", { class: "rain-hex-text", role: "cell" }),
  );
}

export function HexView({ scope, page: first }: ViewProps<HexPage>) {
  const list = useRef<VirtualList | null>(null);
  const { size } = first;
  const rowBytes = first.rows.length > 1 ? (first.rows[1]?.[0] ?? ROW_BYTES) - (first.rows[0]?.[0] ?? 0) : ROW_BYTES;
  const digits = Math.max(OFFSET_DIGITS_MIN, size.toString(16).length);
  const pages = useMemo(() => {
    const found = new Pages<HexRow>(
      first.end < size ? first.rows.length : PAGE_ROWS,
      async (offset) => (await scope.ask<HexPage>({ offset: offset * rowBytes })).rows,
      (error) => {
        scope.trouble(error);
        list.current?.draw();
      },
    );
    if (first.offset === 0) found.put(0, first.rows);
    return found;
  }, []);
  const fill = (element: HTMLElement, index: number) => {
    const row = pages.row(index);
    const [offset, hex, text] = element.children;
    if (offset) setText(offset, (index * rowBytes).toString(16).padStart(digits, "0"));
    if (hex) setText(hex, row?.[1] ?? "");
    if (text) setText(text, row?.[2] ?? "");
  };
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <Jump size={size} placeholder="offset, 0x… or %" go={(to) => list.current?.toTop(Math.floor(to / rowBytes))} />
        <span class="rain-muted rain-push">{first.size_text}</span>
      </div>
      <VirtualRows
        kind="rain-hex"
        role="table"
        aria-label="Bytes"
        tabIndex={0}
        rowHeight={ROW_PX}
        make={makeRow}
        fill={fill}
        seen={(from, end) => void pages.want(from, end)}
        attach={(rows) => {
          list.current = rows;
          rows.setCount(Math.ceil(size / rowBytes));
        }}
      />
    </div>
  );
}
