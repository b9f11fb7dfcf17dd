// What can be said of a pickle without loading it.

import { Gauge } from "../components/gauge.js";
import { Button } from "../components/parts.js";
import { count } from "../format.js";
import type { PicklePage } from "../protocol.js";
import { Pairs } from "./pairs.js";
import type { ViewProps } from "./viewing.js";

export function PickleView({ scope, page: { summary, globals, opcodes } }: ViewProps<PicklePage>) {
  const most = Math.max(1, ...opcodes.map(([, number]) => number));
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <span class="rain-muted">Nothing was unpickled to show this.</span>
        {scope.views.includes("preview") && (
          <Button
            title="An executor loads the value; code that the object names may run there"
            kind="rain-push rain-careful"
            click={() => scope.turn("preview")}
          >
            Preview (runs code from the object)
          </Button>
        )}
        <Button
          title="Loads the value in the kernel; code that the object names may run"
          kind={scope.views.includes("preview") ? "rain-careful" : "rain-push rain-careful"}
          click={() => scope.turn("value")}
        >
          Unpickle (runs code from the object)
        </Button>
      </div>
      <div class="rain-pickle" tabIndex={0} role="region" aria-label="Summary of the pickle">
        <Pairs list={summary} />
        {globals.length > 0 && (
          <section>
            <h4>names it refers to</h4>
            <ul class="rain-globals">
              {globals.map((name) => (
                <li>{name}</li>
              ))}
            </ul>
          </section>
        )}
        {opcodes.length > 0 && (
          <section>
            <h4>opcodes</h4>
            <ul class="rain-opcodes">
              {opcodes.map(([name, number]) => (
                <Gauge key={name} row="li" measure={{ key: name, label: name, text: count(number), share: number / most, ours: null }} />
              ))}
            </ul>
          </section>
        )}
      </div>
    </div>
  );
}
