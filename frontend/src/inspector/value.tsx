// The value of a pickle, once its reader has asked for it to be loaded.

import type { ValuePage } from "../protocol.js";
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
    ask: async <P,>(parameters: Record<string, unknown>) => {
      const { page, buffers } = await scope.ask<ValuePage>(parameters);
      if (!page.table) throw new Error("The value is not a table any more.");
      return { page: page.table as P, buffers };
    },
  };
}
