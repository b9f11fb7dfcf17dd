import assert from "node:assert/strict";
import { test } from "node:test";
import { Pages } from "./pages.js";

function source(total = 1000) {
  const asked: number[] = [];
  const errors: (string | null)[] = [];
  const state = { fail: false, now: 0, add: 0 };
  const pages = new Pages<number>(
    10,
    async (offset, rows) => {
      asked.push(offset);
      if (state.fail) throw new Error("no kernel");
      return Array.from({ length: Math.max(0, Math.min(rows, total - offset)) }, (_, i) => offset + i + state.add);
    },
    (error) => errors.push(error),
    () => state.now,
  );
  return { pages, asked, errors, state };
}

test("the pages of a window are asked for once", async () => {
  const { pages, asked } = source();
  await pages.want(5, 15);
  await pages.want(5, 15);
  assert.deepEqual(asked, [0, 10]);
  assert.equal(pages.row(14), 14);
  assert.equal(pages.row(20), undefined);
});

test("only so many are asked for at a time", async () => {
  const { pages, asked } = source();
  const first = pages.want(0, 100);
  await pages.want(500, 510);
  await first;
  assert.deepEqual(asked, [0, 10]);
});

test("stale rows stay until newer ones come", async () => {
  const { pages, state } = source();
  await pages.want(0, 10);
  state.add = 7;
  pages.staleAll();
  assert.equal(pages.row(3), 3);
  await pages.want(0, 10);
  assert.equal(pages.row(3), 10);
});

test("an answer from before other rows were chosen is dropped", async () => {
  const { pages, errors } = source();
  const before = pages.want(0, 10);
  pages.clear();
  await before;
  assert.equal(pages.row(0), undefined);
  assert.deepEqual(errors, []);
});

test("rows that were on their way when all became stale are asked for once more", async () => {
  const { pages, asked } = source();
  const before = pages.want(0, 10);
  pages.staleAll();
  await before;
  assert.equal(pages.row(3), 3);
  await pages.want(0, 10);
  await pages.want(0, 10);
  assert.deepEqual(asked, [0, 0]);
});

test("a loader can tell that other rows were chosen meanwhile", async () => {
  const wanted: boolean[] = [];
  const pages: Pages<number> = new Pages(
    10,
    async (_offset, _count, still) => {
      await null;
      wanted.push(still());
      return [];
    },
    () => undefined,
  );
  const first = pages.want(0, 10);
  pages.clear();
  await Promise.all([first, pages.want(0, 10)]);
  assert.deepEqual(wanted, [false, true]);
});

test("a page that could not be had is asked for again only later", async () => {
  const { pages, asked, errors, state } = source();
  state.fail = true;
  await pages.want(0, 10);
  await pages.want(0, 10);
  assert.deepEqual(asked, [0]);
  assert.deepEqual(errors, ["no kernel"]);
  state.fail = false;
  state.now = 6000;
  await pages.want(0, 10);
  assert.equal(pages.row(9), 9);
});
