// A scrolled list of which only the rows in sight are elements.

import { setAttribute } from "../dom.js";
import {
  clampOffset,
  type Extent,
  isScaled,
  offsetOf,
  reveal,
  rowWindow,
  scrollTopOf,
  spacerHeight,
} from "./scroll.js";

const MARGIN_ROWS = 6;

export interface ListOptions {
  rowHeight: number;
  // What scrolls; the list inside it, and what stays above that.
  element: HTMLElement;
  list: HTMLElement;
  header?: HTMLElement | null;
  // Called before rows are drawn.
  drawing?(): void;
  // An empty row, and its filling with what belongs at `index`; both are called often.
  make(): HTMLElement;
  fill(row: HTMLElement, index: number): void;
  // Rows [first, end) came into sight.
  seen?(first: number, end: number): void;
}

export class VirtualList {
  readonly element: HTMLElement;
  readonly list: HTMLElement;
  private total = 0;
  private offset = 0;
  private expected = 0; // the scrollTop that we set ourselves
  private frame = 0;
  private readonly shown = new Map<number, HTMLElement>();
  private readonly spare: HTMLElement[] = [];
  private readonly observer: ResizeObserver;

  constructor(private readonly options: ListOptions) {
    this.list = options.list;
    this.element = options.element;
    this.element.addEventListener("scroll", () => this.scrolled());
    this.element.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  get count(): number {
    return this.total;
  }

  get perPage(): number {
    return Math.max(1, Math.floor(this.extent().view / this.options.rowHeight) - 1);
  }

  // The first row that is wholly in sight.
  get top(): number {
    return Math.ceil(this.offset / this.options.rowHeight);
  }

  setCount(total: number): void {
    if (total === this.total) return;
    this.total = total;
    this.list.style.height = `${spacerHeight(this.extent())}px`;
    this.draw();
  }

  // In the next frame, once.
  draw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  reveal(row: number): void {
    this.moveTo(reveal(row, this.offset, this.extent()));
  }

  toTop(row: number): void {
    this.moveTo(clampOffset(row * this.options.rowHeight, this.extent()));
  }

  elementOf(row: number): HTMLElement | undefined {
    return this.shown.get(row);
  }

  dispose(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }

  private extent(): Extent {
    const header = this.options.header?.offsetHeight ?? 0;
    return {
      rowHeight: this.options.rowHeight,
      total: this.total,
      view: Math.max(0, this.element.clientHeight - header),
    };
  }

  private moveTo(offset: number): void {
    this.offset = offset;
    this.element.scrollTop = scrollTopOf(offset, this.extent());
    this.expected = this.element.scrollTop;
    this.drawNow();
  }

  private scrolled(): void {
    const { scrollTop } = this.element;
    if (scrollTop !== this.expected) this.offset = offsetOf(scrollTop, this.extent());
    this.expected = scrollTop;
    this.draw();
  }

  // To scale, one notch of the wheel would pass thousands of rows.
  private wheeled(event: WheelEvent): void {
    const extent = this.extent();
    if (!isScaled(extent) || event.deltaY === 0 || event.ctrlKey) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? this.options.rowHeight : event.deltaMode === 2 ? extent.view : 1;
    this.moveTo(clampOffset(this.offset + event.deltaY * unit, extent));
  }

  private drawNow(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const extent = this.extent();
    if (extent.view === 0) return; // hidden
    this.options.drawing?.();
    this.offset = clampOffset(this.offset, extent);
    const [first, end] = rowWindow(this.offset, extent, MARGIN_ROWS);
    for (const [index, row] of this.shown) {
      if (index >= first && index < end) continue;
      this.shown.delete(index);
      row.hidden = true;
      this.spare.push(row);
    }
    const shift = scrollTopOf(this.offset, extent) - this.offset;
    for (let index = first; index < end; index++) this.place(index, index * extent.rowHeight + shift);
    this.options.seen?.(first, end);
  }

  private place(index: number, top: number): void {
    let row = this.shown.get(index);
    if (!row) {
      row = this.spare.pop() ?? this.options.make();
      row.hidden = false;
      if (!row.isConnected) this.list.append(row);
      this.shown.set(index, row);
    }
    setAttribute(row, "aria-rowindex", String(index + (this.options.header ? 2 : 1)));
    row.style.transform = `translateY(${top}px)`;
    this.options.fill(row, index);
  }
}
