import assert from "node:assert/strict";
import { test } from "node:test";
import { DOWNLOAD_BYTES_MAX, fetchAll, TooLarge } from "./download.js";
import type { Ask } from "./viewing.js";

function kernel(size: number, piece = 4): Ask {
  return async ({ offset }) => {
    const end = Math.min(size, (offset as number) + piece);
    const bytes = new Uint8Array(end - (offset as number)).map((_, i) => (offset as number) + i);
    return { data: { name: "a/b", size, end }, buffers: [new DataView(bytes.buffer)] };
  };
}

test("pieces are put together in order", async () => {
  const seen: number[] = [];
  const whole = await fetchAll(kernel(10), [], (done) => seen.push(done) > 0);
  assert.equal(whole?.name, "a_b");
  assert.deepEqual(seen, [4, 8, 10]);
  const bytes = new Uint8Array(await new Blob(whole?.parts).arrayBuffer());
  assert.deepEqual([...bytes], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("nothing is something too", async () => {
  assert.ok(await fetchAll(kernel(0), [], () => true));
});

test("it stops when it is told to", async () => {
  assert.equal(await fetchAll(kernel(100), [], () => false), null);
});

test("what is too large, or stands still, is an error", async () => {
  await assert.rejects(fetchAll(kernel(DOWNLOAD_BYTES_MAX + 1), [], () => true), TooLarge);
  await assert.rejects(fetchAll(kernel(10, 0), [], () => true), /sent nothing after 0 bytes of 10 bytes/);
});
