// The rows of a table: asked for in blocks of rows and columns as they come into sight, filled into elements.

import { h, setAttribute, setText } from "../dom.js";
import { count } from "../format.js";
import { Pages } from "../lists/pages.js";
import { clampOffset, type Extent, isScaled, offsetOf, scrollTopOf, spacerHeight } from "../lists/scroll.js";
import type { VirtualList } from "../lists/virtual-list.js";
import type { TablePage } from "../protocol.js";
import { type Columns, WIDTH_CHARS_MAX } from "./columns.js";
import type { Query } from "./query.js";
import type { Scope } from "./viewing.js";

const PAGE_ROWS = 100; // where the first page has none
const TRIES_MAX = 8;
const BLOCKS_KEPT_MAX = 6;
const ROW_PADDING_PX = 16;

interface Line {
  index: string;
  cells: string[];
}

let tables = 0;

export class TableRows {
  readonly number = ++tables;
  list: VirtualList | null = null;
  known = 0; // rows
  settled = true; // whether there are no more
  summary: TablePage["summary"] = [];
  // Called when there is more to be said of the table, or others of its columns are in sight.
  learned: () => void = () => undefined;
  shown: [number, number]; // the columns in the document
  template = "";
  widthPx = 0; // of a row
  private left = false;
  private shiftPx = 0;
  private readonly rowsAtOnce: number;
  private readonly blocks = new Map<number, Pages<Line>>(); // those that were used last at the end

  constructor(
    private readonly scope: Scope,
    first: TablePage,
    readonly columns: Columns,
    private readonly query: Query,
  ) {
    this.rowsAtOnce = Math.max(1, first.rows.length || PAGE_ROWS);
    this.shown = [first.column, Math.min(first.column + 1, columns.width)];
    const lines = this.take(first);
    if (first.offset === 0) this.block(columns.blockOf(first.column)).put(0, lines);
  }

  // Nothing more is asked for.
  leave(): void {
    this.left = true;
  }

  attach(list: VirtualList, leftPx: number): void {
    this.list = list;
    const probe = h("span", { class: "rain-data-probe" }, "0".repeat(100));
    list.list.append(probe);
    this.columns.letterPx = probe.offsetWidth / 100 || this.columns.letterPx;
    probe.remove();
    this.resize();
    list.element.scrollLeft = leftPx;
    this.look();
    list.draw();
  }

  get leftPx(): number {
    return this.list?.element.scrollLeft ?? 0;
  }

  // The first column of the block that is in sight.
  get firstOfBlock(): number {
    return this.columns.blockOf(this.shown[0]) * this.columns.size;
  }

  seen(from: number, end: number): void {
    for (const block of this.inSight()) void this.block(block).want(from, Math.min(end, this.known));
  }

  // Before rows are drawn: which columns are in sight.
  look(): void {
    const element = this.list?.element;
    if (!element?.clientWidth) return;
    const extent = this.extent(element);
    const offset = clampOffset(offsetOf(element.scrollLeft, extent), extent);
    const shown = this.columns.window(offset, extent.view);
    const shift = isScaled(extent) ? scrollTopOf(offset, extent) - offset : 0;
    const changed = shown[0] !== this.shown[0] || shown[1] !== this.shown[1] || shift !== this.shiftPx;
    this.shown = shown;
    this.shiftPx = shift;
    if (this.place() || changed) this.learned();
  }

  make(): HTMLElement {
    const gap = h("div", { class: "rain-data-gap", role: "none" });
    return h("div", { role: "row", class: "rain-grid-row rain-item" }, h("div", { role: "rowheader", class: "rain-cell rain-data-index" }), gap);
  }

