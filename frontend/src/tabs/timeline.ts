// What ran when: a lane for each cpu of each governor that was in use, drawn on a canvas.

import { button, h, replace, setAttribute, setText } from "../dom.js";
import { clock, governorName, many, seconds } from "../format.js";
import { OWN_KEYS } from "../jupyter-quirks.js";
import { type ImperativeTab, imperativePane } from "../components/imperative.js";
import { Refresher } from "../components/refresher.js";
import type { Bar, Timeline } from "../protocol.js";
import type { TabHost } from "../session/tabs.js";
import type { Change, SessionStore } from "../store.js";
import { barAt, height, type Line, lineAt, lines } from "./lanes.js";
import { inkOf } from "./palette.js";
import { paint, topPx } from "./timeline-canvas.js";
import { around, pan, type Span, timeOf, zoom } from "./time.js";
import { type Told, titleOf, toldOf } from "./timeline-words.js";

const PAUSE_MS = 500;
const TICK_MS = 250; // running bars grow by themselves
const SETTLE_MS = 120; // after a move, before the kernel is asked for more detail
const NEAR_PX = 4;
const WAITED_S_MIN = 0.001;
const CLICK_PX = 4;
const STEP = 1.5;
const FUNCTIONS_SHOWN_MAX = 12;

export const TimelinePane = imperativePane((store, host) => new TimelineTab(store, host));

