// The table of all tasks of a session, of which the browser holds only the pages in sight.

import { h, setAttribute, setText } from "../dom.js";
import { clock, count, seconds } from "../format.js";
import type { Tab, TabHost } from "../protocol.js";
import type { Change, SessionStore } from "../store.js";
import { Pages } from "./pages.js";
import { Refresher } from "./refresher.js";
import { Rows } from "./rows.js";

const PAGE_ROWS = 100;
const ROW_PX = 26;
const PAUSE_MS = 500;
const TYPING_MS = 250;

interface Row {
  key: string;
  id: string;
  name: string;
  type: string;
  state: string;
  start: number | null;
  duration: number | null;
  governor: string | null;
  attempts: number;
  cpus: number;
  error: string;
}

interface Answer {
  total: number;
  matched: number;
  rows: Row[];
}

const COLUMNS: { id: keyof Row; title: string; numeric?: boolean }[] = [
  { id: "name", title: "name" },
  { id: "id", title: "id", numeric: true },
  { id: "type", title: "type" },
  { id: "state", title: "state" },
  { id: "start", title: "start", numeric: true },
  { id: "duration", title: "duration", numeric: true },
  { id: "governor", title: "governor" },
  { id: "attempts", title: "attempts", numeric: true },
  { id: "cpus", title: "cpus", numeric: true },
  { id: "error", title: "error" },
];

let grids = 0;

export function tableTab(store: SessionStore, host: TabHost): Tab {
  const table = new TaskTable(store, host);
  return {
    element: table.element,
    show: () => table.show(),
    hide: () => table.refresher.hide(),
    dispose: () => table.dispose(),
  };
}

class TaskTable {
  readonly element: HTMLElement;
  readonly refresher: Refresher;
  private readonly id = `rain-grid-${++grids}`;
  private readonly pages: Pages<Row>;
  private readonly rows: Rows;
  private readonly filter: HTMLInputElement;
  private readonly chips = h("div", { class: "rain-filters", role: "group", "aria-label": "Show only tasks in these states" });
  private readonly matched = h("span", { class: "rain-muted", role: "status" });
  private readonly note = h("div", { class: "rain-tab-note", role: "alert", hidden: true });
  private readonly empty = h("div", { class: "rain-empty" }, "No task matches.");
  private readonly heads = new Map<string, HTMLElement>();
  private readonly states = new Set<string>();
  private sort: keyof Row = "id";
  private descending = false;
  private active = 0;
  private window: [number, number] = [0, PAGE_ROWS];
  private typing: ReturnType<typeof setTimeout> | undefined;
  private readonly off: () => void;