  fill(element: HTMLElement, row: number): void {
    const blocks = this.inSight();
    if (row >= this.known && !this.settled) for (const block of blocks) void this.block(block).want(row, row + 1);
    const lines = new Map(blocks.map((block) => [block, this.blocks.get(block)?.row(row)]));
    element.style.gridTemplateColumns = this.template;
    element.style.width = `${this.widthPx}px`;
    element.classList.toggle("rain-awaited", blocks.some((block) => !lines.get(block)));
    element.classList.toggle("rain-odd", row % 2 === 1);
    const { children } = element;
    setText(children[0] as Element, [...lines.values()].find(Boolean)?.index ?? "");
    const [first, end] = this.shown;
    for (let column = first; column < end; column++) {
      const cell = children[column - first + 2] ?? element.appendChild(h("div", { role: "cell" }));
      const text = lines.get(this.columns.blockOf(column))?.cells[column % this.columns.size] ?? "";
      setAttribute(cell, "class", this.columns.isNumeric(column) ? "rain-cell rain-num" : "rain-cell");
      setAttribute(cell, "aria-colindex", String(column + 2));
      setAttribute(cell, "title", text.length > WIDTH_CHARS_MAX ? text : null);
      setText(cell, text);
    }
    while (children.length > end - first + 2) element.lastElementChild?.remove();
  }

  private inSight(): number[] {
    const [first, last] = [this.columns.blockOf(this.shown[0]), this.columns.blockOf(Math.max(this.shown[0], this.shown[1] - 1))];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }

  private block(number: number): Pages<Line> {
    const came = (error: string | null) => {
      this.scope.trouble(error);
      this.list?.draw();
    };
    const found = this.blocks.get(number) ?? new Pages<Line>(this.rowsAtOnce, (offset) => this.load(offset, number * this.columns.size), came);
    this.blocks.delete(number);
    this.blocks.set(number, found);
    const [oldest] = this.blocks.keys();
    if (this.blocks.size > BLOCKS_KEPT_MAX && oldest !== undefined) this.blocks.delete(oldest);
    return found;
  }

  private async load(offset: number, column: number): Promise<Line[]> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const page = await this.scope.ask<TablePage>({ offset, column, ...this.query });
      if (this.left) return [];
      if (typeof page.working === "number") {
        tries = 0; // an executor goes on looking as long as it is asked
        continue;
      }
      // A page that begins earlier than asked for: the kernel has not read the table so far yet, and reads on each time.
      const lines = this.take(page).slice(Math.max(0, offset - page.offset));
      if (lines.length || page.total !== null) return lines;
    }
    throw new Error(`Row ${count(offset)} begins far behind the row before it; scroll again to look further.`);
  }

  private take(page: TablePage): Line[] {
    const end = page.offset + page.rows.length;
    this.known = page.total ?? Math.max(this.known, end);
    this.settled = page.total !== null;
    this.summary = page.summary;
    this.learn(page);
    this.resize();
    this.learned();
    return page.rows.map((cells, i) => ({ index: page.index[i] ?? String(page.offset + i), cells }));
  }

  // What is learned of columns before those in sight does not move these.
  private learn(page: TablePage): void {
    const element = this.list?.element;
    const extent = element && this.extent(element);
    const first = extent ? this.columns.columnAt(offsetOf(element.scrollLeft, extent)) : 0;
    const before = this.columns.leftPx(first);
    this.columns.learn(page);
    const moved = this.columns.leftPx(first) - before;
    this.place();
    if (element && extent && moved && !isScaled(extent)) element.scrollLeft += moved;
  }

  // Where the columns in sight are in each row; whether that has changed.
  private place(): boolean {
    const { columns, shown } = this;
    const widths = Array.from({ length: shown[1] - shown[0] }, (_, i) => `${columns.widthPx(shown[0] + i)}px`);
    const template = [`${columns.indexPx}px`, `${columns.leftPx(shown[0]) + this.shiftPx}px`, ...widths].join(" ");
    const changed = template !== this.template;
    this.template = template;
    this.widthPx = columns.indexPx + ROW_PADDING_PX + spacerHeight({ rowHeight: 1, total: columns.totalPx, view: 0 });
    return changed;
  }

  private extent(element: HTMLElement): Extent {
    const view = Math.max(1, element.clientWidth - this.columns.indexPx - ROW_PADDING_PX);
    return { rowHeight: 1, total: Math.max(view, this.columns.totalPx), view };
  }

  // Without a total the list grows by a page each time its end is seen.
  private resize(): void {
    this.list?.setCount(this.known + (this.settled ? 0 : 1));
  }
}
