// Fetching the whole of something in pieces, to hand it to the browser's own download.

import type { Piece } from "../protocol.js";
import { safeName } from "./paths.js";
import type { Downloads } from "./viewing.js";

// It is all kept in the browser's memory until it is saved.
export const DOWNLOAD_BYTES_MAX = 2 ** 30;

export class TooLarge extends Error {
  constructor(size: string) {
    super(
      `It has ${size}, and the browser keeps a download in memory until it is whole: at most 1 GiB. ` +
        "In Python, DataInstance.write(path) writes it to a file, whatever its size.",
    );
  }
}

// All pieces, in order. `progress` gets each piece, and stops it by returning false.
export async function fetchAll(
  ask: Downloads,
  path: string[],
  progress: (piece: Piece) => boolean,
): Promise<{ name: string; parts: ArrayBuffer[] } | null> {
  const parts: ArrayBuffer[] = [];
  let done = 0;
  for (;;) {
    const { data, buffers } = await ask({ path, offset: done });
    const { name, size, end } = data;
    if (size > DOWNLOAD_BYTES_MAX) throw new TooLarge(data.size_text);
    const piece = buffers[0];
    if (piece) parts.push(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength).slice().buffer);
    if (!progress(data)) return null;
    if (end >= size) return { name: safeName(name), parts };
    if (end <= done) throw new Error(`The kernel sent nothing after ${data.end_text} of ${data.size_text}.`);
    done = end;
  }
}
