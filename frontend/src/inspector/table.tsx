// Rows and columns: frames, arrays, CSV.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useRedraw } from "../components/hooks.js";
import { Button } from "../components/parts.js";
import { many } from "../format.js";
import type { VirtualList } from "../lists/virtual-list.js";
import { VirtualRows } from "../lists/virtual-rows.js";
import type { TablePage } from "../protocol.js";
import { Columns } from "./columns.js";
import { Pairs } from "./pairs.js";
import { ALL, Filters, type Query, sortedBy } from "./query.js";
import { TableRows } from "./table-rows.js";
import type { Scope, ViewProps } from "./viewing.js";

const ROW_PX = 24;

export function TableView({ scope, page: first }: ViewProps<TablePage>) {
  const { page, rows, leftPx, query, working, turn, stop } = useTable(scope, first);
  const redraw = useRedraw();
  rows.learned = redraw;
  const { columns } = rows;
  const known = `${rows.settled ? "" : "at least "}${many(rows.known, "row")}`;
  const sort = page.can_query ? (column: number) => turn(sortedBy(query, column)) : null;
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <div class="rain-row">
          <Pairs list={rows.summary} flow />
        </div>
        <span class="rain-muted rain-push" role="status">
          {`${known} × ${many(columns.width, "column")}`}
        </span>
      </div>
      {page.can_query && <Filters columns={columns} query={query} apply={turn} />}
      {working !== null && (
        <div class="rain-insp-note rain-working" role="status">
          <progress max={1} value={working} aria-label="looked through" />
          <span>{`an executor looks through the table where it lies: ${Math.floor(working * 100)} %`}</span>
          <Button title="leave the table as it is shown" click={stop}>
            Stop
          </Button>
        </div>
      )}
      <Grid key={rows.number} rows={rows} leftPx={leftPx} query={query} sort={sort} />
    </div>
  );
}

// The rows that are shown, and the way to others. What takes longer is asked for again and again, as long as the view is
// there and nothing else was asked for meanwhile.
function useTable(scope: Scope, first: TablePage) {
  const [shown, setShown] = useState({ page: first, query: ALL });
  const [working, setWorking] = useState<number | null>(null);
  const [columns] = useState(() => new Columns(first));
  const asked = useRef(0);
  const leftPx = useRef(0);
  const { page, query } = shown;
  const rows = useMemo(() => new TableRows(scope, page, columns, query), [page]);
  useLayoutEffect(
    () => () => {
      asked.current = NaN;
    },
    [],
  );
  useLayoutEffect(() => () => rows.leave(), [rows]);
  const turn = async (to: Query) => {
    const number = ++asked.current;
    try {
      for (;;) {
        const next = await scope.ask<TablePage>({ offset: 0, column: rows.firstOfBlock, ...to });
        if (number !== asked.current) return;
        setWorking(next.working ?? null);
        if (typeof next.working === "number") continue;
        scope.trouble(null);
        scope.note(next.note ?? "");
        leftPx.current = rows.leftPx;
        setShown({ page: next, query: to });
        return;
      }
    } catch (error) {
      if (number !== asked.current) return;
      setWorking(null);
      scope.trouble(error);
    }
  };
  return {
    page,
    rows,
    query,
    working,
    leftPx: leftPx.current,
    turn: (to: Query) => void turn(to),
    stop: () => {
      asked.current++;
      setWorking(null);
    },
  };
}

interface GridProps {
  rows: TableRows;
  leftPx: number;
  query: Query;
  sort: ((column: number) => void) | null;
}

function Grid({ rows, leftPx, query, sort }: GridProps) {
  return (
    <VirtualRows
      kind="rain-data"
      role="table"
      aria-label="Table"
      tabIndex={0}
      aria-colcount={rows.columns.width + 1}
      aria-rowcount={rows.settled ? rows.known + 1 : -1}
      rowHeight={ROW_PX}
      header={<Header rows={rows} query={query} sort={sort} />}
      drawing={() => rows.look()}
      make={() => rows.make()}
      fill={(element, index) => rows.fill(element, index)}
      seen={(from, end) => rows.seen(from, end)}
      attach={(list: VirtualList) => rows.attach(list, leftPx)}
    />
  );
}

function Header({ rows: { columns, shown, template, widthPx }, query, sort }: Omit<GridProps, "leftPx">) {
  const order = (column: number) => (query.sort !== column ? "none" : query.descending ? "descending" : "ascending");
  const numbers = Array.from({ length: shown[1] - shown[0] }, (_, i) => shown[0] + i);
  return (
    <div role="rowgroup" class="rain-grid-head">
      <div role="row" class="rain-grid-row" aria-rowindex={1} style={{ gridTemplateColumns: template, width: `${widthPx}px` }}>
        <div role="columnheader" class="rain-cell rain-data-index" aria-label="row" />
        <div class="rain-data-gap" role="none" />
        {numbers.map((column) => {
          const name = columns.nameOf(column);
          const dtype = columns.at(column)?.dtype ?? "…";
          return (
            <div
              key={column}
              role="columnheader"
              class={columns.isNumeric(column) ? "rain-cell rain-num" : "rain-cell"}
              title={`${name}: ${dtype}`}
              aria-colindex={column + 2}
              aria-sort={sort ? order(column) : undefined}
            >
              {sort ? (
                <button type="button" class="rain-data-name" title={`sort by ${name}`} onClick={() => sort(column)}>
                  {name}
                </button>
              ) : (
                <div class="rain-data-name">{name}</div>
              )}
              <div class="rain-data-type">{dtype}</div>
            </div>
          );
        })}
      </div>
    </div>
  );
}
