// What a running task says of itself, in its node: a bar below it, and a thumbnail at its corner.

import { drawnPicture, s, setAttribute } from "../dom.js";
import type { Status } from "../protocol.js";

const BAR = { share: 0.7, height: 4, below: 3 };
const THUMB_PX = 30;

export function paintProgress(node: SVGGElement, status: Status | undefined, w: number, h: number): void {
  paintBar(node, status?.share ?? null, w, h);
  paintThumb(node, status?.thumb ?? null, w, h);
}

function paintBar(node: SVGGElement, share: number | null, w: number, h: number): void {
  let bar = node.querySelector(".rain-progress");
  if (share === null) return bar?.remove();
  const width = w * BAR.share;
  if (!bar) {
    const size = { x: -width / 2, y: h / 2 + BAR.below, height: BAR.height, rx: 2 };
    bar = s("g", { class: "rain-progress" }, s("rect", { class: "rain-track", width, ...size }), s("rect", { class: "rain-done", ...size }));
    node.append(bar);
  }
  setAttribute(bar.lastElementChild as Element, "width", (width * share).toFixed(1));
}

function paintThumb(node: SVGGElement, thumb: string | null, w: number, h: number): void {
  const shown = node.querySelector(".rain-thumb");
  if ((shown?.getAttribute("data-of") ?? null) === (thumb && digest(thumb))) return;
  if (!thumb) return shown?.remove();
  const bytes = Uint8Array.from(atob(thumb), (char) => char.charCodeAt(0));
  const place = { x: w / 2 - THUMB_PX / 3, y: -h / 2 - THUMB_PX / 1.7, size: THUMB_PX };
  const fresh = s("g", { class: "rain-thumb", "data-of": digest(thumb) }, drawnPicture(bytes, "image/png", place));
  if (shown) shown.replaceWith(fresh);
  else node.append(fresh);
}

// Tells pictures apart; they are no secrets.
function digest(text: string): string {
  let sum = text.length;
  for (let i = 0; i < text.length; i += 7) sum = (sum * 31 + text.charCodeAt(i)) | 0;
  return String(sum);
}
