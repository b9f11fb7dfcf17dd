// Above the tabs: the session's name, how far it is, and what can be done with all of it.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useRedraw, useStore } from "../components/hooks.js";
import { Button, errorText } from "../components/parts.js";
import { count, seconds } from "../format.js";
import { sortedCounts } from "../graph/labels.js";
import type { SessionStore } from "../store.js";
import { StaleBar, StaleChip } from "./stale.js";

const TICK_MS = 500;
const UNFINISHED = ["new", "waiting", "ready", "running"];

interface StoreProps {
  store: SessionStore;
}

export function Header({ store, extra }: StoreProps & { extra?: ComponentChildren }) {
  const [note, setNote] = useState("");
  useStore(store, (change) => change.everything || change.summary || change.session);
  useLayoutEffect(() => {
    const offs = [
      store.port.on("busy", (busy) => setNote(busy ? "the kernel is busy …" : "")),
      store.port.on("lost", () => setNote("the kernel has gone")),
    ];
    return () => offs.forEach((off) => off());
  }, [store]);
  const { session, trouble } = store;
  return (
    <div class="rain-header">
      <div class="rain-title">
        <span class="rain-name rain-ellipsis">{session.name || (session.id ? `session ${session.id}` : "session")}</span>
        <span class="rain-word" data-word={trouble ? "lost" : session.state} title={session.note}>
          {trouble ?? session.state}
        </span>
        <Chips store={store} />
        <StaleChip store={store} />
        <span class="rain-space" />
        <span class="rain-muted rain-busy" role="status">
          {note}
        </span>
        <Clock store={store} />
        <Actions store={store} say={setNote} />
        {extra}
      </div>
      <Progress store={store} />
      <StaleBar store={store} />
      {/* Of an open session the note says why nothing of it can go on. */}
      <div class="rain-tab-note rain-stuck" role="status" hidden={session.state !== "open" || !session.note}>
        {session.note}
      </div>
    </div>
  );
}

function Chips({ store }: StoreProps) {
  return (
    <span class="rain-chips">
      {sortedCounts(store.summary.tasks).map(([state, n]) => {
        const { mark, word } = store.look(state);
        return (
          <span key={state} class="rain-chip" data-s={state} title={`${count(n)} ${word}`}>
            {`${mark} `}
            <span>{count(n)}</span>
            <i>{` ${word}`}</i>
          </span>
        );
      })}
    </span>
  );
}

function Progress({ store }: StoreProps) {
  const { tasks } = store.summary;
  const counts = sortedCounts(tasks);
  const whole = counts.reduce((sum, [, n]) => sum + n, 0);
  const finished = tasks["finished"] ?? 0;
  return (
    <div
      class="rain-progress"
      role="progressbar"
      aria-label="finished tasks"
      aria-valuemin={0}
      aria-valuemax={whole}
      aria-valuenow={finished}
      aria-valuetext={`${count(finished)} of ${count(whole)} finished`}
    >
      {counts.map(([state, n]) => (
        <span key={state} data-s={state} style={{ flexGrow: String(n) }} />
      ))}
    </div>
  );
}

// Elapsed and remaining time, which go on between two summaries.
function Clock({ store }: StoreProps) {
  const redraw = useRedraw();
  const { remaining, ticking } = store.summary;
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => redraw(), TICK_MS);
    return () => clearInterval(timer);
  }, [ticking]);
  let text = seconds(store.elapsed());
  if (ticking && remaining !== null) {
    const left = remaining - (performance.now() - store.summaryAt) / 1000;
    text += left > 0.5 ? ` · about ${seconds(left)} left` : " · nearly done";
  }
  return <span class="rain-time rain-muted">{text}</span>;
}

function Actions({ store, say }: StoreProps & { say: (text: string) => void }) {
  const [asked, setAsked] = useState(false);
  const place = useRef<HTMLSpanElement>(null);
  const open = store.live && store.session.state === "open";
  const of = (states: string[]) => states.reduce((sum, state) => sum + (store.summary.tasks[state] ?? 0), 0);
  const unfinished = open && of(UNFINISHED) > 0;
  const confirming = asked && unfinished;
  if (asked && !unfinished) setAsked(false);
  const before = useRef(false);
  useLayoutEffect(() => {
    // The button that had the focus is gone: the focus goes to what took its place.
    if (confirming !== before.current) place.current?.querySelector<HTMLElement>(confirming ? "[role=group] button" : ".rain-cancel")?.focus();
    before.current = confirming;
  }, [confirming]);
  const act = (type: "cancel" | "retry") => {
    setAsked(false);
    store.request(type, { key: null }).catch((error: unknown) => say(`${type}: ${errorText(error)}`));
  };
  return (
    <span class="rain-actions" ref={place}>
      {open && of(["failed"]) > 0 && (
        <Button title="run the failed tasks once more" click={() => act("retry")}>
          ↻ Retry failed
        </Button>
      )}
      {unfinished && !confirming && (
        <Button title="cancel all tasks that are not finished" kind="rain-cancel" click={() => setAsked(true)}>
          Cancel session
        </Button>
      )}
      {confirming && (
        <span class="rain-row" role="group" aria-label="Cancel all unfinished tasks?">
          <span>Cancel all unfinished tasks?</span>
          <Button title="cancel them" kind="rain-danger" click={() => act("cancel")}>
            Yes, cancel
          </Button>
          <Button title="leave them" click={() => setAsked(false)}>
            No
          </Button>
        </span>
      )}
    </span>
  );
}
