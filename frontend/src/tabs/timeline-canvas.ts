// Draws the timeline's window onto a canvas.

import type { Bar, Look, QueuePoint } from "../protocol.js";
import { barEnd, HEAD_PX, type Line, lineAt, longestQueue } from "./lanes.js";
import { inkOf } from "./palette.js";
import { type Span, tickStep, ticks, tickText, xOf } from "./time.js";
import { HEADS, headOf, NOW, waitingFor, wordsOf } from "./timeline-words.js";

const AXIS_PX = 24;
const QUEUE_PX = 30;
const TICK_EVERY_PX = 110;
const PAD_PX = 3; // between lanes
const TEXT_MIN_PX = 42;
const CORNER_PX = 3;
const FROM_STATE = ["failed", "cancelled"]; // these have the colours of their state, others those of their function

// The height of what stands above the lanes and is not scrolled.
export function topPx(queue: QueuePoint[]): number {
  return AXIS_PX + (queue.length ? QUEUE_PX : 0);
}

export interface Scene {
  width: number;
  height: number;
  top: number; // how far the lanes are scrolled
  lines: Line[];
  queue: QueuePoint[];
  span: Span;
  origin: number; // the time that the axis counts from
  now: number;
  ticking: boolean;
  selected: string | null;
  hovered: Bar | null;
  look(state: string): Look;
  name(governor: string): string;
}

interface Colours {
  dark: boolean;
  ground: string;
  stripe: string;
  grid: string;
  text: string;
  muted: string;
  accent: string;
  font: string;
}

function colours(canvas: HTMLCanvasElement): Colours {
  const style = getComputedStyle(canvas);
  const read = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise;
  return {
    dark: canvas.closest(".rain-dark") !== null,
    ground: read("--rain-ground", "#ffffff"),
    stripe: read("--rain-ground-2", "#f6f7f8"),
    grid: read("--rain-border", "#e0e3e6"),
    text: read("--rain-text", "#1f2328"),
    muted: read("--rain-muted", "#667078"),
    accent: read("--rain-accent", "#1565c0"),
    font: style.fontFamily,
  };
}

