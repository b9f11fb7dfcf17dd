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

interface Whole {
  name: string;
  parts: ArrayBuffer[];
}

// All pieces, in order. `progress` gets each piece, and stops it by returning false.
export async function fetchAll(
  ask: Downloads,
  path: string[],
  progress: (piece: Piece) => boolean,
): Promise<Whole | null> {
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

// One download at a time; one that was stopped tells nothing more, also when a new one has begun.
export class Download {
  private current: object | null = null;

  constructor(
    private readonly progress: (piece: Piece | null) => void,
    private readonly ended: (whole: Whole | null, error: unknown) => void,
  ) {}

  get going(): boolean {
    return this.current !== null;
  }

  stop(): void {
    this.current = null;
    this.progress(null);
  }

  async run(ask: Downloads, path: string[]): Promise<void> {
    const own = (this.current = {});
    let whole: Whole | null = null;
    let error: unknown = null;
    try {
      whole = await fetchAll(ask, path, (piece) => {
        if (this.current !== own) return false;
        this.progress(piece);
        return true;
      });
    } catch (caught) {
      error = caught;
    }
    if (this.current !== own) return;
    this.stop();
    this.ended(whole, error);
  }
}
