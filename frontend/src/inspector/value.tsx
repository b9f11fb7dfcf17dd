// The value of a pickle, once its reader has asked for it to be loaded.

import type { Inspect, Page, ValuePage } from "../protocol.js";
import { TableView } from "./table.js";
import type { Scope, ViewProps } from "./viewing.js";

export function ValueView({ scope, page, buffers }: ViewProps<ValuePage>) {
  return (
    <div class="rain-view">
      <div class="rain-value-type">
        <span class="rain-muted">type </span>
        {page.type}
      </div>
      {page.table ? (
        <TableView scope={tableScope(scope)} page={page.table} buffers={buffers} />
      ) : (
        <pre class="rain-text rain-wrap" tabIndex={0} aria-label="Value">
          {page.text}
        </pre>
      )}
    </div>
  );
}

// Pages of the value as pages of its table.
function tableScope(scope: Scope): Scope {
  return {
    ...scope,
    ask: async <P extends Page>(asked: Inspect) => {
      const { table } = await scope.ask<ValuePage>(asked);
      if (!table) throw new Error("The value is not a table any more.");
      return table as Page as P;
    },
  };
}
