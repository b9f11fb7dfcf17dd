// A picture, decoded by the browser in an <img>, where nothing runs.

import { h, picture, setText } from "../dom.js";
import type { ImagePage, Scope } from "./page.js";

// What is only pixels; anything else is left to the other views.
const RASTER = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"]);

export function imageView(scope: Scope, page: ImagePage, buffers: DataView[]): HTMLElement {
  const bytes = buffers[0];
  if (!RASTER.has(page.mime) || !bytes) {
    return h("div", { class: "rain-view rain-empty" }, `Pictures of type ${page.mime} are not drawn here; see their text or bytes.`);
  }
  const size = h("span", { class: "rain-muted rain-push", role: "status" });
  const image = picture(bytes as DataView<ArrayBuffer>, page.mime, scope.overview.title);
  const stage = h("div", { class: "rain-image rain-fit", tabindex: "0", role: "region", "aria-label": "Picture" }, image);
  image.addEventListener("load", () => {
    const text = `${image.naturalWidth} × ${image.naturalHeight} px`;
    setText(size, page.width && page.width !== image.naturalWidth ? `${text} (of ${page.width} × ${page.height})` : text);
  });
  image.addEventListener("error", () => setText(size, "The browser could not decode it."));
  const modes = ["fit", "100 %"].map((name, i) =>
    h(
      "button",
      {
        type: "button",
        class: "rain-button",
        "aria-pressed": String(i === 0),
        click: () => {
          stage.classList.toggle("rain-fit", i === 0);
          modes.forEach((mode, other) => mode.setAttribute("aria-pressed", String(other === i)));
        },
      },
      name,
    ),
  );
  return h(
    "div",
    { class: "rain-view" },
    h("div", { class: "rain-view-bar" }, h("div", { class: "rain-switch", role: "group", "aria-label": "Size" }, ...modes), size),
    stage,
  );
}
