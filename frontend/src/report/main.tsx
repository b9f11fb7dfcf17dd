// The program in the file of a report: the components of the notebook, fed from the file.

import { Layouts } from "../graph/layouts.js";
import { SessionView } from "../session/index.js";
import type { Report } from "../protocol.js";
import { TABS, type Tab } from "../session/tabs.js";
import { mountShell } from "../shell.js";
import { SessionStore } from "../store.js";
import { injectLooks } from "../theme.js";
import { reportTabs } from "./panes.js";
import { bytesOf, FilePort } from "./port.js";
import { Scrubber } from "./scrubber.js";

async function read(): Promise<Report> {
  const packed = document.getElementById("rain-data")?.textContent ?? "";
  const stream = new Blob([bytesOf(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()) as Report;
}

// Shows the report whose page this is.
export async function showReport(): Promise<void> {
  const host = document.getElementById("rain-report");
  if (!host) return;
  const report = await read();
  const port = new FilePort(report);
  const store = new SessionStore(port);
  const layouts = new Layouts(store);
  const tabs: readonly [Tab, ...Tab[]] = [TABS[0], ...TABS.slice(1).filter(({ name }) => name !== "governors"), ...reportTabs(report)];
  mountShell(host, {
    kind: "rain-session rain-report",
    dress: (root) => injectLooks(root, report.looks),
    view: (root) => (
      <SessionView
        store={store}
        layouts={layouts}
        root={root}
        ready={() => (host.dataset["ready"] = "true")}
        tabs={tabs}
        above={<Scrubber store={store} port={port} />}
      />
    ),
  });
  document.body.classList.add("shown");
}

