// The button that downloads: while it works it shows how far it is, and stops when pressed again.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { save } from "../dom.js";
import { bytes } from "../format.js";
import { fetchAll } from "./download.js";
import type { Ask } from "./viewing.js";

interface Progress {
  done: number;
  size: number;
}

export function DownloadButton({ ask, path, trouble }: { ask: Ask; path: string[]; trouble: (error: unknown) => void }) {
  const [progress, setProgress] = useState<Progress | null>(null);
  const going = useRef(false);
  useLayoutEffect(
    () => () => {
      going.current = false;
    },
    [],
  );
  const run = async () => {
    going.current = true;
    setProgress({ done: 0, size: 0 });
    try {
      const whole = await fetchAll(ask, path, (done, size) => {
        setProgress({ done, size });
        return going.current;
      });
      trouble(null);
      if (whole) save(whole.parts, whole.name);
    } catch (error) {
      trouble(error);
    } finally {
      going.current = false;
      setProgress(null);
    }
  };
  const press = () => {
    if (going.current) going.current = false;
    else void run();
  };
  return (
    <span class="rain-download">
      <progress
        class="rain-saving"
        max={1}
        value={progress?.size ? progress.done / progress.size : 0}
        aria-label="Downloaded"
        hidden={!progress}
      />
      <Button title="Save the whole of it as a file" click={press}>
        {progress?.size ? `Stop (${bytes(progress.done)} of ${bytes(progress.size)})` : "Download"}
      </Button>
    </span>
  );
}
