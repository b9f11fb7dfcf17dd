// What the loader gets from the kernel: one view for each kind of widget.

import { attachCard } from "./card/index.js";
import { attachInspector } from "./inspector/index.js";
import { Keepsake } from "./keepsake.js";
import type { Attached, Port } from "./port.js";
import { attachSession } from "./session.js";

export function attach(port: Port): Attached {
  const keepsake = new Keepsake(port);
  if (port.kind === "inspector") return attachInspector(port);
  if (port.kind === "client") return attachCard(port, keepsake);
  return attachSession(port, keepsake);
}
