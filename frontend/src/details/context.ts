// What the pieces of the details panel share.

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { SessionStore } from "../store.js";

export interface DetailsContext {
  store: SessionStore;
  // Selects another task, object or group.
  open(key: string): void;
  // Asks the kernel once more, soon.
  refresh(): void;
  // Sections by title: whether the user wants them open, whatever is selected.
  sections: Map<string, boolean>;
}

const Context = createContext<DetailsContext | null>(null);

export const DetailsProvider = Context.Provider;

export function useDetails(): DetailsContext {
  const found = useContext(Context);
  if (!found) throw new Error("a piece of the details panel is outside of it");
  return found;
}
