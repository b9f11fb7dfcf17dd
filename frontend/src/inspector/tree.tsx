// JSON and CBOR as a tree that is asked for as it is opened.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { setAttribute } from "../dom.js";
import { count, many } from "../format.js";
import type { TreeNode, TreePage } from "../protocol.js";
import type { Scope, ViewProps } from "./viewing.js";

const CONTAINERS = new Set(["object", "array", "lines", "sequence", "tag"]);
const BRACKETS: Record<string, [string, string]> = { object: ["{", "}"], array: ["[", "]"], lines: ["", ""], sequence: ["", ""], tag: ["", ""] };
const ITEMS: Record<string, [string, string]> = { object: ["key", "keys"], array: ["item", "items"], lines: ["line", "lines"] };
const ONLY_CHILD_LEVEL_MAX = 12; // up to here an only child opens with its parent

export function TreeView({ scope, page }: ViewProps<TreePage>) {
  const tree = useRef<HTMLUListElement>(null);
  const focused = (event: FocusEvent) => {
    for (const other of tree.current?.querySelectorAll<HTMLElement>('[tabindex="0"]') ?? []) other.tabIndex = -1;
    (event.target as HTMLElement).closest<HTMLElement>('[role="treeitem"]')?.setAttribute("tabindex", "0");
  };
  useLayoutEffect(() => {
    tree.current?.querySelector('[role="treeitem"]')?.setAttribute("tabindex", "0");
  }, []);
  return (
    <div class="rain-view">
      <div class="rain-tree-box">
        <ul class="rain-tree" role="tree" aria-label="Value" ref={tree} onKeyDown={(event) => press(event, event.currentTarget)} onFocusIn={focused}>
          <Item scope={scope} node={page.node} at={[]} openAtFirst={page.node.children !== null} />
        </ul>
      </div>
    </div>
  );
}

interface ItemProps {
  scope: Scope;
  node: TreeNode;
  at: number[];
  openAtFirst: boolean;
}

function Item({ scope, node, at, openAtFirst }: ItemProps) {
  const container = CONTAINERS.has(node.kind) && node.count !== 0;
  const cut = ["string", "bytes"].includes(node.kind) && node.text.includes("…");
  const level = at.length + 1;
  const [open, setOpen] = useState(container && openAtFirst);
  const opened = useRef(false); // what was opened inside stays so
  opened.current ||= open;
  const { children, total, whole, busy, load } = useChildren(scope, node, at);
  useLayoutEffect(() => {
    if (open && !children.length && !busy) void load(0);
  }, [open]);
  const act = () => {
    if (container) setOpen(!open);
    else if (cut) void load(0);
  };
  const click = () => {
    if (!window.getSelection()?.toString()) act(); // else text is being selected
  };
  const left = total === null ? null : total - children.length;
  const line = ["rain-tree-line", (!container && !cut) || whole !== null ? "rain-leaf" : "", whole !== null ? "rain-tree-whole" : "", busy ? "rain-awaited" : ""];
  return (
    <li
      role="treeitem"
      tabIndex={-1}
      aria-level={level}
      aria-expanded={container ? open : undefined}
      ref={(element) => {
        if (element) ACTS.set(element, { act, open: setOpen });
      }}
    >
      <div class={line.filter(Boolean).join(" ")} onClick={click}>
        <span class="rain-twisty" aria-hidden="true" />
        {node.label !== "" && <span class="rain-tree-label">{node.label}</span>}
        <span class={`rain-tree-value rain-kind-${CONTAINERS.has(node.kind) ? "container" : node.kind}`}>
          {whole ?? words(node, total, children.length)}
        </span>
      </div>
      {opened.current && (
        <ul role="group" hidden={!open}>
          {children.map((child, i) => (
            <Item
              key={i}
              scope={scope}
              node={child.node}
              at={[...at, child.place]}
              openAtFirst={child.alone && level < ONLY_CHILD_LEVEL_MAX}
            />
          ))}
          {(left === null ? children.length > 0 : left > 0 && children.length > 0) && (
            <More level={level + 1} left={left} load={() => load(children.length)} />
          )}
        </ul>
      )}
    </li>
  );
}

