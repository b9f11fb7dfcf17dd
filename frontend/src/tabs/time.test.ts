import assert from "node:assert/strict";
import { test } from "node:test";
import { around, pan, tickStep, ticks, tickText, timeOf, xOf, zoom } from "./time.js";

const SPAN = { begin: 1000, end: 1100 };

test("times and pixels go back and forth", () => {
  assert.equal(xOf(1050, SPAN, 800), 400);
  assert.equal(timeOf(400, SPAN, 800), 1050);
});

test("what is zoomed around stays where it is", () => {
  const near = zoom(SPAN, 0.5, 1025);
  assert.equal(near.end - near.begin, 50);
  assert.equal(xOf(1025, near, 800), xOf(1025, SPAN, 800));
  assert.ok(zoom(SPAN, 1e-12, 1025).end > zoom(SPAN, 1e-12, 1025).begin);
});

test("a span moves, and is never empty", () => {
  assert.deepEqual(pan(SPAN, 5), { begin: 1005, end: 1105 });
  const { begin, end } = around(7, 7);
  assert.ok(begin < 7 && end > 7);
});

test("marks lie at round distances", () => {
  assert.equal(tickStep(100, 10), 10);
  assert.equal(tickStep(70, 10), 10);
  assert.equal(tickStep(3, 10), 0.5);
  assert.ok(Math.abs(tickStep(0.02, 10) - 0.002) < 1e-12);
  assert.equal(tickStep(7200, 8), 900);
  assert.equal(tickStep(30 * 86400, 10), 3 * 86400);
  assert.deepEqual(ticks(SPAN, 1000, 5), [0, 30, 60, 90]);
  assert.deepEqual(ticks(SPAN, 1015, 5), [0, 30, 60]);
});

test("marks in words", () => {
  assert.equal(tickText(0, 10), "0");
  assert.equal(tickText(30, 10), "30 s");
  assert.equal(tickText(1.5, 0.5), "1.5 s");
  assert.equal(tickText(0.002, 0.002), "2 ms");
  assert.equal(tickText(0.0002, 0.0001), "0.2 ms");
  assert.equal(tickText(90, 30), "1:30");
  assert.equal(tickText(3725, 5), "1:02:05");
  assert.equal(tickText(-30, 10), "−30 s");
});
