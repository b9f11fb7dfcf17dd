// Text, a page of bytes at a time.

import { button, h, setText } from "../dom.js";
import { bytes, count } from "../format.js";
import type { Scope, TextPage } from "./page.js";

const ENCODINGS = ["utf-8", "latin-1", "cp1252", "ascii", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "gb18030", "euc-kr", "koi8-r"];

export function textView(scope: Scope, first: TextPage): HTMLElement {
  let page = first;
  let encoding: string | null = null;
  let busy = false;
  const before: number[] = []; // where earlier pages began
  const text = h("pre", { class: "rain-text rain-wrap", tabindex: "0", "aria-label": "Text" });
  const where = h("span", { class: "rain-muted rain-push", role: "status" });
  const previous = button("‹ Previous", "The page before", () => void go(before.pop() ?? Math.max(0, page.offset - (page.end - page.offset)), false));
  const next = button("Next ›", "The page after", () => void go(page.end, true));
  const jump = h("input", {
    class: "rain-input rain-jump",
    type: "text",
    inputmode: "numeric",
    placeholder: "byte or %",
    "aria-label": "Go to a byte offset or a percentage",
    keydown: (event: KeyboardEvent) => {
      if (event.key !== "Enter") return;
      const to = target(jump.value, page.size);
      if (to === null) jump.setAttribute("aria-invalid", "true");
      else {
        jump.removeAttribute("aria-invalid");
        void go(to, true);
      }
    },
  });
  const choice = h("select", {
    class: "rain-input",
    "aria-label": "Encoding",
    change: () => {
      encoding = choice.value;
      void go(page.offset, false);
    },
  });
  const wrap = h("input", { type: "checkbox", change: () => text.classList.toggle("rain-wrap", wrap.checked) });
  wrap.checked = true;

  function show(): void {
    setText(text, page.text);
    text.scrollTop = 0;
    const names = ENCODINGS.includes(page.encoding) ? ENCODINGS : [page.encoding, ...ENCODINGS];
    if (choice.options.length !== names.length) choice.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    choice.value = page.encoding;
    const whole = page.offset === 0 && page.end >= page.size;
    setText(where, whole ? bytes(page.size) : `bytes ${count(page.offset)} – ${count(page.end)} of ${count(page.size)}`);
    previous.hidden = next.hidden = jump.hidden = whole;
    previous.disabled = page.offset <= 0;
    next.disabled = page.end >= page.size;
  }

  async function go(offset: number, keep: boolean): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      const here = page.offset;
      page = (await scope.ask<TextPage>({ offset, encoding })).page;
      if (keep) before.push(here);
      scope.trouble(null);
      show();
    } catch (error) {
      scope.trouble(error);
      choice.value = page.encoding;
    } finally {
      busy = false;
    }
  }

  show();
  return h(
    "div",
    { class: "rain-view" },
    h(
      "div",
      { class: "rain-view-bar" },
      previous,
      next,
      jump,
      choice,
      h("label", { class: "rain-check" }, wrap, "wrap lines"),
      where,
    ),
    text,
  );
}

// "1234", "1,234", "0x4d2" or "50%".
export function target(words: string, size: number): number | null {
  const plain = words.replace(/[\s,_']/g, "");
  const share = /^(\d+(?:\.\d+)?)%$/.exec(plain);
  const last = Math.max(0, size - 1);
  if (share) return Math.min(last, Math.floor((Number(share[1]) / 100) * size));
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(plain)) return null;
  return Math.min(last, Number(plain));
}
