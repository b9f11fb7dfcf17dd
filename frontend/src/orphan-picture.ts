// The picture that is saved of a widget. The page keeps the last one and puts it into the widget's outputs whenever the
// notebook is saved, when a session ends, and when the kernel goes (which cannot do it itself then: Lab forgets the
// displays of its outputs at once). Elsewhere than in JupyterLab and Notebook nothing happens.

import type { Port } from "./port.js";
import { type Bundle, displays, type Manager, markUnsaved, VIEW, whenKernelGoes, whenSaved } from "./jupyter-quirks.js";

const QUIET_MS = 400;
const LATEST_MS = 3000;
const END = "</figcaption>";

export class OrphanPicture {
  private model = "";
  private data: Bundle = {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private since = 0;
  private gone = false;
  private readonly manager: Manager;

  constructor(private readonly port: Port) {
    this.manager = (port.manager ?? {}) as Manager;
    whenKernelGoes(this.manager, (fate) => this.leave(fate));
    whenSaved(this.manager, () => this.put());
    port.on("final", (data) => {
      this.data = data;
      this.put(true);
    });
    void this.ask();
  }

  // The picture has changed: asks for it after a pause without further changes, or after LATEST_MS of them. If it is worth
  // saving by itself, the notebook is marked as changed.
  renew(worthSaving = true): void {
    const now = performance.now();
    if (this.timer === undefined) this.since = now;
    else if (now - this.since > LATEST_MS) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.ask(worthSaving);
    }, QUIET_MS);
  }

  private async ask(worthSaving = false): Promise<void> {
    try {
      const { data } = await this.port.request("picture");
      this.model = data.model;
      this.data = data.data;
      if (worthSaving && this.present().length) markUnsaved(this.manager);
    } catch {
      // The last picture is better than none.
    }
  }

  private present() {
    return [...displays(this.manager)].filter(({ id }) => id === this.model);
  }

  // Puts the last picture into the outputs; for good if the widget has gone.
  private put(final = false): void {
    if (this.gone || !this.model) return;
    this.gone = final;
    for (const { output, put } of this.present()) {
      const { [VIEW]: view, ...rest } = { ...output.data, ...this.data };
      put(final ? rest : { [VIEW]: view, ...rest });
    }
  }

  private leave(fate: string): void {
    clearTimeout(this.timer);
    const html = this.data["text/html"];
    if (!this.gone && typeof html === "string" && html.includes(END)) {
      const at = html.lastIndexOf(END);
      this.data = { ...this.data, "text/html": `${html.slice(0, at)}, then the kernel was ${fate}${html.slice(at)}` };
    }
    this.put(true);
  }
}
