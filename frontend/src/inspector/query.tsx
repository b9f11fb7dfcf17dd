// Which rows of a table are wanted, and in which order: as the head of a column and the bar above say it.

import { useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { count } from "../format.js";
import type { Inspect, TablePage } from "../protocol.js";

export type Query = Required<Pick<Inspect, "sort" | "descending" | "filters">>;

export const ALL: Query = { sort: null, descending: false, filters: [] };

// A click on the head of a column: rising, falling, as it is.
export function sortedBy(query: Query, column: number): Query {
  if (query.sort !== column) return { ...query, sort: column, descending: false };
  return query.descending ? { ...query, sort: null, descending: false } : { ...query, descending: true };
}

interface FilterProps {
  page: TablePage;
  query: Query;
  apply: (query: Query) => void;
}

const HELP = "part of a text, a value, or: > 5   <= 2.5   != a   ~ ^a.*z$   is null   is not null";

export function Filters({ page, query, apply }: FilterProps) {
  const [column, setColumn] = useState(page.column);
  const [names] = useState(() => new Map<number, string>()); // of columns that were filtered and are out of sight
  const chosen = column >= page.column && column < page.column + page.columns.length ? column : page.column;
  const nameOf = (number: number) => page.columns[number - page.column]?.name ?? names.get(number) ?? `column ${count(number + 1)}`;
  const field = useRef<HTMLInputElement>(null);
  const add = () => {
    const text = field.current?.value.trim();
    if (!text || !field.current) return;
    names.set(chosen, nameOf(chosen));
    apply({ ...query, filters: [...query.filters, { column: chosen, text }] });
    field.current.value = "";
  };
  return (
    <div class="rain-row-filters" role="group" aria-label="which rows">
      <select class="rain-input" aria-label="column to filter by" value={String(chosen)} onChange={(event) => setColumn(Number(event.currentTarget.value))}>
        {page.columns.map(({ name }, i) => (
          <option key={page.column + i} value={String(page.column + i)}>
            {name}
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
          {`${nameOf(filter.column)} ${filter.text} ×`}
        </Button>
      ))}
    </div>
  );
}
