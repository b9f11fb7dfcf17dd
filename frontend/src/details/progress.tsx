// What a running task says of itself: a bar with words, and what it shows.

import { useLayoutEffect, useState } from "preact/hooks";
import { PreviewBody } from "../inspector/preview.js";
import type { PreviewPage, Progress } from "../protocol.js";
import { useDetails } from "./context.js";
import { Section } from "./pieces.js";

export function ProgressOf({ of, progress }: { of: string; progress: Progress }) {
  const { share, text, shows, title } = progress;
  return (
    <div class="rain-progress-of">
      {share !== null && <progress class="rain-progress-bar" value={share} max={1} aria-label="progress" />}
      {text && <span class="rain-muted">{text}</span>}
      {shows && <Shown of={of} progress={progress} title={title} />}
    </div>
  );
}

interface Seen {
  page: PreviewPage;
  buffers: DataView[];
}

function Shown({ of, progress, title }: { of: string; progress: Progress; title: string }) {
  const { store } = useDetails();
  const [seen, setSeen] = useState<Seen | null>(null);
  useLayoutEffect(() => {
    let left = false;
    store.request("shown", { key: of }).then(
      ({ data, buffers }) => left || setSeen({ page: data, buffers }),
      () => undefined, // the task has ended meanwhile: the details will say so
    );
    return () => {
      left = true;
    };
  }, [store, of, progress]);
  return (
    <Section title="shown">
      {title && <div>{title}</div>}
      {seen && <PreviewBody page={seen.page} buffers={seen.buffers} title={title || "shown"} />}
    </Section>
  );
}
