// All elements are made here: text becomes text nodes, never markup. The build fails where code makes markup of text.

export type Child = Node | string | number | null | undefined | false;
type Handler = (event: never) => void;
export type Props = Record<string, string | number | boolean | null | undefined | Handler>;

const SVG = "http://www.w3.org/2000/svg";

// Attributes that could carry a program or an address; `picture` and `save` below set them to blob: and data: ones.
const FORBIDDEN = /^(on|href$|xlink:href$|src$|srcdoc$|style$|action$|formaction$)/i;

function fill(element: Element, props: Props | null, children: Child[]): void {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value as unknown as EventListener);
    else if (FORBIDDEN.test(name)) throw new Error(`an element is not given ${name}`);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, ...children);
}

// `h("button", {class: "rain-button", click: () => …}, "text")`: functions are listeners of the event of that name.
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props?: Props | null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, props ?? null, children);
  return element;
}

// The same for elements of SVG.
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props?: Props | null,
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag) as SVGElementTagNameMap[K];
  fill(element, props ?? null, children);
  return element;
}

export function append(element: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "number" ? String(child) : child);
  }
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, ...children);
}

// Sets an element's text only if it differs, so that the page is not laid out in vain.
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

// A sign without letters says nothing to a screen reader: what has only a sign on it is called by its title.
export function named(title: string, content: unknown): { "aria-label"?: string } {
  return typeof content === "string" && !/[\p{L}\p{N}]/u.test(content) ? { "aria-label": title } : {};
}

export function button(text: string, title: string, click: (event: MouseEvent) => void, kind = ""): HTMLButtonElement {
  return h("button", { type: "button", class: `rain-button ${kind}`.trim(), title, click, ...named(title, text) }, text);
}

// A picture from bytes. The browser decodes it in an <img>, where nothing runs.
export function picture(bytes: BlobPart, mime: string, alt: string): HTMLImageElement {
  const image = h("img", { alt });
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const done = () => URL.revokeObjectURL(url);
  image.addEventListener("load", done);
  image.addEventListener("error", done);
  image.setAttribute("src", url);
  return image;
}

// The same inside a drawing, where it takes `size` pixels at most.
export function drawnPicture(bytes: BlobPart, mime: string, place: { x: number; y: number; size: number }): SVGImageElement {
  const image = s("image", { x: place.x, y: place.y, width: place.size, height: place.size });
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const done = () => URL.revokeObjectURL(url);
  image.addEventListener("load", done);
  image.addEventListener("error", done);
  image.setAttribute("href", url);
  return image;
}

// Hands bytes to the browser's own download.
export function save(parts: BlobPart[], name: string): void {
  const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  const link = h("a", { download: name });
  link.setAttribute("href", url);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// Puts a text onto the clipboard; pages that are not trusted with it (plain HTTP) have the old way only.
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "rain-sr-only" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser does not copy");
}
