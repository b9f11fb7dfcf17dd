// What stays in the notebook when the kernel is restarted or dies: a saved output that names a widget whose kernel has gone
// shows an error in its place. The kernel cannot take it out any more then, since Lab forgets its outputs' displays at once; so
// the page does it, with the last picture that it got. Lab's manager of widgets knows kernel and notebook; elsewhere
// nothing happens.

import type { Port } from "./port.js";

type Bundle = Record<string, unknown>;

interface Output {
  data?: Bundle;
  metadata?: unknown;
}

interface Outputs {
  length: number;
  get(index: number): { toJSON(): Output };
  set(index: number, output: Output & { output_type: string }): void;
}

interface Manager {
  kernel?: { statusChanged?: { connect(slot: (sender: unknown, status: string) => void): void } } | null;
  context?: { model?: { cells?: Iterable<{ outputs?: Outputs }> } };
}

const WIDGET = "application/vnd.jupyter.widget-view+json";
const OVER = new Set(["restarting", "autorestarting", "dead"]);
const QUIET_MS = 400;
const LATEST_MS = 3000;

export class Keepsake {
  private model = "";
  private data: Bundle = {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private since = 0;

  constructor(private readonly port: Port) {
    const manager = port.manager as Manager | undefined;
    manager?.kernel?.statusChanged?.connect((_, status) => {
      if (OVER.has(status)) this.leave(manager);
    });
    void this.ask();
  }

  // The picture is another one now: ask for it when things have calmed down, or have not for a while.
  renew(): void {
    const now = performance.now();
    if (this.timer === undefined) this.since = now;
    else if (now - this.since > LATEST_MS) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.ask();
    }, QUIET_MS);
  }

  private async ask(): Promise<void> {
    try {
      const { data } = await this.port.request<{ model: string; data: Bundle }>("picture");
      this.model = data.model;
      this.data = data.data;
    } catch {
      // The one before is better than none.
    }
  }

  private leave(manager: Manager): void {
    clearTimeout(this.timer);
    for (const { outputs } of manager.context?.model?.cells ?? []) {
      for (let index = 0; index < (outputs?.length ?? 0); index++) {
        const { data, metadata } = outputs?.get(index).toJSON() ?? {};
        const view = data?.[WIDGET] as { model_id?: string } | undefined;
        if (!this.model || view?.model_id !== this.model) continue;
        const { [WIDGET]: _, ...rest } = { ...data, ...this.data };
        outputs?.set(index, { output_type: "display_data", data: rest, metadata });
      }
    }
  }
}
