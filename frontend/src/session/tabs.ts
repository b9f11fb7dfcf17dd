// The tabs of a session, in the order in which they are shown. To add one: its component, a line here, and where it
// asks the kernel for something new, the request in rain/notebook/protocol/requests.py and its answer in rain/notebook/widget.py.

import type { ComponentType } from "preact";
import { GraphPane } from "../graph/tab.js";
import type { Layouts } from "../graph/layouts.js";
import type { SessionStore } from "../store.js";
import { GovernorsPane } from "../tabs/governors.js";
import { TablePane } from "../tabs/table.js";
import { TimelinePane } from "../tabs/timeline.js";

export interface TabHost {
  readonly layouts: Layouts;
  // Selects something and opens the details panel.
  open(key: string): void;
  // Has a screen reader say it.
  announce(text: string): void;
  // Shows the hover card of something near a point of the window; null hides it.
  tooltip(key: string | null, clientX?: number, clientY?: number): void;
  // Called once the graph is drawn, or it is known that it cannot be.
  ready(): void;
}

export interface TabProps {
  store: SessionStore;
  host: TabHost;
  // Whether the tab is in front. Tabs are made once and stay; while they are behind another they ask for nothing.
  shown: boolean;
}

export interface Tab {
  name: string;
  Pane: ComponentType<TabProps>;
}

export const TABS: readonly [Tab, ...Tab[]] = [
  { name: "graph", Pane: GraphPane },
  { name: "timeline", Pane: TimelinePane },
  { name: "table", Pane: TablePane },
  { name: "governors", Pane: GovernorsPane },
];
