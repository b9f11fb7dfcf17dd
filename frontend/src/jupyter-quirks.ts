// How outputs with Rain's MIME type are shown: as the live widget while its kernel is there, else as the picture that is
// saved beside it. Jupyter's own renderer of widgets puts an error in the place of a widget whose kernel has gone, so its
// type is never in an output; it is only used here, by a renderer that a page gets when the first of Rain's widgets comes.
//
// All that is known of Jupyter's insides is in this file (JupyterLab 4.4 to 4.6, Notebook 7; jupyterlab_widgets 3.0):
// the manager of a widget has `rendermime` and `context`; the factory of the widgets' type makes a Lumino panel.

export const VIEW = "application/vnd.rain.view+json";
const WIDGET = "application/vnd.jupyter.widget-view+json";
const HTML = "text/html";
const TEXT = "text/plain";
const RANK = -20; // before all other types

export type Bundle = Record<string, unknown>;

interface Signal<T> {
  connect(slot: (sender: unknown, value: T) => void): void;
  disconnect(slot: (sender: unknown, value: T) => void): void;
}

interface Output {
  output_type: string;
  name?: string;
  text?: string | string[];
  data?: Bundle;
  metadata?: unknown;
}

interface Outputs {
  length: number;
  get(index: number): { toJSON(): Output };
  set(index: number, output: Output): void;
  add?(output: Output): unknown;
}

// A code cell of the page's notebook that had been run when the page was loaded: no widget hears its messages any more.
export interface CellOutputs {
  code(): string;
  count(): number | null;
  streams(): Record<string, string>;
  add(stream: string, text: string): void;
}

// Cells whose messages this page hears have a request of their own; of a page that has just been loaded none has.
export function ranBefore(manager: Manager): CellOutputs[] {
  const found: CellOutputs[] = [];
  for (const cell of manager.context?.model?.cells ?? []) {
    const { outputs, sharedModel } = cell;
    if (!outputs?.add || !sharedModel?.getSource) continue;
    found.push({
      code: () => sharedModel.getSource(),
      count: () => cell.executionCount ?? null,
      streams: () => {
        const texts: Record<string, string> = {};
        for (let index = 0; index < outputs.length; index++) {
          const { output_type, name = "", text = "" } = outputs.get(index).toJSON();
          if (output_type === "stream") texts[name] = (texts[name] ?? "") + (Array.isArray(text) ? text.join("") : text);
        }
        return texts;
      },
      add: (name, text) => outputs.add?.({ output_type: "stream", name, text }),
    });
  }
  return found;
}

interface WidgetModel {
  comm_live?: boolean;
  on(event: string, handler: () => void): void;
}

export interface Manager {
  rendermime?: Registry;
  context?: {
    model?: { cells?: Iterable<{ outputs?: Outputs; executionCount?: number | null; sharedModel?: { getSource(): string } }>; dirty: boolean };
    saveState?: Signal<string>;
    sessionContext?: { kernelChanged?: Signal<{ newValue: unknown }>; statusChanged?: Signal<string> };
  };
  kernel?: { statusChanged?: Signal<string> } | null;
  has_model?(id: string): boolean;
  get_model?(id: string): Promise<WidgetModel>;
}

interface MimeModel {
  data: Bundle;
}

interface Panel {
  node?: Element;
  isDisposed?: boolean;
  disposed?: Signal<unknown>;
  widgets?: readonly { dispose(): void }[];
  addWidget(child: Panel): void;
  show(): void;
  renderModel(model: unknown): Promise<void>;
}

interface Registry {
  getFactory?(type: string): { createRenderer(options: object): Panel } | undefined;
  addFactory(factory: object, rank: number): void;
  createRenderer(type: string): Panel;
}

// All outputs of the page's notebook that show a widget of Rain's, with its model's id. Whether it is the right notebook
// is not sure: one manager serves all notebooks of a kernel.
export function* displays(manager: Manager): Generator<{ id: string; output: Output; put(data: Bundle): void }> {
  for (const { outputs } of manager.context?.model?.cells ?? []) {
    for (let index = 0; index < (outputs?.length ?? 0); index++) {
      const output = outputs?.get(index).toJSON();
      const id = (output?.data?.[VIEW] as { model_id?: string } | undefined)?.model_id;
      if (!output || !id) continue;
      yield { id, output, put: (data) => outputs?.set(index, { ...output, data }) };
    }
  }
}

// What has happened to a kernel in this state.
const FATES: Record<string, string> = { restarting: "restarted", autorestarting: "restarted", dead: "closed" };