export function paint(canvas: HTMLCanvasElement, scene: Scene): void {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(scene.width * ratio);
  const height = Math.round(scene.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${scene.width}px`;
    canvas.style.height = `${scene.height}px`;
  }
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const inks = colours(canvas);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = inks.ground;
  pen.fillRect(0, 0, scene.width, scene.height);
  pen.textBaseline = "middle";
  const top = topPx(scene.queue);
  pen.save();
  pen.beginPath();
  pen.rect(0, top, scene.width, scene.height - top);
  pen.clip();
  pen.translate(0, top - scene.top);
  stripes(pen, scene, inks);
  if (scene.lines.length) grid(pen, scene, inks);
  for (const line of inSight(scene)) if (line.lane) lane(pen, scene, inks, line);
  for (const line of inSight(scene)) {
    if (line.lane) continue;
    if (line.kind !== "cpu") text(pen, inks, HEADS[line.kind], line.top, line.height, "");
    else head(pen, inks, scene.name(line.governor), line.top);
  }
  stuckHead(pen, scene, inks);
  pen.restore();
  if (scene.queue.length) queue(pen, scene, inks);
  axis(pen, scene, inks);
  nowLine(pen, scene, inks);
}

function inSight({ lines, top, height }: Scene): Line[] {
  return lines.filter((line) => line.top + line.height >= top && line.top <= top + height);
}

function stripes(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  pen.fillStyle = inks.stripe;
  for (const line of inSight(scene)) {
    if (line.lane) pen.fillRect(0, line.top + PAD_PX - 1, scene.width, line.height - 2 * PAD_PX + 2);
  }
}

function grid(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  pen.fillStyle = inks.grid;
  for (const tick of ticks(scene.span, scene.origin, scene.width / TICK_EVERY_PX)) {
    pen.fillRect(Math.round(xOf(scene.origin + tick, scene.span, scene.width)), scene.top, 1, scene.height);
  }
}

function head(pen: CanvasRenderingContext2D, inks: Colours, name: string, top: number): void {
  text(pen, inks, headOf(name), top, HEAD_PX, "600");
}

// Words on a ground of their own, so that lines of the grid do not cross them.
function text(pen: CanvasRenderingContext2D, inks: Colours, words: string, top: number, height: number, weight: string): void {
  pen.font = `${weight} 11px ${inks.font}`.trim();
  pen.fillStyle = inks.ground;
  pen.beginPath();
  pen.roundRect(3, top + 3, pen.measureText(words).width + 11, height - 5, CORNER_PX);
  pen.fill();
  pen.fillStyle = inks.muted;
  pen.fillText(words, 8, top + height / 2 + 1);
}

// How many tasks were ready and did not run, as steps below the axis.
function queue(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  const { span, width } = scene;
  pen.fillStyle = inks.ground;
  pen.fillRect(0, AXIS_PX, width, QUEUE_PX);
  const most = longestQueue(scene.queue, span.begin, span.end);
  const ready = scene.look("ready");
  const bottom = AXIS_PX + QUEUE_PX - 3;
  pen.fillStyle = inks.dark ? ready.dark_fill : ready.fill;
  pen.strokeStyle = inks.dark ? ready.dark_line : ready.line;
  pen.lineWidth = 1;
  scene.queue.forEach(([at, count], i) => {
    const left = Math.max(0, xOf(at, span, width));
    const right = Math.min(width, xOf(scene.queue[i + 1]?.[0] ?? scene.now, span, width));
    if (right <= left || !count || !most) return;
    const high = Math.max(2, (count / most) * (QUEUE_PX - 8));
    pen.fillRect(left, bottom - high, right - left + 0.5, high);
    pen.beginPath();
    pen.moveTo(left, bottom - high + 0.5);
    pen.lineTo(right + 0.5, bottom - high + 0.5);
    pen.stroke();
  });
  pen.fillStyle = inks.grid;
  pen.fillRect(0, AXIS_PX + QUEUE_PX - 1, width, 1);
  if (most) text(pen, inks, waitingFor(most), AXIS_PX + 2, 20, "");
}

// The name of the governor whose lanes are at the top, when its own line is scrolled away.
function stuckHead(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  const first = lineAt(scene.lines, scene.top);
  if (!first || (first.lane === null && first.top >= scene.top)) return;
  const next = scene.lines.find((line) => line.lane === null && line.top > scene.top);
  head(pen, inks, scene.name(first.governor), Math.min(scene.top, (next?.top ?? Infinity) - HEAD_PX));
}

function lane(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours, line: Line): void {
  const top = line.top + PAD_PX;
  const tall = line.height - 2 * PAD_PX;
  pen.font = `11px ${inks.font}`;
  for (const bar of line.lane?.bars ?? []) {
    const left = xOf(bar[0], scene.span, scene.width);
    const right = xOf(barEnd(bar, scene.now), scene.span, scene.width);
    if (right < 0 || left > scene.width) continue;
    const { fill, edge } = colourOf(scene, inks, bar);
    const from = Math.max(left, -8);
    const wide = Math.max(1, Math.min(right, scene.width + 8) - from - (right - left > 3 ? 1 : 0));
    if (wide < 5) {
      pen.fillStyle = edge;
      pen.fillRect(from, top, wide, tall);
    } else box(pen, from, top, wide, tall, fill, edge);
    if (bar === scene.hovered || bar[3] === scene.selected) outline(pen, from, top, wide, tall, inks.accent);
    if (wide > TEXT_MIN_PX) label(pen, inks, bar, Math.max(from, 0), top, Math.min(from + wide, scene.width), tall);
  }
}

function colourOf(scene: Scene, inks: Colours, bar: Bar): { fill: string; edge: string } {
  if (bar[2] === "moved") return { fill: inks.stripe, edge: inks.accent };
  if (!FROM_STATE.includes(bar[2])) return inkOf(bar[6], inks.dark);
  const look = scene.look(bar[2]);
  return inks.dark ? { fill: look.dark_fill, edge: look.dark_line } : { fill: look.fill, edge: look.line };
}

function box(pen: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, fill: string, edge: string): void {
  pen.beginPath();
  pen.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, CORNER_PX);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = edge;
  pen.stroke();
}

function outline(pen: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, colour: string): void {
  pen.beginPath();
  pen.roundRect(x - 1, y - 1, w + 2, h + 2, CORNER_PX + 1);
  pen.lineWidth = 2;
  pen.strokeStyle = colour;
  pen.stroke();
}

function label(
  pen: CanvasRenderingContext2D,
  inks: Colours,
  bar: Bar,
  left: number,
  top: number,
  right: number,
  tall: number,
): void {
  if (right - left < TEXT_MIN_PX) return;
  pen.save();
  pen.beginPath();
  pen.rect(left + 4, top, right - left - 8, tall);
  pen.clip();
  pen.fillStyle = inks.text;
  pen.fillText(wordsOf(bar), left + 5, top + tall / 2 + 0.5);
  pen.restore();
}

function axis(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  pen.fillStyle = inks.ground;
  pen.fillRect(0, 0, scene.width, AXIS_PX);
  pen.fillStyle = inks.grid;
  pen.fillRect(0, AXIS_PX - 1, scene.width, 1);
  if (!scene.lines.length) return;
  pen.font = `11px ${inks.font}`;
  const wanted = scene.width / TICK_EVERY_PX;
  const step = tickStep(scene.span.end - scene.span.begin, wanted);
  for (const tick of ticks(scene.span, scene.origin, wanted)) {
    const x = Math.round(xOf(scene.origin + tick, scene.span, scene.width));
    pen.fillStyle = inks.grid;
    pen.fillRect(x, AXIS_PX - 6, 1, 6);
    pen.fillStyle = inks.muted;
    pen.fillText(tickText(tick, step), x + 5, AXIS_PX / 2);
  }
}

function nowLine(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  if (!scene.ticking || !scene.lines.length) return;
  const x = Math.round(xOf(scene.now, scene.span, scene.width));
  if (x < 0 || x > scene.width) return;
  pen.fillStyle = inks.accent;
  pen.fillRect(x, AXIS_PX - 4, 1.5, scene.height);
  pen.font = `600 11px ${inks.font}`;
  const wide = pen.measureText(NOW).width;
  const left = Math.min(x - wide / 2, scene.width - wide - 4);
  pen.fillStyle = inks.ground;
  pen.fillRect(left - 4, 2, wide + 8, AXIS_PX - 6);
  pen.fillStyle = inks.accent;
  pen.fillText(NOW, left, AXIS_PX / 2 - 1);
}
