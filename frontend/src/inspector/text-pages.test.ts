import assert from "node:assert/strict";
import { test } from "node:test";
import { TextPages } from "./text-pages.js";

function reader() {
  const seen: number[] = [];
  const asked: [number, string | null][] = [];
  const state = { fail: false };
  const pages = new TextPages(
    { offset: 0, end: 10 },
    async (offset, encoding) => {
      asked.push([offset, encoding]);
      if (state.fail) throw new Error("no kernel");
      return { offset, end: offset + 10 };
    },
    (page) => seen.push(page.offset),
    () => undefined,
  );
  return { pages, seen, asked, state };
}

test("the way back leads over all pages that were read", async () => {
  const { pages, seen } = reader();
  await pages.forth();
  await pages.jump(77);
  await pages.forth();
  await pages.back();
  await pages.back();
  await pages.back();
  assert.deepEqual(seen, [10, 77, 87, 77, 10, 0]);
});

test("a second press while a page is on its way loses nothing of the way back", async () => {
  const { pages, seen } = reader();
  await pages.jump(50);
  await pages.jump(90);
  await Promise.all([pages.back(), pages.back()]);
  await pages.back();
  assert.deepEqual(seen, [50, 90, 50, 0]);
});

test("a page that does not come changes neither the way back nor the encoding", async () => {
  const { pages, seen, asked, state } = reader();
  await pages.jump(50);
  state.fail = true;
  await pages.back();
  await pages.decode("utf-16");
  state.fail = false;
  await pages.back();
  assert.deepEqual(seen, [50, 0]);
  assert.deepEqual(asked.at(-1), [0, null]);
  await pages.decode("latin-1");
  await pages.forth();
  assert.deepEqual(asked.at(-1), [10, "latin-1"]);
});