  constructor(
    private readonly store: SessionStore,
    private readonly host: TabHost,
  ) {
    this.pages = new Pages(PAGE_ROWS, (offset, rows) => this.load(offset, rows), (error) => this.came(error));
    this.filter = h("input", {
      type: "search",
      class: "rain-input",
      placeholder: "Filter (regular expression)",
      "aria-label": "Filter tasks by a regular expression",
      spellcheck: "false",
      input: () => this.typed(),
    });
    this.rows = new Rows({
      rowHeight: ROW_PX,
      header: this.header(),
      make: () => this.makeRow(),
      fill: (row, index) => this.fill(row, index),
      seen: (first, end) => this.seen(first, end),
    });
    this.dressGrid(this.rows.element);
    this.element = h(
      "div",
      { class: "rain-table", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "rain-tab-bar" }, this.filter, this.matched, this.chips),
      this.note,
      h("div", { class: "rain-grid-box" }, this.rows.element, this.empty),
    );
    this.empty.hidden = true;
    this.refresher = new Refresher(() => this.refresh(), PAUSE_MS);
    this.off = store.subscribe((change) => this.changed(change));
    this.drawChips();
  }

  show(): void {
    this.drawChips();
    this.refresher.show();
    this.rows.draw();
  }

  dispose(): void {
    this.off();
    clearTimeout(this.typing);
    this.refresher.dispose();
    this.rows.dispose();
  }

  private changed(change: Change): void {
    if (change.selection) this.rows.draw();
    if (!(change.everything || change.topology || change.summary || change.status.size)) return;
    this.refresher.touch();
    if (this.refresher.looking) this.drawChips();
  }

  // -- what is asked -----------------------------------------------------------------------------

  private async load(offset: number, rows: number): Promise<Row[]> {
    const { data } = await this.store.request<Answer>("table", {
      offset,
      count: rows,
      sort: this.sort,
      descending: this.descending,
      filter: this.filter.value,
      states: this.states.size ? [...this.states] : null,
    });
    this.counted(data);
    return data.rows;
  }

  private async refresh(): Promise<void> {
    this.pages.staleAll();
    await this.pages.want(...this.window);
  }

  private counted({ total, matched }: Answer): void {
    const text = matched === total ? `${count(total)} tasks` : `${count(matched)} of ${count(total)} tasks`;
    setText(this.matched, text);
    this.empty.hidden = matched > 0;
    setText(this.empty, total ? "No task matches." : "There are no tasks yet.");
    setAttribute(this.rows.element, "aria-rowcount", String(matched + 1));
    this.active = Math.max(0, Math.min(this.active, matched - 1));
    this.rows.setCount(matched);
  }

  private came(error: string | null): void {
    setText(this.note, error ?? "");
    this.note.hidden = error === null;
    this.rows.draw();
  }

  private seen(first: number, end: number): void {
    this.window = [first, Math.max(end, first + 1)];
    if (this.refresher.looking) void this.pages.want(first, end);
  }

  // Another order or another filter: everything is asked anew, from the top.
  private anew(): void {
    this.pages.clear();
    this.active = 0;
    this.window = [0, PAGE_ROWS];
    this.rows.toTop(0);
    this.refresher.now();
  }

  private typed(): void {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.anew(), TYPING_MS);
  }

  private sortBy(column: keyof Row): void {
    this.descending = column === this.sort ? !this.descending : false;
    this.sort = column;
    this.drawSort();
    this.host.announce(`sorted by ${column}, ${this.descending ? "largest first" : "smallest first"}`);
    this.anew();
  }

  // -- what is drawn -----------------------------------------------------------------------------

  private header(): HTMLElement {
    const cells = COLUMNS.map(({ id, title, numeric }) => {
      const head = h(
        "div",
        { role: "columnheader", class: numeric ? "rain-cell rain-num" : "rain-cell" },
        h("button", { type: "button", title: `Sort by ${title}`, click: () => this.sortBy(id) }, title),
      );
      this.heads.set(id, head);
      return head;
    });
    this.drawSort();
    return h(
      "div",
      { role: "rowgroup", class: "rain-grid-head" },
      h("div", { role: "row", class: "rain-grid-row rain-task-row", "aria-rowindex": "1" }, ...cells),
    );
  }

  private drawSort(): void {
    for (const [id, head] of this.heads) {
      setAttribute(head, "aria-sort", id !== this.sort ? "none" : this.descending ? "descending" : "ascending");
    }
  }

  private drawChips(): void {
    const known = new Map([...this.chips.children].map((chip) => [(chip as HTMLElement).dataset["s"], chip as HTMLElement]));
    for (const [state, number] of Object.entries(this.store.summary.tasks)) {
      let chip = known.get(state);
      if (!chip) {
        if (!number) continue;
        const look = this.store.look(state);
        chip = h(
          "button",
          { type: "button", class: "rain-filter", "data-s": state, "aria-pressed": "false", click: () => this.toggle(state) },
          h("span", { "aria-hidden": "true" }, look.mark),
          ` ${look.word} `,
          h("b", {}),
        );
        this.chips.append(chip);
      }
      const figure = chip.querySelector("b");
      if (figure) setText(figure, count(number));
      chip.hidden = number === 0 && !this.states.has(state);
    }
  }

  private toggle(state: string): void {
    if (!this.states.delete(state)) this.states.add(state);
    for (const chip of this.chips.children) {
      const pressed = this.states.has((chip as HTMLElement).dataset["s"] ?? "");
      setAttribute(chip, "aria-pressed", String(pressed));
    }
    this.anew();
  }

  private makeRow(): HTMLElement {
    const row = h("div", { role: "row", class: "rain-grid-row rain-task-row rain-item" });
    for (const { id, numeric } of COLUMNS) {
      const kind = id === "state" ? "rain-cell rain-state" : numeric ? "rain-cell rain-num" : "rain-cell";
      row.append(h("div", { role: "gridcell", class: kind }));
    }
    return row;
  }

  private fill(element: HTMLElement, index: number): void {
    const row = this.pages.row(index);
    element.id = `${this.id}-${index}`;
    element.dataset["index"] = String(index);
    element.classList.toggle("rain-active", index === this.active);
    element.classList.toggle("rain-odd", index % 2 === 1);
    setAttribute(element, "aria-selected", String(row !== undefined && row.key === this.store.selected));
    element.classList.toggle("rain-awaited", row === undefined);
    setAttribute(element, "data-s", row ? row.state : null);
    const texts = row ? this.texts(row) : [];
    COLUMNS.forEach(({ id }, column) => {
      const cell = element.children[column] as HTMLElement;
      const text = texts[column] ?? "";
      setText(cell, text);
      const long = id === "name" || id === "type" || id === "governor" || id === "error";
      if (long) setAttribute(cell, "title", text || null);
      if (id === "name") cell.classList.toggle("rain-muted", row !== undefined && !row.name);
    });
    if (index === this.active) setAttribute(this.rows.element, "aria-activedescendant", element.id);
  }

  private texts(row: Row): string[] {
    const look = this.store.look(row.state);
    return [
      row.name || row.type,
      row.id,
      row.type,
      `${look.mark} ${look.word}`,
      row.start === null ? "" : clock(row.start),
      seconds(row.duration),
      row.governor ?? "",
      row.attempts ? String(row.attempts) : "",
      String(row.cpus),
      row.error,
    ];
  }

  // -- pointer and keyboard ----------------------------------------------------------------------

  private dressGrid(grid: HTMLElement): void {
    setAttribute(grid, "role", "grid");
    setAttribute(grid, "aria-label", "Tasks");
    setAttribute(grid, "aria-colcount", String(COLUMNS.length));
    setAttribute(grid, "tabindex", "0");
    grid.addEventListener("keydown", (event) => this.pressed(event));
    this.rows.list.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("[data-index]");
      if (row) this.choose(Number(row.dataset["index"]), true);
    });
  }

  private pressed(event: KeyboardEvent): void {
    if (event.target !== this.rows.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.rows.count - 1;
    const moves: Record<string, number> = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + this.rows.perPage,
      PageUp: this.active - this.rows.perPage,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined) this.choose(Math.max(0, Math.min(to, last)), false);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.active, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private choose(index: number, open: boolean): void {
    this.active = index;
    this.rows.reveal(index);
    const row = this.pages.row(index);
    if (open && row) this.host.open(row.key);
  }
}
