// The rows of a table that was opened at some columns: asked for as they come into sight, filled into elements.

import { h, setAttribute, setText } from "../dom.js";
import { count } from "../format.js";
import { Pages } from "../lists/pages.js";
import type { VirtualList } from "../lists/virtual-list.js";
import type { TablePage } from "../protocol.js";
import type { Query } from "./query.js";
import type { Scope } from "./viewing.js";

const WIDTH_CHARS_MAX = 36;
const INDEX_CHARS_MIN = 5;
const COLUMN_CHARS_MIN = 8; // later rows may have longer numbers
const BOLD = 1.2; // letters of a head, in digits of a row
const MEASURED_ROWS_MAX = 100;
const PAGE_ROWS = 100; // where the first page has none
const TRIES_MAX = 8;
const NUMBERS = /^(u?int|float|double|half|decimal|complex|bool|number|long|short|[<>|=]?[iufcb]\d)/i;

interface Line {
  index: string;
  cells: string[];
}

let tables = 0;

export class TableRows {
  readonly number = ++tables;
  list: VirtualList | null = null;
  known: number; // rows
  settled = true; // whether there are no more
  summary: TablePage["summary"] = [];
  // Called when there is more to be said of the table.
  learned: () => void = () => undefined;
  readonly template: string;
  readonly numeric: boolean[];
  private left = false;
  private readonly pages: Pages<Line>;

  constructor(
    private readonly scope: Scope,
    readonly first: TablePage,
    known: number, // rows that were seen before
    private readonly query: Query,
  ) {
    const { columns, rows, index, total } = first;
    this.known = known;
    this.numeric = columns.map(({ dtype }) => NUMBERS.test(dtype));
    const widths = columns.map(({ name, dtype }, i) =>
      width(Math.max(COLUMN_CHARS_MIN, Math.ceil(name.length * BOLD)), [dtype, ...rows.slice(0, MEASURED_ROWS_MAX).map((row) => row[i] ?? "")]),
    );
    const labels = width(INDEX_CHARS_MIN, [...index.slice(0, MEASURED_ROWS_MAX), count(total ?? 0)]);
    this.template = [labels, ...widths].map((chars) => `calc(${chars}ch + 18px)`).join(" ");
    this.pages = new Pages(Math.max(1, rows.length || PAGE_ROWS), (offset) => this.load(offset), (error) => {
      scope.trouble(error);
      this.list?.draw();
    });
    const lines = this.take(first);
    if (first.offset === 0) this.pages.put(0, lines);
  }

  // Nothing more is asked for.
  leave(): void {
    this.left = true;
  }

  attach(list: VirtualList, top: number): void {
    this.list = list;
    this.resize();
    if (top) list.toTop(top);
  }

  seen(from: number, end: number): void {
    void this.pages.want(from, Math.min(end, this.known));
  }

  make(): HTMLElement {
    const row = h(
      "div",
      { role: "row", class: "rain-grid-row rain-item" },
      h("div", { role: "rowheader", class: "rain-cell rain-data-index" }),
      ...this.numeric.map((numeric) => h("div", { role: "cell", class: numeric ? "rain-cell rain-num" : "rain-cell" })),
    );
    row.style.gridTemplateColumns = this.template;
    return row;
  }

  fill(element: HTMLElement, row: number): void {
    if (row >= this.known && !this.settled) void this.pages.want(row, row + 1);
    const line = this.pages.row(row);
    element.classList.toggle("rain-awaited", !line);
    element.classList.toggle("rain-odd", row % 2 === 1);
    [...element.children].forEach((cell, i) => {
      const text = i ? (line?.cells[i - 1] ?? "") : (line?.index ?? "");
      setText(cell, text);
      setAttribute(cell, "title", text.length > WIDTH_CHARS_MAX ? text : null);
    });
  }

  private async load(offset: number): Promise<Line[]> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const page = await this.scope.ask<TablePage>({ offset, column: this.first.column, ...this.query });
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
    this.resize();
    this.learned();
    return page.rows.map((cells, i) => ({ index: page.index[i] ?? String(page.offset + i), cells }));
  }

  // Without a total the list grows by a page each time its end is seen.
  private resize(): void {
    this.list?.setCount(this.known + (this.settled ? 0 : 1));
  }
}

function width(least: number, texts: string[]): number {
  const longest = texts.reduce((most, text) => Math.max(most, text.length), least);
  return Math.min(WIDTH_CHARS_MAX, longest);
}
