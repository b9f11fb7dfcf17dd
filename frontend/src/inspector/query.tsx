// Which rows of a table are wanted, and in which order: as the head of a column and the bar above say it.

import { useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import type { Inspect } from "../protocol.js";
import type { Columns } from "./columns.js";

export type Query = Required<Pick<Inspect, "sort" | "descending" | "filters">>;

export const ALL: Query = { sort: null, descending: false, filters: [] };

// A click on the head of a column: rising, falling, as it is.
export function sortedBy(query: Query, column: number): Query {
  if (query.sort !== column) return { ...query, sort: column, descending: false };
  return query.descending ? { ...query, sort: null, descending: false } : { ...query, descending: true };
}

interface FilterProps {
  columns: Columns;
  query: Query;
  apply: (query: Query) => void;
}

const HELP = "part of a text, a value, or: > 5   <= 2.5   != a   ~ ^a.*z$   is null   is not null";

export function Filters({ columns, query, apply }: FilterProps) {
  const [chosen, setChosen] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const add = () => {
    const text = field.current?.value.trim();
    if (!text || !field.current) return;
    apply({ ...query, filters: [...query.filters, { column: chosen, text }] });
    field.current.value = "";
  };
  return (
    <div class="rain-row-filters" role="group" aria-label="which rows">
      <select
        class="rain-input"
        aria-label="column to filter by"
        title="the columns that were in sight so far"
        value={String(chosen)}
        onChange={(event) => setChosen(Number(event.currentTarget.value))}
      >
        {columns.known.map((column) => (
          <option key={column} value={String(column)}>
            {columns.nameOf(column)}
          </option>
        ))}
      </select>
      <input
        type="text"
        class="rain-input"
        maxLength={500}
        placeholder="> 5, a text, ~ regex"
        title={HELP}
        aria-label={`filter: ${HELP}`}
        ref={field}
        onKeyDown={(event) => {
          if (event.key === "Enter") add();
        }}
      />
      <Button title="show only rows that fit" click={add}>
        Filter
      </Button>
      {query.filters.map((filter, i) => (
        <Button
          key={i}
          kind="rain-row-filter"
          title="take this filter away"
          click={() => apply({ ...query, filters: query.filters.filter((_, other) => other !== i) })}
        >
          {`${columns.nameOf(filter.column)} ${filter.text} ×`}
        </Button>
      ))}
    </div>
  );
}
