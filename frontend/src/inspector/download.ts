// Fetching the whole of something in pieces, to hand it to the browser's own download.

import { bytes } from "../format.js";
import type { Piece } from "../protocol.js";
import { safeName } from "./paths.js";
import type { Ask } from "./viewing.js";

// It is all kept in the browser's memory until it is saved.
export const DOWNLOAD_BYTES_MAX = 2 ** 30;

export class TooLarge extends Error {
  constructor(size: number) {
    super(
      `It has ${bytes(size)}, and the browser keeps a download in memory until it is whole: at most 1 GiB. ` +
        "In Python, DataInstance.write(path) writes it to a file, whatever its size.",
    );
  }
}

// All pieces, in order. `progress` gets bytes so far and in all, and stops it by returning false.
export async function fetchAll(
  ask: Ask,
  path: string[],
  progress: (done: number, size: number) => boolean,
): Promise<{ name: string; parts: ArrayBuffer[] } | null> {
  const parts: ArrayBuffer[] = [];
  let done = 0;
  for (;;) {
    const { data, buffers } = await ask({ path, offset: done });
    const { name, size, end } = data as Piece;
    if (size > DOWNLOAD_BYTES_MAX) throw new TooLarge(size);
    const piece = buffers[0];
    if (piece) parts.push(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength).slice().buffer);
    if (!progress(end, size)) return null;
    if (end >= size) return { name: safeName(name), parts };
    if (end <= done) throw new Error(`The kernel sent nothing after ${bytes(done)} of ${bytes(size)}.`);
    done = end;
  }
}
