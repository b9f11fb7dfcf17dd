// Rows and columns: frames, arrays, CSV.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useRedraw } from "../components/hooks.js";
import { Button } from "../components/parts.js";
import { count, many } from "../format.js";
import type { VirtualList } from "../lists/virtual-list.js";
import { VirtualRows } from "../lists/virtual-rows.js";
import type { TablePage } from "../protocol.js";
import { Pairs } from "./pairs.js";
import { ALL, Filters, type Query, sortedBy } from "./query.js";
import { TableRows } from "./table-rows.js";
import type { Scope, ViewProps } from "./viewing.js";

const ROW_PX = 24;

export function TableView({ scope, page: first }: ViewProps<TablePage>) {
  const { page, rows, top, query, working, turn, previous, next, stop } = useTable(scope, first);
  const redraw = useRedraw();
  rows.learned = redraw;
  const end = page.column + page.columns.length;
  const whole = page.column === 0 && end >= page.width;
  const known = `${rows.settled ? "" : "at least "}${many(rows.known, "row")}`;
  const sort = page.can_query ? (column: number) => turn(sortedBy(query, column)) : null;
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <div class="rain-row">
          <Pairs list={rows.summary} flow />
        </div>
        <Button title="The columns before" hidden={whole} disabled={page.column <= 0} click={previous}>
          ‹ Columns
        </Button>
        <Button title="The columns after" hidden={whole} disabled={end >= page.width} click={next}>
          Columns ›
        </Button>
        <span class="rain-muted" role="status" hidden={whole}>
          {`columns ${count(page.column + 1)} – ${count(end)} of ${count(page.width)}`}
        </span>
        <span class="rain-muted rain-push" role="status">
          {`${known} × ${many(page.width, "column")}`}
        </span>
      </div>
      {page.can_query && <Filters page={page} query={query} apply={turn} />}
      {working !== null && (
        <div class="rain-insp-note rain-working" role="status">
          <progress max={1} value={working} aria-label="looked through" />
          <span>{`an executor looks through the table where it lies: ${Math.floor(working * 100)} %`}</span>
          <Button title="leave the table as it is shown" click={stop}>
            Stop
          </Button>
        </div>
      )}
      <Grid key={rows.number} rows={rows} top={top} query={query} sort={sort} />
    </div>
  );
}

// Where a view of some columns is, and the first columns of what was shown before it.
interface Place {
  column: number;
  starts: number[];
}

interface Wanted {
  column: number;
  query: Query;
}

// The rows and columns that are shown, and the way to others. What takes longer is asked for again and again, as long
// as the view is there and nothing else was asked for meanwhile.
function useTable(scope: Scope, first: TablePage) {
  const [shown, setShown] = useState({ page: first, query: ALL });
  const [working, setWorking] = useState<number | null>(null);
  const starts = useRef<number[]>([]); // of the page that is shown
  const aimed = useRef<Place | null>(null); // what was asked for last: a second press goes on from there
  const asked = useRef(0);
  const kept = useRef({ known: 0, top: 0 });
  const { page, query } = shown;
  const rows = useMemo(() => new TableRows(scope, page, kept.current.known, query), [page]);
  useLayoutEffect(
    () => () => {
      asked.current = NaN;
    },
    [],
  );
  useLayoutEffect(() => () => rows.leave(), [rows]);
  const go = async (to: Wanted, came: () => void) => {
    const number = ++asked.current;
    try {
      for (;;) {
        const next = await scope.ask<TablePage>({ offset: 0, column: to.column, ...to.query });
        if (number !== asked.current) return;
        setWorking(next.working ?? null);
        if (typeof next.working === "number") continue;
        scope.trouble(null);
        scope.note(next.note ?? "");
        came();
        setShown({ page: next, query: to.query });
        return;
      }
    } catch (error) {
      if (number !== asked.current) return;
      aimed.current = null;
      setWorking(null);
      scope.trouble(error);
    }
  };
  const place = (): Place => aimed.current ?? { column: page.column, starts: starts.current };
  const columns = (to: Place) => {
    if (to.column >= page.width) return;
    aimed.current = to;
    void go({ column: to.column, query }, () => {
      kept.current = { known: rows.known, top: rows.list?.top ?? 0 };
      starts.current = to.starts;
      aimed.current = null;
    });
  };
  return {
    page,
    rows,
    query,
    working,
    top: kept.current.top,
    turn: (to: Query) => {
      aimed.current = null;
      void go({ column: page.column, query: to }, () => {
        kept.current = { known: 0, top: 0 };
      });
    },
    previous: () => columns({ column: place().starts.at(-1) ?? 0, starts: place().starts.slice(0, -1) }),
    next: () =>
      columns({ column: place().column + page.columns.length, starts: [...place().starts, place().column] }),
    stop: () => {
      asked.current++;
      aimed.current = null;
      setWorking(null);
    },
  };
}

interface GridProps {
  rows: TableRows;
  top: number;
  query: Query;
  sort: ((column: number) => void) | null;
}

function Grid({ rows, top, query, sort }: GridProps) {
  return (
    <VirtualRows
      kind="rain-data"
      role="table"
      aria-label="Table"
      tabIndex={0}
      aria-colcount={rows.first.width + 1}
      aria-rowcount={rows.settled ? rows.known + 1 : -1}
      rowHeight={ROW_PX}
      header={<Header rows={rows} query={query} sort={sort} />}
      make={() => rows.make()}
      fill={(element, index) => rows.fill(element, index)}
      seen={(from, end) => rows.seen(from, end)}
      attach={(list: VirtualList) => rows.attach(list, top)}
    />
  );
}

function Header({ rows: { first, numeric, template }, query, sort }: Omit<GridProps, "top">) {
  const order = (column: number) => (query.sort !== column ? "none" : query.descending ? "descending" : "ascending");
  return (
    <div role="rowgroup" class="rain-grid-head">
      <div role="row" class="rain-grid-row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
        <div role="columnheader" class="rain-cell rain-data-index" aria-label="row" />
        {first.columns.map(({ name, dtype }, i) => (
          <div
            role="columnheader"
            class={numeric[i] ? "rain-cell rain-num" : "rain-cell"}
            title={`${name}: ${dtype}`}
            aria-colindex={first.column + i + 2}
            aria-sort={sort ? order(first.column + i) : undefined}
          >
            {sort ? (
              <button type="button" class="rain-data-name" title={`sort by ${name}`} onClick={() => sort(first.column + i)}>
                {name}
              </button>
            ) : (
              <div class="rain-data-name">{name}</div>
            )}
            <div class="rain-data-type">{dtype}</div>
          </div>
        ))}
      </div>
    </div>
  );
}
