// One view of a session: header, tabs, details. Views of one model share the store and its layouts.

import { DetailsPanel } from "./details.js";
import { h, setText } from "./dom.js";
import { firstLine } from "./format.js";
import { Layouts } from "./graph/layouts.js";
import { GraphTab } from "./graph/tab.js";
import { Header } from "./header.js";
import type { Keepsake } from "./keepsake.js";
import type { Attached, Port } from "./port.js";
import type { Tab, TabHost } from "./protocol.js";
import { type Change, SessionStore } from "./store.js";
import { governorsTab } from "./tabs/governors.js";
import { tableTab } from "./tabs/table.js";
import { timelineTab } from "./tabs/timeline.js";
import { followTheme, injectLooks, injectStyle } from "./theme.js";
import { Tooltip } from "./tooltip.js";

const ANNOUNCE_MS = 1500;

export function attachSession(port: Port, keepsake: Keepsake): Attached {
  const store = new SessionStore(port);
  store.subscribe((change) => {
    if (change.everything || change.topology || change.status.size > 0) keepsake.renew();
  });
  const layouts = new Layouts(store);
  return {
    mount(element) {
      const view = new SessionView(store, layouts, () => (element.dataset["ready"] = "true"));
      element.append(view.element);
      return () => view.dispose();
    },
  };
}

let views = 0;

class SessionView {
  readonly element: HTMLElement;
  private readonly header: Header;
  private readonly details: DetailsPanel;
  private readonly tooltip: Tooltip;
  private readonly live = h("div", { class: "rain-live-region", role: "status", "aria-live": "polite" });
  private readonly panes = h("div", { class: "rain-panes" });
  private readonly tabs = new Map<string, { tab: Tab; handle: HTMLElement }>();
  private readonly number = ++views;
  private present = "graph";
  private readonly failed = new Set<string>();
  private news: string[] = [];
  private newsTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly offs: (() => void)[];
  private readonly observer: ResizeObserver;

  constructor(
    private readonly store: SessionStore,
    layouts: Layouts,
    ready: () => void,
  ) {
    const tablist = h("div", { class: "rain-tabs", role: "tablist", keydown: (event: KeyboardEvent) => this.tabKey(event) });
    this.element = h("div", { class: "rain rain-session" });
    this.header = new Header(store);
    this.tooltip = new Tooltip(store, this.element);
    const host: TabHost = {
      open: (key) => this.open(key),
      announce: (text) => this.announce(text),
      tooltip: (key, x, y) => this.tooltip.show(key, x, y),
    };
    this.details = new DetailsPanel(store, host.open);
    this.addTab(tablist, "graph", new GraphTab(store, layouts, host, ready));
    this.addTab(tablist, "timeline", timelineTab(store, host));
    this.addTab(tablist, "table", tableTab(store, host));
    this.addTab(tablist, "governors", governorsTab(store, host));
    const body = h("div", { class: "rain-body" }, this.panes, this.details.element);
    this.element.append(this.header.element, tablist, body, this.tooltip.element, this.live);
    this.show("graph");
    this.observer = new ResizeObserver(() => this.dress());
    this.observer.observe(this.element);
    this.offs = [followTheme(this.element), store.subscribe((change) => this.changed(change))];
    this.dress();
    for (const [key, status] of store.status) if (status.s === "failed") this.failed.add(key);
  }

  dispose(): void {
    for (const off of this.offs) off();
    clearTimeout(this.newsTimer);
    this.observer.disconnect();
    for (const { tab } of this.tabs.values()) tab.dispose();
    this.header.dispose();
    this.details.dispose();
    this.tooltip.dispose();
    this.element.remove();
  }

  // Jupyter makes views outside the document and puts them in later, perhaps under a shadow root.
  private dress(): void {
    injectStyle(this.element);
    injectLooks(this.element, this.store.looks);
  }

  private addTab(tablist: HTMLElement, name: string, tab: Tab): void {
    const id = `rain-${this.number}-${name}`;
    const handle = h(
      "button",
      { type: "button", class: "rain-tab", role: "tab", id: `${id}-tab`, "aria-controls": id, click: () => this.show(name) },
      name,
    );
    const pane = h("div", { class: "rain-pane", role: "tabpanel", id, "aria-labelledby": `${id}-tab` }, tab.element);
    tablist.append(handle);
    this.panes.append(pane);
    this.tabs.set(name, { tab, handle });
  }

  private show(name: string): void {
    const before = this.present;
    this.present = name;
    for (const [other, { tab, handle }] of this.tabs) {
      const chosen = other === name;
      handle.setAttribute("aria-selected", String(chosen));
      handle.tabIndex = chosen ? 0 : -1;
      tab.element.parentElement?.classList.toggle("rain-hidden", !chosen);
      if (other === before && !chosen) tab.hide();
    }
    this.tabs.get(name)?.tab.show();
  }

  private tabKey(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const names = [...this.tabs.keys()];
    const next = names[(names.indexOf(this.present) + step + names.length) % names.length] as string;
    this.show(next);
    this.tabs.get(next)?.handle.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  private open(key: string): void {
    this.tooltip.show(null);
    this.store.select(key);
  }

  private changed(change: Change): void {
    if (change.everything) this.dress();
    for (const key of change.status) {
      const status = this.store.status.get(key);
      if (status?.s !== "failed") this.failed.delete(key);
      else if (!this.failed.has(key)) {
        this.failed.add(key);
        if (!change.everything) this.announce(`${this.store.label(key)} failed: ${firstLine(status.e ?? "")}`);
      }
    }
  }

  // Several pieces of news at once are told together, and only so many of them.
  private announce(text: string): void {
    this.news.push(text);
    this.newsTimer ??= setTimeout(() => {
      const more = this.news.length > 3 ? `, and ${this.news.length - 3} more` : "";
      setText(this.live, this.news.slice(0, 3).join("; ") + more);
      this.news = [];
      this.newsTimer = undefined;
    }, ANNOUNCE_MS);
  }
}
