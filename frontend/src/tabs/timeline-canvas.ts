// Draws the timeline's window onto a canvas.

import type { Bar, Look } from "../protocol.js";
import { barEnd, HEAD_PX, type Line, lineAt } from "./lanes.js";
import { type Span, tickStep, ticks, tickText, xOf } from "./time.js";

export const AXIS_PX = 24;
const TICK_EVERY_PX = 110;
const PAD_PX = 3; // between lanes
const TEXT_MIN_PX = 42;
const CORNER_PX = 3;

export interface Scene {
  width: number;
  height: number;
  top: number; // how far the lanes are scrolled
  lines: Line[];
  span: Span;
  origin: number; // the time that the axis counts from
  now: number;
  ticking: boolean;
  selected: string | null;
  hovered: Bar | null;
  look(state: string): Look;
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
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS_PX, scene.width, scene.height - AXIS_PX);
  pen.clip();
  pen.translate(0, AXIS_PX - scene.top);
  stripes(pen, scene, inks);
  if (scene.lines.length) grid(pen, scene, inks);
  for (const line of inSight(scene)) if (line.lane) lane(pen, scene, inks, line);
  for (const line of inSight(scene)) if (!line.lane) head(pen, inks, line.governor, line.top);
  stuckHead(pen, scene, inks);
  pen.restore();
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

function head(pen: CanvasRenderingContext2D, inks: Colours, governor: string, top: number): void {
  pen.font = `600 11px ${inks.font}`;
  const text = governor || "governor not known";
  pen.fillStyle = inks.ground;
  pen.beginPath();
  pen.roundRect(3, top + 3, pen.measureText(text).width + 11, HEAD_PX - 5, CORNER_PX);
  pen.fill();
  pen.fillStyle = inks.muted;
  pen.fillText(text, 8, top + HEAD_PX / 2 + 1);
}

// The name of the governor whose lanes are at the top, when its own line is scrolled away.
function stuckHead(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours): void {
  const first = lineAt(scene.lines, scene.top);
  if (!first || (first.lane === null && first.top >= scene.top)) return;
  const next = scene.lines.find((line) => line.lane === null && line.top > scene.top);
  head(pen, inks, first.governor, Math.min(scene.top, (next?.top ?? Infinity) - HEAD_PX));
}

function lane(pen: CanvasRenderingContext2D, scene: Scene, inks: Colours, line: Line): void {
  const top = line.top + PAD_PX;
  const tall = line.height - 2 * PAD_PX;
  pen.font = `11px ${inks.font}`;
  for (const bar of line.lane?.bars ?? []) {
    const left = xOf(bar[0], scene.span, scene.width);
    const right = xOf(barEnd(bar, scene.now), scene.span, scene.width);
    if (right < 0 || left > scene.width) continue;
    const look = scene.look(bar[2]);
    const fill = inks.dark ? look.dark_fill : look.fill;
    const edge = inks.dark ? look.dark_line : look.line;
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
  pen.fillText(bar[5] > 1 ? `${bar[5]} tasks` : bar[4], left + 5, top + tall / 2 + 0.5);
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
  const wide = pen.measureText("now").width;
  const left = Math.min(x - wide / 2, scene.width - wide - 4);
  pen.fillStyle = inks.ground;
  pen.fillRect(left - 4, 2, wide + 8, AXIS_PX - 6);
  pen.fillStyle = inks.accent;
  pen.fillText("now", left, AXIS_PX / 2 - 1);
}
