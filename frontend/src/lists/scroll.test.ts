import assert from "node:assert/strict";
import { test } from "node:test";
import { clampOffset, isScaled, listHeight, offsetOf, reveal, rowWindow, scrollTopOf, spacerHeight, TALLEST_PX } from "./scroll.js";

const SHORT = { rowHeight: 25, total: 1000, view: 400 };
const LONG = { rowHeight: 20, total: 625_000_000, view: 400 };

test("a short list is as tall as its rows, and scrolls by pixels", () => {
  assert.equal(isScaled(SHORT), false);
  assert.equal(spacerHeight(SHORT), 25_000);
  assert.equal(offsetOf(123, SHORT), 123);
  assert.equal(scrollTopOf(123, SHORT), 123);
});

test("a list that is too tall for a browser is scrolled to scale, from its first row to its last", () => {
  assert.equal(spacerHeight(LONG), TALLEST_PX);
  const last = listHeight(LONG) - LONG.view;
  assert.equal(offsetOf(0, LONG), 0);
  assert.equal(offsetOf(TALLEST_PX - LONG.view, LONG), last);
  assert.ok(Math.abs(offsetOf(scrollTopOf(last / 3, LONG), LONG) - last / 3) < 1e-3);
});

test("the window has the rows in sight and a margin, within the list", () => {
  assert.deepEqual(rowWindow(0, SHORT, 5), [0, 21]);
  assert.deepEqual(rowWindow(260, SHORT, 5), [5, 32]);
  assert.deepEqual(rowWindow(25_000 - 400, SHORT, 5), [979, 1000]);
  assert.deepEqual(rowWindow(0, { ...SHORT, total: 0 }, 5), [0, 0]);
  assert.deepEqual(rowWindow(99_999, { ...SHORT, total: 3 }, 5), [3, 3]);
});

test("a row is revealed by the least move", () => {
  assert.equal(reveal(3, 0, SHORT), 0);
  assert.equal(reveal(16, 0, SHORT), 25);
  assert.equal(reveal(2, 100, SHORT), 50);
  assert.equal(reveal(999, 0, SHORT), 25_000 - 400);
  assert.equal(clampOffset(1e9, SHORT), 25_000 - 400);
  assert.equal(clampOffset(50, { ...SHORT, total: 2 }), 0);
});
