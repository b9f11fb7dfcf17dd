// Rows and columns: frames, arrays, CSV.

import { button, h, replace, setAttribute, setText } from "../dom.js";
import { count, many } from "../format.js";
import { Pages } from "../tabs/pages.js";
import { Rows } from "../tabs/rows.js";
import type { Scope, TablePage } from "./page.js";
import { pairs } from "./pairs.js";

const ROW_PX = 24;
const WIDEST_CHARS = 36;
const NARROWEST_INDEX_CHARS = 5;
const NARROWEST_CHARS = 8; // later rows may have longer numbers
const BOLD = 1.2; // letters of a head, in digits of a row
const TRIES = 8;
const NUMBERS = /^(u?int|float|double|half|decimal|complex|bool|number|long|short|[<>|=]?[iufcb]\d)/i;

interface Line {
  index: string;
  cells: string[];
}

export function tableView(scope: Scope, first: TablePage): HTMLElement {
  let table: Table;
  let shown = first;
  let busy = false;
  const starts: number[] = []; // the first columns of what was shown before
  const caption = h("span", { class: "rain-muted rain-push", role: "status" });
  const summary = h("div", { class: "rain-row" });
  const body = h("div", {});
  const span = h("span", { class: "rain-muted", role: "status" });
  const previous = button("‹ Columns", "The columns before", () => void turn(starts.pop() ?? 0, false));
  const next = button("Columns ›", "The columns after", () => void turn(shown.column + shown.columns.length, true));
  let told = "";

  function say(facts: TablePage["summary"]): void {
    const rows = `${table.settled ? "" : "at least "}${many(table.known, "row")}`;
    setText(caption, `${rows} × ${many(shown.width, "column")}`);
    const words = JSON.stringify(facts);
    if (words !== told) replace(summary, pairs(facts, "rain-pairs-flow"));
    told = words;
  }

  function show(page: TablePage): void {
    const end = page.column + page.columns.length;
    const whole = page.column === 0 && end >= page.width;
    const known = table as Table | undefined;
    const top = known?.rows.top ?? 0;
    known?.rows.dispose();
    shown = page;
    table = new Table(scope, page, known?.known ?? 0);
    table.learned = say;
    replace(body, table.rows.element);
    if (top) table.rows.toTop(top);
    previous.hidden = next.hidden = span.hidden = whole;
    previous.disabled = page.column <= 0;
    next.disabled = end >= page.width;
    setText(span, `columns ${count(page.column + 1)} – ${count(end)} of ${count(page.width)}`);
    say(page.summary);
  }

  async function turn(column: number, keep: boolean): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      const here = shown.column;
      const { page } = await scope.ask<TablePage>({ offset: 0, column });
      if (keep) starts.push(here);
      scope.trouble(null);
      show(page);
    } catch (error) {
      scope.trouble(error);
    } finally {
      busy = false;
    }
  }

  show(first);
  scope.onLeave(() => table.rows.dispose());
  return h(
    "div",
    { class: "rain-view" },
    h("div", { class: "rain-view-bar" }, summary, previous, next, span, caption),
    body,
  );
}

class Table {
  readonly rows: Rows;
  readonly pages: Pages<Line>;
  known = 0;
  settled = true;
  learned: (summary: TablePage["summary"]) => void = () => undefined;
  private readonly template: string;
  private readonly numeric: boolean[];

