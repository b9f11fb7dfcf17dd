import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lines } from "./lanes.js";
import { paint } from "./timeline-canvas.js";
import { tickStep, ticks, tickText } from "./time.js";
import { type Told, titleOf, toldOf } from "./timeline-words.js";
import type { Bar, Look, Timeline } from "../protocol.js";

const bar = (start: number, length: number, state: string, name: string, number = 1, told = ""): Bar => [
  start, length, state, `t${start}`, name, number, 0, 0, 0, told,
];
const DATA: Timeline = {
  begin: 0,
  end: 90,
  now: 100,
  functions: ["fit"],
  queue: [[0, 0], [10, 7], [50, 0]],
  lanes: [
    { governor: "alpha:1", slot: 0, kind: "cpu", bars: [bar(0, 30, "finished", "fit"), bar(40, 40, "failed", "inv")] },
    { governor: "alpha:1", slot: 1, kind: "cpu", bars: [bar(5, 40, "finished", "load", 12), bar(60, 5, "running", "<b>score")] },
    { governor: "alpha:1", slot: 0, kind: "shared", bars: [bar(10, 50, "finished", "poll")] },
    { governor: "alpha:1", slot: 0, kind: "transfers", bars: [bar(1, 40, "moved", "table", 1, "8 MB from beta"), bar(50, 40, "moved", "rows", 3)] },
    { governor: "", slot: 0, kind: "cpu", bars: [bar(20, 60, "finished", "lost")] },
  ],
};
const SPAN = { begin: 0, end: 100 };
const WIDTH = 900;
const look = (state: string): Look => ({ mark: "", word: `is ${state}`, fill: "", line: "", dark_fill: "", dark_line: "" }) as Look;
const name = (governor: string) => governor.split(":")[0] ?? "";

// All texts that are drawn.
function drawn(): string[] {
  const texts: string[] = [];
  const known: Record<string, unknown> = {
    measureText: (words: string) => ({ width: 6 * words.length }),
    fillText: (words: string) => texts.push(words),
  };
  const pen = new Proxy(known, { get: (target, key) => target[String(key)] ?? (() => undefined), set: () => true });
  const canvas = { width: 0, height: 0, style: {}, getContext: () => pen, closest: () => null };
  Object.assign(globalThis, {
    window: { devicePixelRatio: 1 },
    getComputedStyle: () => ({ getPropertyValue: () => "", fontFamily: "sans" }),
  });
  paint(canvas as unknown as HTMLCanvasElement, {
    width: WIDTH, height: 2000, top: 0, lines: lines(DATA.lanes), queue: DATA.queue, span: SPAN, origin: 0, now: 100,
    ticking: true, selected: null, hovered: null, look, name,
  });
  return texts;
}

const flat = (told: Told[]): string[] => told.flatMap(({ words, parts }) => [words, ...flat(parts)]);

test("each text on the canvas is among the words for those who cannot see it", () => {
  const words = flat(toldOf(DATA, SPAN, 100, true, name, look));
  const step = tickStep(100, WIDTH / 110);
  const marks = new Set(ticks(SPAN, 0, WIDTH / 110).map((tick) => tickText(tick, step)));
  const texts = drawn();
  for (const text of ["fit", "✗ inv", "12 tasks", "<b>score", "table: 8 MB from beta", "3 inputs", "alpha", "now"]) {
    assert.ok(texts.includes(text), `${text} is drawn`);
  }
  assert.ok(texts.some((text) => marks.has(text)), "marks of the axis are drawn");
  const untold = texts.filter((text) => !marks.has(text) && !words.some((line) => line.startsWith(text)));
  assert.deepEqual(untold, []); // the marks count from the first start; each bar is told with its time and length
});

test("the words are those of what is in sight, in order, and bounded", () => {
  assert.equal(titleOf(DATA, SPAN, 100), "Timeline of 100 s: 17 tasks on 3 cpus of 2 governors");
  const [alpha, lost, waited] = toldOf(DATA, { begin: 0, end: 35 }, 100, false, name, look);
  assert.match(alpha?.words ?? "", /^alpha: 2 cpus, 14 tasks, /);
  assert.match(lost?.words ?? "", /^governor not known: 1 cpu, 1 task, /);
  assert.equal(waited?.words, "waiting for room: up to 7");
  assert.match(alpha?.parts[0]?.words ?? "", /^fit, is finished 30 s, since /);
  assert.equal(alpha?.parts.length, 4); // two bars, the shared ones, the inputs
  const many = Array.from({ length: 500 }, (_, i) => bar(i / 10, 0.1, "finished", `t${i}`));
  const [only] = toldOf({ ...DATA, queue: [], lanes: [{ governor: "a", slot: 0, kind: "cpu", bars: many }] }, SPAN, 100, false, name, look);
  assert.equal(only?.parts.length, 101);
  assert.equal(only?.parts[100]?.words, "and 400 more; the table lists all tasks");
});

test("nothing else draws texts", () => {
  const sources = join(process.cwd(), "src");
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((path) => /\.tsx?$/.test(path) && !path.includes(".test."));
  const drawing = files.filter((path) => /\.(fillText|strokeText)\(/.test(readFileSync(join(sources, path), "utf8")));
  assert.deepEqual(drawing, [join("tabs", "timeline-canvas.ts")]);
});
