import assert from "node:assert/strict";
import { test } from "node:test";
import type { TablePage } from "../protocol.js";
import { Columns } from "./columns.js";

function page(column: number, names: string[], width: number, cell = "1"): TablePage {
  const columns = names.map((name) => ({ name, dtype: "int64" }));
  return { view: "table", columns, column, width, index: ["0"], rows: [names.map(() => cell)], offset: 0, total: 1, summary: [] };
}

const names = (from: number, end: number) => Array.from({ length: end - from }, (_, i) => `c${from + i}`);

test("columns that were not seen have a width, and what is learned of them moves only those behind", () => {
  const columns = new Columns(page(0, names(0, 64), 400));
  assert.equal(columns.size, 64);
  const [before, after] = [columns.leftPx(320), columns.leftPx(400)];
  columns.learn(page(320, names(320, 384), 400, "a longer text than was expected"));
  assert.equal(columns.leftPx(320), before);
  assert.ok(columns.leftPx(400) > after);
  assert.equal(columns.nameOf(321), "c321");
  assert.equal(columns.nameOf(399), "column 400");
  assert.deepEqual(columns.known, [...Array(64).keys(), ...Array.from({ length: 64 }, (_, i) => 320 + i)]);
});

test("what is in the document is what is in sight, and a little beside", () => {
  const columns = new Columns(page(0, names(0, 64), 400));
  assert.deepEqual(columns.window(0, 300)[0], 0);
  assert.ok(columns.window(0, 300)[1] < 12);
  const [first, end] = columns.window(columns.totalPx - 300, 300);
  assert.equal(end, 400);
  assert.ok(first > 385);
  const [from] = columns.window(columns.leftPx(200), 300);
  assert.equal(from, 198);
});

test("a table of a million columns has a place for each", () => {
  const columns = new Columns(page(0, names(0, 64), 1_000_000));
  for (const column of [0, 63, 64, 500_000, 999_999]) assert.equal(columns.columnAt(columns.leftPx(column)), column);
});

test("rows that turn out to be longer add columns", () => {
  const columns = new Columns(page(0, ["a", "b"], 2));
  columns.learn(page(0, ["a", "b", "c"], 3));
  assert.equal(columns.width, 3);
  assert.equal(columns.nameOf(2), "c");
  columns.learn(page(0, ["a"], 1));
  assert.equal(columns.nameOf(2), "c");
});
