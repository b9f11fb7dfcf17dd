// Hooks that components share: drawing again, by themselves or after changes of a store.

import { useLayoutEffect, useReducer } from "preact/hooks";
import type { Change, SessionStore } from "../store.js";

// Draws the component again.
export function useRedraw(): () => void {
  const [, redraw] = useReducer<number, void>((n) => n + 1, 0);
  return redraw as () => void;
}

// Draws the component again after each change that it wants.
export function useStore(store: SessionStore, wanted: (change: Change) => boolean): void {
  const redraw = useRedraw();
  useLayoutEffect(
    () =>
      store.subscribe((change) => {
        if (wanted(change)) redraw();
      }),
    [store],
  );
}
