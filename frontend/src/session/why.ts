// Why a task has not started, as the server tells it now: asked while it is looked at, and again as long as it waits.

import type { SessionStore } from "../store.js";

const AGAIN_MS = 2000;
export const NOT_STARTED = ["waiting", "ready"];

export interface Reason {
  text: string;
  sentence: string;
}

// Calls `told` with what is known until the returned function is called.
export function watchReason(store: SessionStore, key: string, told: (reason: Reason) => void): () => void {
  let on = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ask = async () => {
    try {
      const { data } = await store.request("explain", { key });
      if (on) told(data);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (on) told({ text, sentence: text });
    }
    if (on) timer = setTimeout(() => void ask(), AGAIN_MS);
  };
  void ask();
  return () => {
    on = false;
    clearTimeout(timer);
  };
}
