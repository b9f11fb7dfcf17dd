// The theme (light or dark, as the page is), the colours of states, and the style sheet.

import css from "rain:styles";
import { isJupyterDark } from "./jupyter-quirks.js";
import type { Look } from "./protocol.js";

const COLOUR = /^#[0-9a-f]{3,8}$/i;
const WORD = /^[a-z _-]+$/;

function isDark(): boolean {
  const { body } = document;
  const jupyter = isJupyterDark();
  if (jupyter !== undefined) return jupyter;
  const code = body.dataset["vscodeThemeKind"];
  if (code !== undefined) return /dark|contrast(?!-light)/.test(code);
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// Keeps the class `rain-dark` of an element as the theme is.
export function followTheme(element: HTMLElement): () => void {
  const look = () => element.classList.toggle("rain-dark", isDark());
  const observer = new MutationObserver(look);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", look);
  look();
  return () => {
    observer.disconnect();
    media.removeEventListener("change", look);
  };
}

// Style sheets in use, by name. They are adopted, because a page's policy may forbid style elements.
const sheets = new WeakMap<Document | ShadowRoot, Map<string, { sheet: CSSStyleSheet; text: string }>>();

function put(element: Element, name: string, text: string): void {
  const root = element.getRootNode();
  const home = root instanceof ShadowRoot ? root : document;
  const present = sheets.get(home) ?? new Map<string, { sheet: CSSStyleSheet; text: string }>();
  sheets.set(home, present);
  const known = present.get(name);
  if (known?.text === text) return;
  const sheet = known?.sheet ?? new CSSStyleSheet();
  sheet.replaceSync(text);
  present.set(name, { sheet, text });
  if (!known) home.adoptedStyleSheets = [...home.adoptedStyleSheets, sheet];
}

// Puts the style sheet into the document or shadow root that the element is in; to be called again when the element is moved.
export function injectStyle(element: Element): void {
  put(element, "style", css);
}

// Inside elements of class `rain`, what has data-s="running" has its colours in --rain-f (fill) and --rain-l (line); looks
// of something else than tasks and objects have a name of their own.
export function injectLooks(element: Element, looks: Record<string, Look>, name = "looks"): void {
  let text = "";
  for (const [state, look] of Object.entries(looks)) {
    const colours = [look.fill, look.line, look.dark_fill, look.dark_line];
    if (!WORD.test(state) || !colours.every((colour) => COLOUR.test(colour))) continue;
    text += `.rain [data-s="${state}"]{--rain-f:${colours[0]};--rain-l:${colours[1]}}\n`;
    text += `.rain-dark [data-s="${state}"]{--rain-f:${colours[2]};--rain-l:${colours[3]}}\n`;
  }
  put(element, name, text);
}