// The way to further children; when it had the focus, the first of those that came gets it.
function More({ level, left, load }: { level: number; left: number | null; load: () => Promise<void> }) {
  const act = (element: HTMLElement) => {
    const focused = element.matches(":focus");
    const before = element.previousElementSibling;
    void load().then(() => {
      if (focused) (before?.nextElementSibling as HTMLElement | null)?.focus();
    });
  };
  return (
    <li
      role="treeitem"
      class="rain-tree-more"
      tabIndex={-1}
      aria-level={level}
      ref={(element) => {
        if (element) ACTS.set(element, { act: () => act(element), open: () => undefined });
      }}
      onClick={(event) => act(event.currentTarget)}
    >
      {left === null ? "more…" : `${count(left)} more…`}
    </li>
  );
}

interface Child {
  node: TreeNode;
  place: number; // among its siblings
  alone: boolean; // no other came with it
}

interface Children {
  children: Child[];
  total: number | null;
  whole: string | null; // the text of a leaf that was cut
  busy: boolean;
  load: (offset: number) => Promise<void>;
}

const placed = (node: TreeNode): Child[] =>
  (node.children ?? []).map((child, i, all) => ({ node: child, place: node.offset + i, alone: all.length === 1 }));

function useChildren(scope: Scope, node: TreeNode, at: number[]): Children {
  const [known, setKnown] = useState({ children: placed(node), total: node.count, whole: null as string | null });
  const [busy, setBusy] = useState(false);
  const asking = useRef(false);
  const load = async (offset: number) => {
    if (asking.current) return;
    asking.current = true;
    setBusy(true);
    try {
      const page = await scope.ask<TreePage>({ at, offset });
      scope.trouble(null);
      const leaf = !CONTAINERS.has(node.kind);
      setKnown(({ children }) => ({
        children: leaf ? [] : [...children, ...placed(page.node)],
        total: page.node.count,
        whole: leaf ? page.node.text : null,
      }));
    } catch (error) {
      scope.trouble(error);
    } finally {
      asking.current = false;
      setBusy(false);
    }
  };
  return { ...known, busy, load };
}

function words({ kind, text }: TreeNode, total: number | null, shown: number): string {
  if (!CONTAINERS.has(kind)) return text;
  const [open, close] = BRACKETS[kind] ?? ["", ""];
  if (total === 0) return `${open}${close}`;
  const [one, several] = ITEMS[kind] ?? ["item", "items"];
  const size = total === null ? `${shown ? `${count(shown)}+` : ""} ${several}`.trim() : many(total, one, several);
  return [text, `${open} ${kind === "tag" ? "" : size} ${close}`.replace(/\s+/g, " ").trim()].filter(Boolean).join(" ");
}

// -- keyboard --------------------------------------------------------------------------------------

interface Acts {
  act(): void;
  open(open: boolean): void;
}

// What can be done to the items that are drawn.
const ACTS = new WeakMap<Element, Acts>();

function press(event: KeyboardEvent, tree: HTMLElement): void {
  const here = (event.target as Element).closest<HTMLElement>('[role="treeitem"]');
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...tree.querySelectorAll<HTMLElement>('[role="treeitem"]')].filter((item) => !item.closest("[hidden]"));
  const place = all.indexOf(here);
  const expanded = here.getAttribute("aria-expanded");
  const acts = ACTS.get(here);
  let to: HTMLElement | undefined | null;
  switch (event.key) {
    case "ArrowDown": to = all[place + 1]; break;
    case "ArrowUp": to = all[place - 1]; break;
    case "Home": to = all[0]; break;
    case "End": to = all[all.length - 1]; break;
    case "ArrowRight":
      if (expanded === "false") acts?.open(true);
      else if (expanded === "true") to = all[place + 1];
      break;
    case "ArrowLeft":
      if (expanded === "true") acts?.open(false);
      else to = here.parentElement?.closest<HTMLElement>('[role="treeitem"]');
      break;
    case "Enter":
    case " ":
      acts?.act();
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
