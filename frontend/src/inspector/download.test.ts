import assert from "node:assert/strict";
import { test } from "node:test";
import { Download, DOWNLOAD_BYTES_MAX, fetchAll, TooLarge } from "./download.js";
import type { Piece } from "../protocol.js";
import type { Downloads } from "./viewing.js";

function kernel(size: number, piece = 4): Downloads {
  return async ({ offset = 0 }) => {
    const end = Math.min(size, offset + piece);
    const bytes = new Uint8Array(end - offset).map((_, i) => offset + i);
    const data: Piece = { name: "a/b", size, end, size_text: `${size} bytes`, end_text: `${end} bytes` };
    return { data, buffers: [new DataView(bytes.buffer)] };
  };
}

test("pieces are put together in order", async () => {
  const seen: number[] = [];
  const whole = await fetchAll(kernel(10), [], ({ end }) => seen.push(end) > 0);
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

test("a download that is stopped and begun anew is saved once", async () => {
  const saved: string[] = [];
  const shown: (number | null)[] = [];
  const download = new Download(
    (piece) => shown.push(piece && piece.end),
    (whole) => saved.push(whole?.name ?? ""),
  );
  const first = download.run(kernel(8), ["a"]);
  download.stop();
  assert.equal(download.going, false);
  const second = download.run(kernel(8), ["a"]);
  await Promise.all([first, second]);
  assert.deepEqual(saved, ["a_b"]);
  assert.deepEqual(shown, [null, 4, 8, null]);
  assert.equal(download.going, false);
});