// The page hears of the end of a kernel in two ways: by its status, and (after "shut down") only by the session.
export function whenKernelGoes({ kernel, context }: Manager, gone: (fate: string) => void): void {
  kernel?.statusChanged?.connect((_, status) => {
    if (FATES[status]) gone(FATES[status]);
  });
  context?.sessionContext?.kernelChanged?.connect((_, { newValue }) => {
    if (newValue === null) gone("closed");
  });
}

// Just before the notebook is saved: what is put into its outputs now is saved with it.
export function whenSaved({ context }: Manager, saving: () => void): void {
  context?.saveState?.connect((_, state) => {
    if (state === "started") saving();
  });
}

// Has Jupyter save the notebook, though its user changed nothing.
export function markUnsaved({ context }: Manager): void {
  if (context?.model) context.model.dirty = true;
}

// -- beside the notebook ----------------------------------------------------------------------------------------------

// Under this name the element of a display has the Lumino widget that it belongs to. Its parents lead to the shell.
const OWNER = "rainOwner";
type Owned = Element & { [OWNER]?: unknown };

interface LuminoWidget {
  id: string;
  node: HTMLElement;
  title: { label: string; caption: string; closable: boolean };
  parent: LuminoWidget | null;
  isDisposed: boolean;
  disposed: Signal<unknown>;
  close(): void;
  dispose(): void;
  constructor: new () => LuminoWidget;
}

interface LabShell extends LuminoWidget {
  add(widget: LuminoWidget, area: string, options?: object): void;
  activateById(id: string): void;
  mode?: string; // JupyterLab's: "single-document" or "multiple-document"
  layoutModified?: unknown; // of JupyterLab, not of Notebook 7
}

export interface SideBySide {
  open(label: string, events: { opened(element: HTMLElement): void; closed(): void }): { show(): void };
}

