// What the loader gets from the kernel: one view for each kind of widget. The same program stands in the file of a report.
// It tells by the root of the document, which no output of a cell can be.

import { attachCard } from "./card/index.js";
import { attachInspector } from "./inspector/index.js";
import type { Manager } from "./jupyter-quirks.js";
import { MissedOutput } from "./missed.js";
import { OrphanPicture } from "./orphan-picture.js";
import { attachPools } from "./places/index.js";
import type { Attached, Port } from "./port.js";
import { showReport } from "./report/main.js";
import { attachSession } from "./session/index.js";

export function attach(port: Port): Attached {
  const picture = new OrphanPicture(port);
  if (port.kind === "inspector") return attachInspector(port);
  if (port.kind === "client") return attachCard(port, picture);
  if (port.kind === "pools") return attachPools(port, picture);
  new MissedOutput(port, (port.manager ?? {}) as Manager);
  return attachSession(port, picture);
}

if (document.documentElement.dataset["rain"] === "report") void showReport();
