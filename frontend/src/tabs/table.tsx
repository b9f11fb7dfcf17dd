// The table of all tasks of a session, of which the browser holds only the pages in sight.

import { useLayoutEffect, useMemo } from "preact/hooks";
import { useRedraw } from "../components/hooks.js";
import { Button } from "../components/parts.js";
import { Refresher } from "../components/refresher.js";
import { setAttribute } from "../dom.js";
import { count } from "../format.js";
import { OWN_KEYS } from "../jupyter-quirks.js";
import { Pages } from "../lists/pages.js";
import type { VirtualList } from "../lists/virtual-list.js";
import { VirtualRows } from "../lists/virtual-rows.js";
import type { DurationBin, TaskRow, TaskTable } from "../protocol.js";
import type { TabHost, TabProps } from "../session/tabs.js";
import type { Change, SessionStore } from "../store.js";
import { Histogram } from "./histogram.js";
import { type ColumnId, COLUMNS, fillRow, makeRow } from "./table-rows.js";

const PAGE_ROWS = 100;
const ROW_PX = 26;
const PAUSE_MS = 500;
const TYPING_MS = 250;
const UNFILTERED: ColumnId[] = ["state", "start"]; // states have buttons
const COMPARED: ColumnId[] = ["id", "took", "attempts", "cpus"];
const FILTER_HELP = "fields to filter each column: a regular expression, or for numbers and durations >2, <=150ms";

let tables = 0;

// What is asked for, what came of it, and which row is the active one.
class TableModel {
  readonly id = `rain-grid-${++tables}`;
  readonly refresher: Refresher;
  readonly states = new Set<string>();
  filter = "";
  readonly where: Partial<Record<ColumnId, string>> = {};
  byColumn = false; // whether there are fields for filters of columns
  durations: DurationBin[] = [];
  sort: ColumnId = "id";
  descending = false;
  trouble = "";
  known: Pick<TaskTable, "total" | "matched"> | null = null;
  private readonly pages: Pages<TaskRow>;
  private list: VirtualList | null = null;
  private active = 0;
  private window: [number, number] = [0, PAGE_ROWS];
  private typing: ReturnType<typeof setTimeout> | undefined;
  private readonly off: () => void;

  constructor(
    private readonly store: SessionStore,
    private readonly host: TabHost,
    private readonly redraw: () => void,
  ) {
    this.pages = new Pages(PAGE_ROWS, (...asked) => this.load(...asked), (error) => this.came(error));
    this.refresher = new Refresher(() => this.refresh(), PAUSE_MS);
    this.off = store.subscribe((change) => this.changed(change));
  }

  attach(list: VirtualList): void {
    this.list = list;
    list.list.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("[data-index]");
      if (row) this.choose(Number(row.dataset["index"]), true);
    });
  }

  show(): void {
    this.redraw();
    this.refresher.show();
    this.list?.draw();
  }

  dispose(): void {
    this.off();
    clearTimeout(this.typing);
    this.refresher.dispose();
  }

  private changed(change: Change): void {
    if (change.selection) this.list?.draw();
    if (!(change.everything || change.topology || change.summary || change.status.size)) return;
    this.refresher.touch();
    if (this.refresher.looking) this.redraw();
  }

  // -- what is asked -----------------------------------------------------------------------------

  private async load(offset: number, rows: number, wanted: () => boolean): Promise<TaskRow[]> {
    const first = offset <= this.window[0] && this.window[0] < offset + rows; // once for each window
    const { data } = await this.store.request("table", {
      offset,
      count: rows,
      sort: this.sort,
      descending: this.descending,
      filter: this.filter,
      states: this.states.size ? [...this.states] : null,
      where: this.byColumn ? this.where : {},
      durations: first,
    });
    if (!wanted()) return [];
    if (first) this.durations = data.durations;
    this.known = { total: data.total, matched: data.matched };
    this.active = Math.max(0, Math.min(this.active, data.matched - 1));
    this.list?.setCount(data.matched);
    return data.rows;
  }

  private async refresh(): Promise<void> {
    this.pages.staleAll();
    await this.pages.want(...this.window);
  }

  private came(error: string | null): void {
    this.trouble = error ?? "";
    this.redraw();
    this.list?.draw();
  }

  seen(first: number, end: number): void {
    this.window = [first, Math.max(end, first + 1)];
    if (this.refresher.looking) void this.pages.want(first, end);
  }

  // Another order or another filter: everything is asked anew, from the top.
  private anew(): void {
    this.pages.clear();
    this.active = 0;
    this.window = [0, PAGE_ROWS];
    this.list?.toTop(0);
    this.refresher.now();
    this.redraw();
  }

  typed(text: string): void {
    this.filter = text;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.anew(), TYPING_MS);
  }

  typedIn(column: ColumnId, text: string): void {
    this.where[column] = text;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.anew(), TYPING_MS);
  }

  toggleColumns(): void {
    this.byColumn = !this.byColumn;
    this.anew();
  }

  sortBy(column: ColumnId, title: string): void {
    this.descending = column === this.sort ? !this.descending : false;
    this.sort = column;
    this.host.announce(`sorted by ${title}, ${this.descending ? "largest first" : "smallest first"}`);
    this.anew();
  }

  toggle(state: string): void {
    if (!this.states.delete(state)) this.states.add(state);
    this.anew();
  }

  // -- rows --------------------------------------------------------------------------------------

  fill(element: HTMLElement, index: number): void {
    element.id = `${this.id}-${index}`;
    fillRow(element, this.store, this.pages.row(index), index, index === this.active);
    if (index === this.active && this.list) setAttribute(this.list.element, "aria-activedescendant", element.id);
  }

  press(event: KeyboardEvent): void {
    const { list } = this;
    if (!list || event.target !== list.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = list.count - 1;
    const moves: Record<string, number> = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + list.perPage,
      PageUp: this.active - list.perPage,
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
    this.list?.reveal(index);
    const row = this.pages.row(index);
    if (open && row) this.host.open(row.key);
  }
}

