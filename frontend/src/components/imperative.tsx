// Tabs that draw without components (a scene, a canvas), as panes of a session.

import { useLayoutEffect, useMemo } from "preact/hooks";
import type { TabHost, TabProps } from "../session/tabs.js";
import type { SessionStore } from "../store.js";
import { Mounted } from "./parts.js";

export interface ImperativeTab {
  readonly element: HTMLElement;
  show(): void;
  hide(): void;
  dispose(): void;
}

export function imperativePane(make: (store: SessionStore, host: TabHost) => ImperativeTab) {
  return function Pane({ store, host, shown }: TabProps) {
    const tab = useMemo(() => make(store, host), []);
    useLayoutEffect(() => {
      if (shown) tab.show();
      else tab.hide();
    }, [shown]);
    useLayoutEffect(() => () => tab.dispose(), []);
    return <Mounted element={tab.element} />;
  };
}
