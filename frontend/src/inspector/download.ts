// Fetching the whole of something in pieces, to hand it to the browser's own download.

import { button, h, save, setText } from "../dom.js";
import { bytes } from "../format.js";
import type { Ask } from "./page.js";
import { safeName } from "./paths.js";

// It is all kept in the browser's memory until it is saved.
export const DOWNLOAD_BYTES_MAX = 2 ** 30;

interface Piece {
  name: string;
  size: number;
  end: number;
}

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

// The button, which while it works shows how far it is, and stops when pressed again.
export function downloadButton(ask: Ask, path: () => string[], trouble: (error: unknown) => void): { element: HTMLElement; stop(): void } {
  let stopped = true;
  const bar = h("progress", { class: "rain-saving", max: 1, value: 0, "aria-label": "Downloaded", hidden: true });
  const handle = button("Download", "Save the whole of it as a file", () => {
    if (stopped) void run();
    else stopped = true;
  });

  async function run(): Promise<void> {
    stopped = false;
    bar.value = 0;
    bar.hidden = false;
    try {
      const whole = await fetchAll(ask, path(), (done, size) => {
        bar.value = size ? done / size : 1;
        setText(handle, `Stop (${bytes(done)} of ${bytes(size)})`);
        return !stopped;
      });
      trouble(null);
      if (whole) save(whole.parts, whole.name);
    } catch (error) {
      trouble(error);
    } finally {
      stopped = true;
      bar.hidden = true;
      setText(handle, "Download");
    }
  }

  return { element: h("span", { class: "rain-download" }, bar, handle), stop: () => (stopped = true) };
}