// Elements around, also across shadow roots.
function* around(element: Element): Generator<Element> {
  for (let at: Element | null = element; at; ) {
    yield at;
    const root: Node = at.getRootNode();
    at = at.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
}

// The notebook's element, inside which something can stay in sight while its cells scroll.
export function notebookAround(element: Element): HTMLElement | null {
  for (const at of around(element)) if (at.classList.contains("jp-NotebookPanel")) return at as HTMLElement;
  return null;
}

let panels = 0;

// How to show something beside the notebook that an element is in: why that cannot be, or null where the page has no
// such place and needs no excuse (other programs than JupyterLab and Notebook).
export function sideBySide(element: Element): SideBySide | string | null {
  const owner = [...around(element)].map((at) => (at as Owned)[OWNER]).find(Boolean) as LuminoWidget | undefined;
  if (!owner) return null;
  const parents: LuminoWidget[] = [];
  for (let at: LuminoWidget | null = owner; at; at = at.parent) parents.push(at);
  const shell = parents.find((at) => typeof (at as LabShell).activateById === "function") as LabShell | undefined;
  if (!shell) return null;
  if (!("layoutModified" in shell)) return "Notebook shows one document at a time: open it in JupyterLab for a side panel";
  const notebook = parents.find((at) => at.node.classList.contains("jp-NotebookPanel"));
  // All widgets descend from one class, which only its instances give away.
  let made = owner.constructor as unknown as { prototype: object };
  for (let up = Object.getPrototypeOf(made); up?.prototype; up = Object.getPrototypeOf(up)) made = up;
  const Widget = made as unknown as new () => LuminoWidget;
  return {
    open(label, events) {
      const widget = new Widget();
      widget.id = `rain-panel-${++panels}`;
      widget.title.label = widget.title.caption = label;
      widget.title.closable = true;
      widget.node.classList.add("rain-side-panel");
      widget.disposed.connect(() => events.closed());
      // A tab that is closed is only detached by Lumino.
      const close = widget as unknown as { onCloseRequest(message: unknown): void };
      close.onCloseRequest = () => widget.dispose();
      const beside = shell.mode === "single-document" ? undefined : { mode: "split-right", ref: notebook?.id, activate: false };
      shell.add(widget, beside ? "main" : "right", beside ?? {});
      if (!beside) shell.activateById(widget.id);
      events.opened(widget.node);
      return { show: () => shell.activateById(widget.id) };
    },
  };
}

// An element with this attribute keeps its keys: Lumino 2, on which Lab is built, has commands on single letters.
export const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

// Whether the page is dark, as JupyterLab and Notebook say on the body; undefined in other pages.
export function isJupyterDark(): boolean | undefined {
  const light = document.body.dataset["jpThemeLight"];
  return light === undefined ? undefined : light === "false";
}

// Changes nothing that a user did, so an unsaved mark is left as it was.
function quietly(manager: Manager, change: () => void): void {
  const model = manager.context?.model;
  const dirty = model?.dirty;
  change();
  if (model && dirty === false) model.dirty = false;
}

export function addRenderer(manager: Manager | undefined): void {
  const registry = manager?.rendermime;
  const widgets = registry?.getFactory?.(WIDGET);
  if (!manager || !registry || !widgets) return;
  if (!registry.getFactory?.(VIEW)) {
    const createRenderer = (options: object) => {
      const panel = widgets.createRenderer({ ...options, mimeType: WIDGET });
      return new Display(manager, registry, panel).panel;
    };
    registry.addFactory({ safe: true, mimeTypes: [VIEW], createRenderer }, RANK);
  }
  // Outputs that were drawn as pictures, because they came before this renderer, are drawn anew.
  quietly(manager, () => {
    for (const { id, output, put } of displays(manager)) if (manager.has_model?.(id)) put(output.data ?? {});
  });
}

class Display {
  private model: MimeModel = { data: {} };
  private shown = ""; // the id of the widget that is shown, or the type of what is shown in its place
  private child: Panel | null = null;
  private readonly heard = new Set<unknown>();
  private readonly showWidget: (model: unknown) => Promise<void>;

  constructor(
    private readonly manager: Manager,
    private readonly registry: Registry,
    readonly panel: Panel,
  ) {
    this.showWidget = panel.renderModel.bind(panel);
    if (panel.node) (panel.node as Owned)[OWNER] = panel;
    panel.renderModel = (model) => {
      this.model = model as MimeModel;
      return this.settle();
    };
    const { kernelChanged, statusChanged } = manager.context?.sessionContext ?? {};
    const settle = () => void this.settle();
    for (const signal of [kernelChanged, statusChanged] as (Signal<unknown> | undefined)[]) {
      signal?.connect(settle);
      panel.disposed?.connect(() => signal?.disconnect(settle));
    }
  }

  private async settle(): Promise<void> {
    const { model } = this;
    const data = model.data;
    const id = (data[VIEW] as { model_id?: string } | undefined)?.model_id ?? "";
    const live = await this.alive(id);
    if (model !== this.model || this.panel.isDisposed) return; // another output came meanwhile, or the cell was run again
    const type = live ? id : HTML in data ? HTML : TEXT;
    if (this.shown !== type) {
      for (const child of [...(this.panel.widgets ?? [])]) child.dispose();
      this.shown = type;
      this.child = null;
      if (live) {
        this.panel.show();
        return this.showWidget({ data: { [WIDGET]: { version_major: 2, version_minor: 0, model_id: id } }, metadata: {} });
      }
      this.child = this.registry.createRenderer(type);
      this.panel.addWidget(this.child);
      this.panel.show(); // it hides itself when its widget has gone
    }
    await this.child?.renderModel(model);
  }

  private async alive(id: string): Promise<boolean> {
    if (!this.manager.has_model?.(id)) return false;
    const model = await this.manager.get_model?.(id).catch(() => null);
    if (model && !this.heard.has(model)) {
      this.heard.add(model);
      for (const event of ["comm_live_update", "comm:close"]) model.on(event, () => void this.settle());
    }
    return model?.comm_live === true;
  }
}

// Shows the cell with that execution count to the user, and the line in it; whether it is on the page. `from` is an
// element of the same notebook.
export function showCell(from: Element, count: number, line: number): boolean {
  const root = from.getRootNode();
  const place = root instanceof ShadowRoot ? root.host : from;
  const notebook = place.closest(".jp-Notebook") ?? document.querySelector(".jp-Notebook");
  const cells = [...(notebook?.querySelectorAll(".jp-CodeCell") ?? [])];
  const cell = cells.reverse().find((one) => one.querySelector(".jp-InputArea-prompt")?.textContent?.trim() === `[${count}]:`);
  if (!cell) return false;
  // IPython counts from the first line that is not empty; of long cells CodeMirror has only the lines in sight.
  const shown = cell.querySelector(".cm-gap") ? [] : [...cell.querySelectorAll(".cm-line")];
  const first = shown.findIndex((one) => one.textContent?.trim());
  const target = shown[first + line - 1] ?? cell;
  target.scrollIntoView({ block: "center" });
  target.animate?.([{ backgroundColor: "rgba(255, 193, 7, 0.55)" }, { backgroundColor: "transparent" }], 2500);
  return true;
}
