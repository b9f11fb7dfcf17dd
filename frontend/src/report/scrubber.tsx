// A slider over the time of the session: everything is shown as it was at that moment.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { clock, count, seconds } from "../format.js";
import { sortedCounts } from "../graph/labels.js";
import type { SessionStore } from "../store.js";
import type { FilePort } from "./port.js";

const STEPS = 1000;
const PLAY_MS = 12_000; // the whole session

export function Scrubber({ store, port }: { store: SessionStore; port: FilePort }) {
  const { length, began } = port.report;
  const [at, setAt] = useState(length);
  const [playing, setPlaying] = useState(false);
  const frame = useRef(0);
  const go = useMemo(
    () => (to: number) => {
      const moment = Math.max(0, Math.min(length, to));
      setAt(moment);
      port.seek(moment);
    },
    [port],
  );
  useLayoutEffect(() => {
    if (!playing) return;
    const from = at >= length ? 0 : at;
    const start = performance.now();
    const step = () => {
      const to = from + ((performance.now() - start) / PLAY_MS) * length;
      go(to);
      if (to >= length) setPlaying(false);
      else frame.current = requestAnimationFrame(step);
    };
    step();
    return () => cancelAnimationFrame(frame.current);
  }, [playing]);
  const counts = sortedCounts(store.summary.tasks).map(([state, n]) => `${count(n)} ${store.look(state).word}`);
  const text = `${seconds(at / 1e6)} of ${seconds(length / 1e6)}`;
  return (
    <div class="rain-scrubber" role="group" aria-label="time of the session">
      <Button title={playing ? "stop" : "show how it went on"} kind="rain-square" click={() => setPlaying(!playing)}>
        {playing ? "❚❚" : "▶"}
      </Button>
      <input
        type="range"
        min={0}
        max={STEPS}
        value={Math.round((at / length) * STEPS)}
        aria-label="moment of the session"
        aria-valuetext={`${text}: ${counts.join(", ")}`}
        onInput={(event) => {
          setPlaying(false);
          go((Number(event.currentTarget.value) / STEPS) * length);
        }}
      />
      <span class="rain-muted rain-scrubber-text">{`${text} · ${clock(began + at / 1e6)}`}</span>
    </div>
  );
}