export function TablePane({ store, host, shown }: TabProps) {
  const redraw = useRedraw();
  const table = useMemo(() => new TableModel(store, host, redraw), []);
  useLayoutEffect(() => () => table.dispose(), []);
  useLayoutEffect(() => {
    if (shown) table.show();
    else table.refresher.hide();
  }, [shown]);
  const { known } = table;
  return (
    <div class="rain-table" {...OWN_KEYS}>
      <div class="rain-tab-bar">
        <input
          type="search"
          class="rain-input"
          placeholder="Filter (regular expression)"
          aria-label="Filter tasks by a regular expression"
          spellcheck={false}
          onInput={(event) => table.typed(event.currentTarget.value)}
        />
        <span class="rain-muted" role="status">
          {known && (known.matched === known.total ? `${count(known.total)} tasks` : `${count(known.matched)} of ${count(known.total)} tasks`)}
        </span>
        <Filters store={store} table={table} />
        <Button title={FILTER_HELP} pressed={table.byColumn} click={() => table.toggleColumns()}>
          Filter columns
        </Button>
        <span class="rain-push" />
        <Histogram bins={table.durations} />
      </div>
      <div class="rain-tab-note" role="alert" hidden={!table.trouble}>
        {table.trouble}
      </div>
      <div class="rain-grid-box">
        <VirtualRows
          rowHeight={ROW_PX}
          header={<Heads table={table} />}
          make={makeRow}
          fill={(row, index) => table.fill(row, index)}
          seen={(first, end) => table.seen(first, end)}
          attach={(list) => table.attach(list)}
          role="grid"
          aria-label="Tasks"
          aria-colcount={COLUMNS.length}
          aria-rowcount={(known?.matched ?? 0) + 1}
          tabIndex={0}
          onKeyDown={(event) => table.press(event)}
        />
        <div class="rain-empty" hidden={!known || known.matched > 0}>
          {known?.total ? "No task matches." : "There are no tasks yet."}
        </div>
      </div>
    </div>
  );
}

function Heads({ table }: { table: TableModel }) {
  const order = table.descending ? "descending" : "ascending";
  return (
    <div role="rowgroup" class="rain-grid-head">
      <div role="row" class="rain-grid-row rain-task-row" aria-rowindex={1}>
        {COLUMNS.map(({ id, title = id, numeric }) => (
          <div key={id} role="columnheader" class={numeric ? "rain-cell rain-num" : "rain-cell"} aria-sort={id === table.sort ? order : "none"}>
            <button type="button" title={`Sort by ${title}`} onClick={() => table.sortBy(id, title)}>
              {title}
            </button>
          </div>
        ))}
      </div>
      {table.byColumn && <ColumnFilters table={table} />}
    </div>
  );
}

function ColumnFilters({ table }: { table: TableModel }) {
  return (
    <div role="row" class="rain-grid-row rain-task-row rain-column-filters">
      {COLUMNS.map(({ id, title = id }) => (
        <div key={id} role="gridcell" class="rain-cell">
          {!UNFILTERED.includes(id) && (
            <input
              class="rain-input"
              aria-label={`Filter ${title}`}
              placeholder={COMPARED.includes(id) ? "> …" : "…"}
              spellcheck={false}
              value={table.where[id] ?? ""}
              onInput={(event) => table.typedIn(id, event.currentTarget.value)}
              onKeyDown={(event) => event.stopPropagation()}
            />
          )}
        </div>
      ))}
    </div>
  );
}

// A button for each state that tasks are in; while any is pressed only tasks in these states are listed.
function Filters({ store, table }: { store: SessionStore; table: TableModel }) {
  const { tasks } = store.summary;
  return (
    <div class="rain-filters" role="group" aria-label="Show only tasks in these states">
      {[...new Set([...Object.keys(tasks), ...table.states])]
        .map((state) => [state, tasks[state] ?? 0] as const)
        .filter(([state, number]) => number > 0 || table.states.has(state))
        .map(([state, number]) => {
          const look = store.look(state);
          return (
            <button
              key={state}
              type="button"
              class="rain-filter"
              data-s={state}
              aria-pressed={table.states.has(state)}
              onClick={() => table.toggle(state)}
            >
              <span aria-hidden="true">{look.mark}</span>
              {` ${look.word} `}
              <b>{count(number)}</b>
            </button>
          );
        })}
    </div>
  );
}
