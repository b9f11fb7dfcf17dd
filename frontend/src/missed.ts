// What tasks printed while no page was open is put into the cells that made them. Pages that are loaded again get no
// messages for cells that ran before: Jupyter drops them. The kernel remembers the end of what it sent.

import type { Port } from "./port.js";
import type { CellText } from "./protocol.js";
import { type CellOutputs, type Manager, ranBefore } from "./jupyter-quirks.js";

const AGAIN_MS = [1000, 3000]; // what comes late, and what the kernel reads meanwhile
const PAUSE_MS = 2000;

// The parts from the first line on that is not among those shown; each shown line stands for one that was printed.
export function missing(parts: CellText["parts"], shown: Record<string, string>): CellText["parts"] {
  const left = new Map(Object.entries(shown).map(([stream, text]) => [stream, text.split("\n")]));
  const found: CellText["parts"] = [];
  for (const [stream, text] of parts) {
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    const fresh = lines.findIndex((line) => {
      const before = left.get(stream) ?? [];
      const at = before.indexOf(line);
      if (at < 0) return true;
      left.set(stream, before.slice(at + 1));
      return false;
    });
    if (fresh >= 0) {
      left.set(stream, []);
      found.push([stream, lines.slice(fresh).join("\n") + (text.endsWith("\n") ? "\n" : "")]);
    }
  }
  return found;
}

interface Known {
  cell: CellOutputs;
  count: number | null; // of the run that is in the file; null: it had not ended
  length: number; // of what is shown
}

// The cells of a page that was loaded after they had been run, as they come back.
export class MissedOutput {
  private cells: Known[];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly port: Port,
    manager: Manager,
  ) {
    this.cells = ranBefore(manager).map((cell) => ({ cell, count: cell.count(), length: lengthOf(cell) }));
    void this.ask(true).then((again) => {
      if (!again) return;
      for (const ms of AGAIN_MS) setTimeout(() => void this.ask(false), ms);
      port.on("delta", () => {
        if (this.cells.length) this.timer ??= setTimeout(() => {
          this.timer = undefined;
          void this.ask(false);
        }, PAUSE_MS);
      });
    });
  }

  // Whether another page had the widget before: then something may have been missed.
  private async ask(first: boolean): Promise<boolean> {
    try {
      const { data } = await this.port.request("missed", { first });
      if (data.again) for (const known of this.cells) this.bring(known, data.cells);
      return data.again;
    } catch {
      return false; // the kernel has gone, or the widget: nothing more is to come
    }
  }

  private bring(known: Known, said: CellText[]): void {
    const { cell } = known;
    if (lengthOf(cell) < known.length || (known.count !== null && cell.count() !== known.count)) {
      this.cells = this.cells.filter((one) => one !== known); // it was run again, in this page
      return;
    }
    const runs = said.filter(({ code, count }) => code === cell.code() && (known.count ?? count) === count);
    const run = runs.at(-1);
    if (!run) return;
    for (const [stream, text] of missing(run.parts, cell.streams())) cell.add(stream, text);
    known.length = lengthOf(cell);
  }
}

function lengthOf(cell: CellOutputs): number {
  return Object.values(cell.streams()).reduce((sum, text) => sum + text.length, 0);
}
