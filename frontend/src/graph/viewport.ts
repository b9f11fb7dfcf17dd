// Zoom and pan of an SVG's world.

export const SMALLEST = 0.04;
export const LARGEST = 4;
// The smallest scale of a view that was not zoomed: letters of 10 points have 9 CSS pixels.
export const READABLE = 0.9;
const ENLARGED = 1.4;
export const MARGIN = 16;
const EASE_MS = 280;

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Size {
  width: number;
  height: number;
}

// How a world is seen through a window: its scale, which never makes it unreadable, and where its corner is. Pure.
export function readableView(window: Size, world: Size, part?: Rect): { scale: number; x: number; y: number } {
  const room = { width: window.width - 2 * MARGIN, height: window.height - 2 * MARGIN };
  const scale = Math.max(READABLE, Math.min(room.width / world.width, room.height / world.height, ENLARGED));
  const along = (size: number, whole: number, begin: number, length: number) => {
    const over = whole * scale - (size - 2 * MARGIN);
    if (over <= 0) return (size - whole * scale) / 2;
    // The part in the middle, or from its beginning if it is too large, and no margin wider than needed.
    const wanted = length * scale > size - 2 * MARGIN ? begin * scale : (begin + length / 2) * scale - size / 2 + MARGIN;
    return MARGIN - Math.max(0, Math.min(over, wanted));
  };
  return {
    scale,
    x: along(window.width, world.width, part?.x ?? 0, part?.width ?? 0),
    y: along(window.height, world.height, part?.y ?? 0, part?.height ?? 0),
  };
}

export const reducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Viewport {
  x = 0;
  y = 0;
  scale = 1;
  // Whether the user chose this view; then new layouts leave it.
  touched = false;
  private animation = 0;
  private drag: { id: number; x: number; y: number; moved: boolean } | null = null;

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly world: SVGGElement,
    private readonly moved: (scale: number) => void,
  ) {
    svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.down(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    svg.addEventListener("pointerup", (event) => this.up(event));
    svg.addEventListener("pointercancel", (event) => this.up(event));
    // A drag is no click.
    svg.addEventListener("click", (event) => this.swallow(event), { capture: true });
  }

  // Shows all of a world of this size, however small it becomes.
  fit(width: number, height: number, smooth: boolean): void {
    this.touched = false;
    const { width: w, height: h } = this.size();
    if (!w || !h || !width || !height) return;
    const scale = Math.max(SMALLEST, Math.min((w - 2 * MARGIN) / width, (h - 2 * MARGIN) / height, ENLARGED));
    this.go((w - width * scale) / 2, (h - height * scale) / 2, scale, smooth);
  }

  // Shows as much of a world as can be read: all, or else what is around a part of it, or its beginning.
  fitReadably(width: number, height: number, smooth: boolean, part?: Rect): void {
    this.touched = false;
    const { width: w, height: h } = this.size();
    if (!w || !h || !width || !height) return;
    const { scale, x, y } = readableView({ width: w, height: h }, { width, height }, part);
    this.go(x, y, scale, smooth);
  }

  // Zooms about a point of the window (the middle by default).
  zoom(factor: number, clientX?: number, clientY?: number, smooth = false): void {
    this.touched = true;
    const box = this.svg.getBoundingClientRect();
    const px = clientX === undefined ? box.width / 2 : clientX - box.left;
    const py = clientY === undefined ? box.height / 2 : clientY - box.top;
    const scale = Math.min(LARGEST, Math.max(SMALLEST, this.scale * factor));
    const by = scale / this.scale;
    this.go(px - (px - this.x) * by, py - (py - this.y) * by, scale, smooth);
  }

  // Moves, and no more than needed, so that a point of the world can be seen.
  reveal(x: number, y: number): void {
    const { width, height } = this.size();
    const [px, py] = [this.x + x * this.scale, this.y + y * this.scale];
    const margin = Math.min(70, width / 4, height / 4);
    if (px >= margin && px <= width - margin && py >= margin && py <= height - margin && this.scale > 0.35) return;
    this.touched = true;
    const scale = Math.max(this.scale, READABLE);
    this.go(width / 2 - x * scale, height / 2 - y * scale, scale, true);
  }

  // Moves, and no more than needed, so that all of a part of the world can be seen.
  show(part: Rect): void {
    const { width, height } = this.size();
    const by = (begin: number, end: number, room: number) =>
      begin < 0 ? -begin : end > room ? Math.max(room - end, -begin) : 0;
    const [x, y] = [this.x + part.x * this.scale, this.y + part.y * this.scale];
    const dx = by(x - MARGIN / 2, x + part.width * this.scale + MARGIN / 2, width);
    const dy = by(y - MARGIN / 2, y + part.height * this.scale + MARGIN / 2, height);
    if (dx || dy) this.go(this.x + dx, this.y + dy, this.scale, true);
  }

  dispose(): void {
    cancelAnimationFrame(this.animation);
  }

  private size(): { width: number; height: number } {
    return { width: this.svg.clientWidth, height: this.svg.clientHeight };
  }

  private go(x: number, y: number, scale: number, smooth: boolean): void {
    cancelAnimationFrame(this.animation);
    if (!smooth || reducedMotion()) return this.set(x, y, scale);
    const from = { x: this.x, y: this.y, scale: this.scale };
    const begin = performance.now();
    const step = (now: number) => {
      const part = Math.min(1, Math.max(0, (now - begin) / EASE_MS));
      const eased = 1 - (1 - part) ** 3;
      const between = (a: number, b: number) => a + (b - a) * eased;
      this.set(between(from.x, x), between(from.y, y), between(from.scale, scale));
      if (part < 1) this.animation = requestAnimationFrame(step);
    };
    this.animation = requestAnimationFrame(step);
  }

  private set(x: number, y: number, scale: number): void {
    [this.x, this.y, this.scale] = [x, y, scale];
    this.world.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
    this.moved(scale);
  }

  // The page scrolls unless ctrl is held (a pinch does that too) or the graph has the focus.
  private wheel(event: WheelEvent): void {
    const root = this.svg.getRootNode() as Document | ShadowRoot;
    if (!event.ctrlKey && !event.metaKey && !this.svg.contains(root.activeElement)) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.006 : 0.002)), event.clientX, event.clientY);
  }

  private down(event: PointerEvent): void {
    if (event.button === 0) this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, moved: false };
  }

  private move(event: PointerEvent): void {
    const { drag } = this;
    if (drag?.id !== event.pointerId) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) this.svg.setPointerCapture(event.pointerId);
    this.drag = { ...drag, x: event.clientX, y: event.clientY, moved: true };
    this.svg.classList.add("rain-dragging");
    this.touched = true;
    this.go(this.x + dx, this.y + dy, this.scale, false);
  }

  private up(event: PointerEvent): void {
    if (this.drag?.id !== event.pointerId) return;
    this.svg.classList.remove("rain-dragging");
    if (!this.drag.moved) this.drag = null;
    // Kept until the click that follows was swallowed.
    else setTimeout(() => (this.drag = null));
  }

  private swallow(event: MouseEvent): void {
    if (!this.drag?.moved) return;
    event.stopPropagation();
    this.drag = null;
  }
}
