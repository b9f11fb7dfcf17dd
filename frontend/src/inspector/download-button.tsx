// The button that downloads: while it works it shows how far it is, and stops when pressed again.

import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { save } from "../dom.js";
import type { Piece } from "../protocol.js";
import { Download } from "./download.js";
import type { Downloads } from "./viewing.js";

export function DownloadButton({ ask, path, trouble }: { ask: Downloads; path: string[]; trouble: (error: unknown) => void }) {
  const [progress, setProgress] = useState<Piece | null>(null);
  const download = useMemo(
    () =>
      new Download(setProgress, (whole, error) => {
        trouble(error);
        if (whole) save(whole.parts, whole.name);
      }),
    [],
  );
  useLayoutEffect(() => () => download.stop(), []);
  const press = () => {
    if (download.going) download.stop();
    else void download.run(ask, path);
  };
  return (
    <span class="rain-download">
      <progress
        class="rain-saving"
        max={1}
        value={progress?.size ? progress.end / progress.size : 0}
        aria-label="Downloaded"
        hidden={!progress}
      />
      <Button title="Save the whole of it as a file" click={press}>
        {progress ? `Stop (${progress.end_text} of ${progress.size_text})` : "Download"}
      </Button>
    </span>
  );
}