  constructor(
    private readonly scope: Scope,
    private readonly first: TablePage,
    known: number, // rows that were seen before
  ) {
    const { columns } = first;
    this.known = known;
    this.numeric = columns.map(({ dtype }) => NUMBERS.test(dtype));
    const widths = columns.map(({ name, dtype }, i) =>
      width(Math.max(NARROWEST_CHARS, Math.ceil(name.length * BOLD)), [dtype, ...first.rows.slice(0, 100).map((row) => row[i] ?? "")]),
    );
    const index = width(NARROWEST_INDEX_CHARS, [...first.index.slice(0, 100).map(String), count(first.total ?? 0)]);
    this.template = [index, ...widths].map((chars) => `calc(${chars}ch + 18px)`).join(" ");
    this.pages = new Pages(Math.max(1, first.rows.length || 100), (offset) => this.load(offset), (error) => {
      scope.trouble(error);
      this.rows.draw();
    });
    this.rows = new Rows({
      rowHeight: ROW_PX,
      header: this.header(),
      make: () => this.make(),
      fill: (element, row) => this.fill(element, row),
      seen: (from, end) => void this.pages.want(from, Math.min(end, this.known)),
    });
    const { element } = this.rows;
    element.classList.add("rain-data");
    setAttribute(element, "role", "table");
    setAttribute(element, "aria-label", "Table");
    setAttribute(element, "tabindex", "0");
    setAttribute(element, "aria-colcount", String(first.width + 1));
    if (first.offset === 0) this.pages.put(0, this.take(first));
    else this.learn(first);
  }

  private async load(offset: number): Promise<Line[]> {
    for (let tries = 0; tries < TRIES; tries++) {
      const { page } = await this.scope.ask<TablePage>({ offset, column: this.first.column });
      // A table that is not known so far yet begins its page earlier, and is read on a piece further each time.
      const lines = this.take(page).slice(Math.max(0, offset - page.offset));
      if (lines.length || page.total !== null) return lines;
    }
    throw new Error(`Row ${count(offset)} begins far behind the row before it; scroll again to look further.`);
  }

  private take(page: TablePage): Line[] {
    this.learn(page);
    return page.rows.map((cells, i) => ({ index: String(page.index[i] ?? page.offset + i), cells }));
  }

  // Without a total the list grows by a page each time its end is seen.
  private learn(page: TablePage): void {
    const end = page.offset + page.rows.length;
    if (page.total !== null) {
      this.known = page.total;
      this.settled = true;
    } else {
      this.known = Math.max(this.known, end);
      this.settled = false;
    }
    this.rows.setCount(this.known + (this.settled ? 0 : 1));
    setAttribute(this.rows.element, "aria-rowcount", this.settled ? String(this.known + 1) : "-1");
    this.learned(page.summary);
  }

  private header(): HTMLElement {
    const cells = this.first.columns.map(({ name, dtype }, i) =>
      h(
        "div",
        {
          role: "columnheader",
          class: this.numeric[i] ? "rain-cell rain-num" : "rain-cell",
          title: `${name}: ${dtype}`,
          "aria-colindex": String(this.first.column + i + 2),
        },
        h("div", { class: "rain-data-name" }, name),
        h("div", { class: "rain-data-type" }, dtype),
      ),
    );
    const row = h(
      "div",
      { role: "row", class: "rain-grid-row", "aria-rowindex": "1" },
      h("div", { role: "columnheader", class: "rain-cell rain-data-index", "aria-label": "row" }),
      ...cells,
    );
    row.style.gridTemplateColumns = this.template;
    return h("div", { role: "rowgroup", class: "rain-grid-head" }, row);
  }

  private make(): HTMLElement {
    const row = h(
      "div",
      { role: "row", class: "rain-grid-row rain-item" },
      h("div", { role: "rowheader", class: "rain-cell rain-data-index" }),
      ...this.numeric.map((numeric) => h("div", { role: "cell", class: numeric ? "rain-cell rain-num" : "rain-cell" })),
    );
    row.style.gridTemplateColumns = this.template;
    return row;
  }

  private fill(element: HTMLElement, row: number): void {
    if (row >= this.known && !this.settled) void this.pages.want(row, row + 1);
    const line = this.pages.row(row);
    element.classList.toggle("rain-awaited", !line);
    element.classList.toggle("rain-odd", row % 2 === 1);
    [...element.children].forEach((cell, i) => {
      const text = i ? (line?.cells[i - 1] ?? "") : (line?.index ?? "");
      setText(cell, text);
      setAttribute(cell, "title", text.length > WIDEST_CHARS ? text : null);
    });
  }
}

function width(least: number, texts: string[]): number {
  const longest = texts.reduce((most, text) => Math.max(most, text.length), least);
  return Math.min(WIDEST_CHARS, longest);
}
