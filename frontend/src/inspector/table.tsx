// Rows and columns: frames, arrays, CSV.

import { useMemo, useRef, useState } from "preact/hooks";
import { useRedraw } from "../components/hooks.js";
import { Button } from "../components/parts.js";
import { count, many } from "../format.js";
import type { VirtualList } from "../lists/virtual-list.js";
import { VirtualRows } from "../lists/virtual-rows.js";
import type { TablePage } from "../protocol.js";
import { Pairs } from "./pairs.js";
import { TableRows } from "./table-rows.js";
import type { Scope, ViewProps } from "./viewing.js";

const ROW_PX = 24;

export function TableView({ scope, page: first }: ViewProps<TablePage>) {
  const { page, rows, top, previous, next } = useColumns(scope, first);
  const redraw = useRedraw();
  rows.learned = redraw;
  const end = page.column + page.columns.length;
  const whole = page.column === 0 && end >= page.width;
  const known = `${rows.settled ? "" : "at least "}${many(rows.known, "row")}`;
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
      <Grid key={page.column} rows={rows} top={top} />
    </div>
  );
}

// The columns that are shown, and the way to those before and after them.
function useColumns(scope: Scope, first: TablePage) {
  const [page, setPage] = useState(first);
  const starts = useRef<number[]>([]); // the first columns of what was shown before
  const busy = useRef(false);
  const kept = useRef({ known: 0, top: 0 });
  const rows = useMemo(() => new TableRows(scope, page, kept.current.known), [page]);
  const turn = async (column: number, keep: boolean) => {
    if (busy.current) return;
    busy.current = true;
    try {
      const next = await scope.ask<TablePage>({ offset: 0, column });
      if (keep) starts.current.push(page.column);
      scope.trouble(null);
      kept.current = { known: rows.known, top: rows.list?.top ?? 0 };
      setPage(next);
    } catch (error) {
      scope.trouble(error);
    } finally {
      busy.current = false;
    }
  };
  return {
    page,
    rows,
    top: kept.current.top,
    previous: () => void turn(starts.current.pop() ?? 0, false),
    next: () => void turn(page.column + page.columns.length, true),
  };
}

function Grid({ rows, top }: { rows: TableRows; top: number }) {
  return (
    <VirtualRows
      kind="rain-data"
      role="table"
      aria-label="Table"
      tabIndex={0}
      aria-colcount={rows.first.width + 1}
      aria-rowcount={rows.settled ? rows.known + 1 : -1}
      rowHeight={ROW_PX}
      header={<Header rows={rows} />}
      make={() => rows.make()}
      fill={(element, index) => rows.fill(element, index)}
      seen={(from, end) => rows.seen(from, end)}
      attach={(list: VirtualList) => rows.attach(list, top)}
    />
  );
}

function Header({ rows: { first, numeric, template } }: { rows: TableRows }) {
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
          >
            <div class="rain-data-name">{name}</div>
            <div class="rain-data-type">{dtype}</div>
          </div>
        ))}
      </div>
    </div>
  );
}
