// JSON and CBOR as a tree that is asked for as it is opened.

import { h, setAttribute, setText } from "../dom.js";
import { count, many, visible } from "../format.js";
import type { Scope, TreeNode, TreePage } from "./page.js";

const CONTAINERS = new Set(["object", "array", "lines", "sequence", "tag"]);
const BRACKETS: Record<string, [string, string]> = { object: ["{", "}"], array: ["[", "]"], lines: ["", ""], sequence: ["", ""], tag: ["", ""] };
const ITEMS: Record<string, [string, string]> = { object: ["key", "keys"], array: ["item", "items"], lines: ["line", "lines"] };
const SHORT_COUNT = 12; // a root with so few children opens them when it is drawn

export function treeView(scope: Scope, first: TreePage): HTMLElement {
  const tree = h("ul", { class: "rain-tree", role: "tree", "aria-label": "Value" });
  const root = new Item(scope, first.node, [], 1);
  tree.append(root.element);
  root.element.tabIndex = 0;
  if (first.node.children && root.container) root.open(true);
  tree.addEventListener("keydown", (event) => press(event, tree));
  tree.addEventListener("focusin", (event) => {
    for (const other of tree.querySelectorAll<HTMLElement>('[tabindex="0"]')) other.tabIndex = -1;
    (event.target as HTMLElement).closest<HTMLElement>('[role="treeitem"]')?.setAttribute("tabindex", "0");
  });
  return h("div", { class: "rain-view" }, h("div", { class: "rain-tree-box" }, tree));
}

const ITEM_OF = new WeakMap<Element, Item>();

class Item {
  readonly element: HTMLElement;
  readonly container: boolean;
  private readonly line: HTMLElement;
  private readonly value: HTMLElement;
  private readonly group = h("ul", { role: "group" });
  private readonly more: HTMLElement;
  private shown = 0; // children that are drawn
  private total: number | null;
  private busy = false;

  constructor(
    private readonly scope: Scope,
    private readonly node: TreeNode,
    private readonly at: number[],
    level: number,
  ) {
    this.container = CONTAINERS.has(node.kind) && node.count !== 0;
    this.total = node.count;
    this.value = h("span", { class: `rain-tree-value rain-kind-${CONTAINERS.has(node.kind) ? "container" : node.kind}` }, this.words());
    this.line = h(
      "div",
      { class: "rain-tree-line", click: () => this.clicked() },
      h("span", { class: "rain-twisty", "aria-hidden": "true" }),
      node.label !== "" && h("span", { class: "rain-tree-label" }, visible(node.label)),
      this.value,
    );
    this.more = h("li", { role: "treeitem", class: "rain-tree-more", tabindex: "-1", "aria-level": level + 1 });
    this.more.addEventListener("click", () => void this.load());
    this.element = h(
      "li",
      { role: "treeitem", tabindex: "-1", "aria-level": level, "aria-expanded": this.container ? "false" : null },
      this.line,
    );
    this.line.classList.toggle("rain-leaf", !this.container && !this.cut);
    ITEM_OF.set(this.element, this);
    ITEM_OF.set(this.more, this);
  }

  private get level(): number {
    return this.at.length + 1;
  }

  // A string of which more can be seen when it is asked for by itself.
  private get cut(): boolean {
    return (this.node.kind === "string" || this.node.kind === "bytes") && this.node.text.includes("…");
  }

  get expanded(): boolean {
    return this.element.getAttribute("aria-expanded") === "true";
  }

  open(expanded: boolean): void {
    if (!this.container) return;
    this.element.setAttribute("aria-expanded", String(expanded));
    if (!expanded) {
      this.group.remove();
      return;
    }
    this.element.append(this.group);
    if (this.shown) return;
    if (this.node.children?.length) this.add(this.node);
    else void this.load();
  }

  clicked(): void {
    if (window.getSelection()?.toString()) return; // text is being selected
    this.act();
  }

  act(): void {
    if (this.container) this.open(!this.expanded);
    else if (this.cut) void this.whole();
  }

  async load(): Promise<void> {
    const page = await this.ask(this.shown);
    if (page) this.add(page.node);
  }

  private async whole(): Promise<void> {
    const page = await this.ask(0);
    if (!page) return;
    setText(this.value, page.node.text);
    this.line.classList.add("rain-leaf", "rain-tree-whole");
  }

  private async ask(offset: number): Promise<TreePage | null> {
    if (this.busy) return null;
    this.busy = true;
    this.line.classList.add("rain-awaited");
    try {
      const { page } = await this.scope.ask<TreePage>({ at: this.at, offset });
      this.scope.trouble(null);
      return page;
    } catch (error) {
      this.scope.trouble(error);
      return null;
    } finally {
      this.busy = false;
      this.line.classList.remove("rain-awaited");
    }
  }

  private add(node: TreeNode): void {
    const children = node.children ?? [];
    const focused = this.more.matches(":focus");
    this.more.remove();
    const items = children.map((child, i) => new Item(this.scope, child, [...this.at, node.offset + i], this.level + 1));
    this.group.append(...items.map(({ element }) => element));
    this.shown = node.offset + children.length;
    this.total = node.count;
    setText(this.value, this.words());
    if (focused) items[0]?.element.focus();
    const left = this.total === null ? null : this.total - this.shown;
    if (left === null ? children.length > 0 : left > 0) {
      setText(this.more, left === null ? "more…" : `${count(left)} more…`);
      this.group.append(this.more);
    }
    if (items.length === 1 && items[0]?.container && this.level < SHORT_COUNT) items[0].open(true);
  }

  private words(): string {
    const { kind, text } = this.node;
    if (!CONTAINERS.has(kind)) return text;
    const [open, close] = BRACKETS[kind] ?? ["", ""];
    if (this.total === 0) return `${open}${close}`;
    const [one, several] = ITEMS[kind] ?? ["item", "items"];
    const size = this.total === null ? `${this.shown ? `${count(this.shown)}+` : ""} ${several}`.trim() : many(this.total, one, several);
    return [text, `${open} ${kind === "tag" ? "" : size} ${close}`.replace(/\s+/g, " ").trim()].filter(Boolean).join(" ");
  }
}

function press(event: KeyboardEvent, tree: HTMLElement): void {
  const here = (event.target as Element).closest<HTMLElement>('[role="treeitem"]');
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...tree.querySelectorAll<HTMLElement>('[role="treeitem"]')];
  const place = all.indexOf(here);
  const expanded = here.getAttribute("aria-expanded");
  const item = here.classList.contains("rain-tree-more") ? null : ITEM_OF.get(here);
  let to: HTMLElement | undefined | null;
  switch (event.key) {
    case "ArrowDown": to = all[place + 1]; break;
    case "ArrowUp": to = all[place - 1]; break;
    case "Home": to = all[0]; break;
    case "End": to = all[all.length - 1]; break;
    case "ArrowRight":
      if (expanded === "false") item?.open(true);
      else if (expanded === "true") to = all[place + 1];
      break;
    case "ArrowLeft":
      if (expanded === "true") item?.open(false);
      else to = here.parentElement?.closest<HTMLElement>('[role="treeitem"]');
      break;
    case "Enter":
    case " ":
      if (item) item.act();
      else void ITEM_OF.get(here)?.load();
      break;
    default:
      return;
  }
  event.preventDefault();
  event.stopPropagation();
  if (!to) return;
  setAttribute(here, "tabindex", "-1");
  setAttribute(to, "tabindex", "0");
  to.focus();
}
