// A folder: its entries with sizes. Folders open in place, a file opens instead of it.

import { h, setText } from "../dom.js";
import { bytes, count, many, visible } from "../format.js";
import type { DirectoryPage, Entry, Scope } from "./page.js";

const ICONS: Record<string, string> = { dir: "▸", link: "↪", file: "" };

export function directoryView(scope: Scope, first: DirectoryPage): HTMLElement {
  const list = h("ul", { class: "rain-files" });
  fill(scope, list, scope.path, first);
  return h(
    "div",
    { class: "rain-view" },
    h("div", { class: "rain-view-bar" }, h("span", { class: "rain-muted rain-push" }, many(first.total, "entry", "entries"))),
    h("div", { class: "rain-files-box" }, first.total ? list : h("div", { class: "rain-empty" }, "The folder is empty.")),
  );
}

// Appends a page of entries, and a way to the next one.
function fill(scope: Scope, list: HTMLElement, path: string[], page: DirectoryPage): void {
  for (const entry of page.entries) list.append(line(scope, path, entry));
  const end = page.offset + page.entries.length;
  if (end >= page.total || !page.entries.length) return;
  const more = h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: "rain-file rain-more",
        click: async () => {
          const next = await listing(scope, path, end);
          if (!next) return;
          more.remove();
          fill(scope, list, path, next);
        },
      },
      `${count(page.total - end)} more…`,
    ),
  );
  list.append(more);
}

async function listing(scope: Scope, path: string[], offset: number): Promise<DirectoryPage | null> {
  try {
    const page = await scope.list<DirectoryPage>(path, offset);
    scope.trouble(null);
    return page;
  } catch (error) {
    scope.trouble(error);
    return null;
  }
}

function line(scope: Scope, path: string[], entry: Entry): HTMLElement {
  const icon = h("span", { class: "rain-twisty", "aria-hidden": "true" }, ICONS[entry.kind] ?? "");
  const name = h("span", { class: "rain-file-name" }, visible(entry.kind === "dir" ? `${entry.name}/` : entry.name));
  const size = h("span", { class: "rain-muted rain-num" }, entry.size === null ? "" : bytes(entry.size));
  if (entry.size !== null) size.title = `${count(entry.size)} bytes`;
  const inside = [...path, entry.name];
  if (entry.kind === "dir") return folder(scope, inside, icon, name, size);
  if (entry.kind === "link") {
    return h("li", {}, h("div", { class: "rain-file" }, icon, name, h("span", { class: "rain-muted" }, `→ ${visible(entry.target ?? "?")}`), size));
  }
  return h("li", {}, h("button", { type: "button", class: "rain-file", click: () => scope.open(inside) }, icon, name, size));
}

function folder(scope: Scope, path: string[], icon: HTMLElement, name: HTMLElement, size: HTMLElement): HTMLElement {
  let children: HTMLElement | null = null;
  const toggle = async () => {
    const open = handle.getAttribute("aria-expanded") !== "true";
    if (open && !children) {
      const page = await listing(scope, path, 0);
      if (!page) return;
      children = h("ul", { class: "rain-files" });
      fill(scope, children, path, page);
      if (!page.total) children.append(h("li", { class: "rain-muted rain-file" }, "empty"));
      item.append(children);
    }
    handle.setAttribute("aria-expanded", String(open));
    setText(icon, open ? "▾" : "▸");
    if (children) children.hidden = !open;
  };
  const handle = h(
    "button",
    { type: "button", class: "rain-file", "aria-expanded": "false", click: () => void toggle() },
    icon,
    name,
    size,
  );
  const item = h("li", {}, handle);
  return item;
}