class TimelineTab implements ImperativeTab {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { class: "rain-lanes-canvas", "aria-hidden": "true" });
  private readonly spacer = h("div", { class: "rain-lanes-spacer" }, this.canvas);
  private readonly scroll = h("div", {
    class: "rain-lanes",
    tabindex: "0",
    role: "group",
    "aria-roledescription": "timeline",
    "aria-label": "Timeline",
  }, this.spacer);
  private readonly range = h("span", { class: "rain-muted rain-push" });
  private readonly summary = h("ul", { class: "rain-sr-only" });
  private readonly legend = h("div", { class: "rain-functions rain-muted", hidden: true });
  private readonly tip = h("div", { class: "rain-tip", hidden: true });
  private readonly note = h("div", { class: "rain-tab-note", role: "alert", hidden: true });
  private readonly empty = h("div", { class: "rain-empty" }, "No task has run yet.");
  private readonly refresher: Refresher;
  private readonly observer: ResizeObserver;
  private readonly off: () => void;
  private data: Timeline | null = null;
  private dataAt = 0;
  private lines: Line[] = [];
  // null: all there is, as it grows.
  private view: Span | null = null;
  private frame = 0;
  private ticker: ReturnType<typeof setInterval> | undefined;
  private settle: ReturnType<typeof setTimeout> | undefined;
  private drag: { x: number; y: number; span: Span; top: number; moved: boolean } | null = null;
  private hovered: Bar | null = null;
  private first = Infinity; // the first start that was ever seen

  constructor(
    private readonly store: SessionStore,
    private readonly host: TabHost,
  ) {
    this.element = h(
      "div",
      { class: "rain-timeline", ...OWN_KEYS },
      h(
        "div",
        { class: "rain-tab-bar" },
        button("−", "Zoom out (−)", () => this.zoomBy(STEP)),
        button("+", "Zoom in (+)", () => this.zoomBy(1 / STEP)),
        button("All", "Show the whole time (0)", () => this.look(null)),
        button("Now", "Show the last tenth up to now (N)", () => this.lookAtNow()),
        h("span", { class: "rain-muted rain-hint" }, "Ctrl + wheel zooms, dragging moves, a click opens"),
        this.range,
      ),
      this.note,
      this.legend,
      h("div", { class: "rain-lanes-box" }, this.scroll, this.empty, this.tip),
      this.summary,
    );
    this.refresher = new Refresher(() => this.refresh(), PAUSE_MS);
    this.observer = new ResizeObserver(() => {
      this.draw();
      this.refresher.touch();
    });
    this.observer.observe(this.scroll);
    this.listen();
    this.off = store.subscribe((change) => this.changed(change));
  }

  show(): void {
    this.refresher.show();
    this.ticker ??= setInterval(() => {
      if (this.store.summary.ticking && this.refresher.looking) this.draw();
    }, TICK_MS);
    this.draw();
  }

  hide(): void {
    this.refresher.hide();
    clearInterval(this.ticker);
    this.ticker = undefined;
    this.point(null, 0, 0);
  }

  dispose(): void {
    this.hide();
    this.off();
    this.observer.disconnect();
    this.refresher.dispose();
    clearTimeout(this.settle);
    cancelAnimationFrame(this.frame);
  }

  private changed(change: Change): void {
    if (change.selection) this.draw();
    if (change.everything || change.topology || change.summary || change.status.size) this.refresher.touch();
  }

  private now(): number {
    const data = this.data;
    if (!data) return 0;
    return this.store.summary.ticking ? data.now + (performance.now() - this.dataAt) / 1000 : data.now;
  }

  // The span of time that is in sight.
  private span(): Span {
    if (this.view) return this.view;
    const data = this.data;
    if (!data) return { begin: 0, end: 1 };
    return around(data.begin, this.store.summary.ticking ? Math.max(data.end, this.now()) : data.end);
  }

  // -- what is asked -----------------------------------------------------------------------------

  // With a view, half of it more on each side, so that moving it shows something at once.
  private async refresh(): Promise<void> {
    const { view } = this;
    const width = Math.max(100, Math.round(this.scroll.clientWidth));
    const margin = view ? (view.end - view.begin) / 2 : 0;
    try {
      const { data } = await this.store.request("timeline", {
        begin: view ? view.begin - margin : null,
        end: view ? view.end + margin : null,
        pixels: view ? width * 2 : width,
      });
      this.note.hidden = true;
      this.take(data);
    } catch (error) {
      setText(this.note, error instanceof Error ? error.message : String(error));
      this.note.hidden = false;
    }
  }

  private take(data: Timeline): void {
    this.data = data;
    this.dataAt = performance.now();
    this.lines = lines(data.lanes);
    this.empty.hidden = data.lanes.length > 0;
    this.spacer.style.height = `${height(this.lines) + topPx(data.queue)}px`;
    this.explain(data);
    this.draw();
    this.tell();
  }

  private look(view: Span | null): void {
    this.view = view;
    this.draw();
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.refresher.now(), SETTLE_MS);
  }

  private zoomBy(factor: number, at?: number): void {
    const span = this.span();
    this.look(zoom(span, factor, at ?? (span.begin + span.end) / 2));
  }

  private lookAtNow(): void {
    const whole = this.span();
    const length = (whole.end - whole.begin) / (this.view ? 1 : 10);
    const end = this.now();
    this.look({ begin: end - length * 0.9, end: end + length * 0.1 });
  }

  // -- what is drawn -----------------------------------------------------------------------------

  private draw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    this.frame = 0;
    if (!this.scroll.clientWidth) return;
    const span = this.span();
    paint(this.canvas, {
      width: this.scroll.clientWidth,
      height: this.scroll.clientHeight,
      top: this.scroll.scrollTop,
      lines: this.lines,
      queue: this.data?.queue ?? [],
      span,
      origin: this.data ? this.origin(this.data) : 0,
      now: this.now(),
      ticking: this.store.summary.ticking,
      selected: this.store.selected,
      hovered: this.hovered,
      look: (state) => this.store.look(state),
      name: (governor) => this.nameOf(governor),
    });
    setText(this.range, this.data?.lanes.length ? `${clock(span.begin)} – ${clock(span.end)} · ${seconds(span.end - span.begin)}` : "");
  }

  private nameOf(governor: string): string {
    return governorName(governor, this.lines.map((line) => line.governor));
  }

  // Times are counted from the first start that was ever seen.
  private origin(data: Timeline): number {
    for (const lane of data.lanes) for (const bar of lane.bars.slice(0, 1)) this.first = Math.min(this.first, bar[0]);
    return Number.isFinite(this.first) ? this.first : data.begin;
  }

  // Which colour is which function: the first ones.
  private explain({ functions }: Timeline): void {
    const dark = this.element.closest(".rain-dark") !== null;
    const shown = functions.slice(0, FUNCTIONS_SHOWN_MAX).map((name, place) => {
      const swatch = h("span", { class: "rain-function-colour", "aria-hidden": "true" });
      const { fill, edge } = inkOf(place, dark);
      swatch.style.background = fill;
      swatch.style.borderColor = edge;
      return h("span", { class: "rain-function", title: name }, swatch, h("span", { class: "rain-ellipsis" }, name));
    });
    const more = functions.length - shown.length;
    replace(this.legend, ...shown, more > 0 && h("span", { class: "rain-muted" }, `and ${more} more`));
    this.legend.hidden = !functions.length;
  }

  // The same in words, for screen readers.
  private tell(): void {
    const { data } = this;
    if (!data) return;
    const [span, now, { ticking }] = [this.span(), this.now(), this.store.summary];
    setAttribute(this.scroll, "aria-label", titleOf(data, span, now));
    const told = toldOf(data, span, now, ticking, (governor) => this.nameOf(governor), (state) => this.store.look(state));
    replace(this.summary, ...told.map(item));
  }

  // -- pointer and keyboard ----------------------------------------------------------------------

  private listen(): void {
    const { scroll } = this;
    scroll.addEventListener("scroll", () => this.draw());
    scroll.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    scroll.addEventListener("pointerdown", (event) => this.pressed(event));
    scroll.addEventListener("pointermove", (event) => this.moved(event));
    scroll.addEventListener("pointerup", (event) => this.released(event));
    scroll.addEventListener("pointercancel", () => this.drop());
    scroll.addEventListener("pointerleave", () => this.point(null, 0, 0));
    scroll.addEventListener("keydown", (event) => this.key(event));
  }

  private xy(event: MouseEvent): { x: number; y: number } {
    const box = this.scroll.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private at(event: MouseEvent): Bar | null {
    const { x, y } = this.xy(event);
    const top = topPx(this.data?.queue ?? []);
    if (y < top) return null;
    const line = lineAt(this.lines, y - top + this.scroll.scrollTop);
    if (!line?.lane) return null;
    const span = this.span();
    const width = this.scroll.clientWidth;
    const slack = ((span.end - span.begin) / width) * NEAR_PX;
    return barAt(line.lane.bars, timeOf(x, span, width), slack, this.now());
  }

  private get focused(): boolean {
    return (this.scroll.getRootNode() as Document | ShadowRoot).activeElement === this.scroll;
  }

  private wheeled(event: WheelEvent): void {
    const span = this.span();
    const width = this.scroll.clientWidth;
    // Without a key the page (or the lanes) scroll, unless the user is at work here and there is nothing to scroll.
    const here = event.deltaY !== 0 && !event.shiftKey && this.focused && this.scroll.scrollHeight <= this.scroll.clientHeight;
    if (event.ctrlKey || event.metaKey || (here && Math.abs(event.deltaY) > Math.abs(event.deltaX))) {
      const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006);
      this.zoomBy(factor, timeOf(this.xy(event).x, span, width));
    } else {
      const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
      if (Math.abs(sideways) <= (event.shiftKey ? 0 : Math.abs(event.deltaY))) return;
      this.look(pan(span, (sideways / width) * (span.end - span.begin)));
    }
    event.preventDefault();
    this.point(null, 0, 0);
  }

  private pressed(event: PointerEvent): void {
    if (event.button !== 0) return;
    const { x, y } = this.xy(event);
    if (x > this.scroll.clientWidth) return; // the scroll bar
    this.drag = { x, y, span: this.span(), top: this.scroll.scrollTop, moved: false };
  }

  private moved(event: PointerEvent): void {
    const { drag } = this;
    if (!drag) {
      this.point(this.at(event), event.clientX, event.clientY);
      return;
    }
    const { x, y } = this.xy(event);
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < CLICK_PX) return;
    if (!drag.moved) {
      drag.moved = true;
      this.scroll.setPointerCapture(event.pointerId);
      this.scroll.classList.add("rain-dragged");
      this.point(null, 0, 0);
    }
    const length = drag.span.end - drag.span.begin;
    this.scroll.scrollTop = drag.top - (y - drag.y);
    this.look(pan(drag.span, ((drag.x - x) / this.scroll.clientWidth) * length));
  }

  private released(event: PointerEvent): void {
    const clicked = this.drag !== null && !this.drag.moved;
    this.drop();
    const bar = clicked ? this.at(event) : null;
    if (!bar) return;
    if (bar[5] > 1) this.look(around(bar[0], bar[0] + bar[1])); // several: go nearer until they are apart
    else this.host.open(bar[3]);
  }

  private drop(): void {
    this.drag = null;
    this.scroll.classList.remove("rain-dragged");
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const span = this.span();
    const step = (span.end - span.begin) / 5;
    const actions: Record<string, () => void> = {
      "+": () => this.zoomBy(1 / STEP),
      "=": () => this.zoomBy(1 / STEP),
      "-": () => this.zoomBy(STEP),
      "0": () => this.look(null),
      n: () => this.lookAtNow(),
      ArrowLeft: () => this.look(pan(span, -step)),
      ArrowRight: () => this.look(pan(span, step)),
      ArrowUp: () => this.scroll.scrollBy(0, -40),
      ArrowDown: () => this.scroll.scrollBy(0, 40),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  private point(bar: Bar | null, clientX: number, clientY: number): void {
    if (bar !== this.hovered) {
      this.hovered = bar;
      this.scroll.classList.toggle("rain-pointing", bar !== null);
      this.tip.hidden = bar === null;
      if (bar) replace(this.tip, ...this.words(bar));
      this.draw();
    }
    if (!bar) return;
    const box = this.scroll.getBoundingClientRect();
    const left = Math.max(4, Math.min(clientX - box.left + 12, box.width - this.tip.offsetWidth - 4));
    const below = clientY - box.top + 16;
    const above = clientY - box.top - this.tip.offsetHeight - 10;
    const top = below + this.tip.offsetHeight > box.height && above > 0 ? above : below;
    this.tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  private words(bar: Bar): HTMLElement[] {
    const [start, , state, , name, number, place, waited, transfer, told] = bar;
    if (state === "moved") return this.wordsOfTransfers(bar, told);
    const kind = this.data?.functions[place];
    const look = this.store.look(state);
    const length = state === "running" ? this.now() - start : bar[1];
    const title = number > 1 ? `${many(number, "task")}, the first ${name}` : name;
    return [
      h("div", { class: "rain-tip-title" }, title),
      h("div", { "data-s": state, class: "rain-state" }, `${look.mark} ${look.word} · ${seconds(length)}`),
      h("div", { class: "rain-muted" }, `since ${clock(start)}`),
      ...(kind && kind !== title ? [h("div", { class: "rain-muted" }, kind)] : []),
      ...(waited >= WAITED_S_MIN ? [h("div", { class: "rain-muted" }, `was ready for ${seconds(waited)} before`)] : []),
      ...(transfer > 0 ? [h("div", { class: "rain-muted" }, `its inputs came in ${seconds(transfer)}`)] : []),
    ];
  }

  private wordsOfTransfers([start, length, , , name, number]: Bar, told: string): HTMLElement[] {
    return [
      h("div", { class: "rain-tip-title" }, number > 1 ? `${many(number, "input")}, the first ${name}` : name),
      ...(told ? [h("div", {}, told)] : []),
      h("div", { class: "rain-muted" }, `came in ${seconds(length)}, since ${clock(start)}`),
    ];
  }
}

function item({ words, parts }: Told): HTMLElement {
  return h("li", {}, words, parts.length > 0 && h("ul", {}, ...parts.map(item)));
}
