// "Open in a side panel": one more view of the session, beside the notebook.

import { useLayoutEffect, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { type SideBySide, sideBySide } from "../jupyter-quirks.js";
import type { SessionStore } from "../store.js";

export interface Docking {
  // The panel that is open, if one is.
  panel: { show(): void } | null;
  // Puts a view of the session into an element.
  fill(element: HTMLElement): () => void;
}

export function DockButton({ store, root, docking }: { store: SessionStore; root: HTMLElement; docking: Docking }) {
  const place = usePlace(root);
  if (!place) return null;
  if (typeof place === "string") return <Button title={place} kind="rain-dock" disabled click={() => undefined}>⇲ Side panel</Button>;
  const open = () => {
    if (docking.panel) return docking.panel.show();
    let unmount: (() => void) | null = null;
    const panel = place.open(`Rain: ${plain(store.session.name) || "session"}`, {
      opened: (element) => (unmount = docking.fill(element)),
      closed: () => {
        unmount?.();
        docking.panel = null;
      },
    });
    docking.panel = panel;
  };
  return (
    <Button title="keep the graph beside the notebook" kind="rain-dock" click={open}>
      ⇲ Side panel
    </Button>
  );
}

// A name without characters that turn what comes after them around.
function plain(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}]/gu, "");
}

// Known once the view is in the page; what is in a side panel already has no place for another.
function usePlace(root: HTMLElement): SideBySide | string | null {
  const [place, setPlace] = useState<SideBySide | string | null>(null);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setPlace(sideBySide(root)));
    observer.observe(root);
    return () => observer.disconnect();
  }, [root]);
  return place;
}
