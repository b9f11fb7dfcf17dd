// A picture, decoded by the browser in an <img>, where nothing runs.

import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { Mounted } from "../components/parts.js";
import { picture } from "../dom.js";
import type { ImagePage } from "../protocol.js";
import type { ViewProps } from "./viewing.js";

// Formats that an <img> draws without running or loading anything, SVG too; files of other formats are left to other views.
const DRAWN = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml"]);
const MODES = ["fit", "100 %"];

export function ImageView({ scope, page, buffers }: ViewProps<ImagePage>) {
  const bytes = buffers[0];
  if (!DRAWN.has(page.mime) || !bytes) {
    return <div class="rain-view rain-empty">{`Pictures of type ${page.mime} are not drawn here; see their text or bytes.`}</div>;
  }
  return <Picture bytes={bytes as DataView<ArrayBuffer>} page={page} title={scope.overview.title} />;
}

function Picture({ bytes, page, title }: { bytes: DataView<ArrayBuffer>; page: ImagePage; title: string }) {
  const [mode, setMode] = useState(MODES[0]);
  const [size, setSize] = useState("");
  const image = useMemo(() => picture(bytes, page.mime, title), []);
  useLayoutEffect(() => {
    image.addEventListener("load", () => {
      const text = `${image.naturalWidth} × ${image.naturalHeight} px`;
      setSize(page.width && page.width !== image.naturalWidth ? `${text} (of ${page.width} × ${page.height})` : text);
    });
    image.addEventListener("error", () => setSize("The browser could not decode it."));
  }, []);
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <div class="rain-switch" role="group" aria-label="Size">
          {MODES.map((name) => (
            <button key={name} type="button" class="rain-button" aria-pressed={name === mode} onClick={() => setMode(name)}>
              {name}
            </button>
          ))}
        </div>
        <span class="rain-muted rain-push" role="status">
          {size}
        </span>
      </div>
      <div class={mode === MODES[0] ? "rain-image rain-fit" : "rain-image"} tabIndex={0} role="region" aria-label="Picture">
        <Mounted element={image} />
      </div>
    </div>
  );
}
