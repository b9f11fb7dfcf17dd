// The panel beside the graph: all that is known of the selected task, object or group.

import { Fragment } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button, errorText, Swatch } from "../components/parts.js";
import type { Details } from "../protocol.js";
import type { SessionStore } from "../store.js";
import { type DetailsContext, DetailsProvider } from "./context.js";
import { GroupBody } from "./group.js";
import { ObjectBody } from "./object.js";
import { TaskBody } from "./task.js";

const SOON_MS = 150;
const OPEN_AT_FIRST = ["source", "output", "error", "shown"];

interface Known {
  key: string | null;
  details: Details | null;
  trouble: string;
}

const NOTHING: Known = { key: null, details: null, trouble: "" };

export function DetailsPanel({ store, open }: { store: SessionStore; open: (key: string) => void }) {
  const panel = useRef<HTMLElement>(null);
  const sections = useMemo(() => new Map(OPEN_AT_FIRST.map((title) => [title, true])), []);
  const key = useSelection(store, panel);
  const { known, refresh } = useKnown(store, key);
  const context = useMemo<DetailsContext>(() => ({ store, open, refresh, sections }), [refresh]);
  const { details, trouble } = known.key === key ? known : NOTHING;
  return (
    <aside
      class={key === null ? "rain-details rain-hidden" : "rain-details"}
      aria-label="details"
      tabIndex={-1}
      ref={panel}
      onKeyDown={(event) => {
        if (event.key === "Escape") store.select(null);
      }}
    >
      <DetailsProvider value={context}>
        <div class="rain-details-head">{key !== null && <Head store={store} of={key} details={details} />}</div>
        <div class="rain-details-body">
          {key !== null && (
            <Fragment key={key}>
              {trouble && <div class="rain-bad">{trouble}</div>}
              {!trouble && !details && <div class="rain-muted">…</div>}
              {!trouble && details && <Body details={details} />}
            </Fragment>
          )}
        </div>
      </DetailsProvider>
    </aside>
  );
}

function Body({ details }: { details: Details }) {
  if (details.kind === "task") return <TaskBody task={details} />;
  if (details.kind === "object") return <ObjectBody object={details} />;
  return <GroupBody group={details} />;
}

function Head({ store, of, details }: { store: SessionStore; of: string; details: Details | null }) {
  const state = details && details.kind !== "group" ? details.state : (store.status.get(of)?.state ?? "");
  return (
    <>
      {state && <Swatch store={store} state={state} titled />}
      <span class="rain-details-title">
        <b>{details?.title ?? store.label(of)}</b>
        <span class="rain-muted">{details && under(details)}</span>
      </span>
      <Button title="close (Escape)" kind="rain-square" click={() => store.select(null)}>
        ×
      </Button>
    </>
  );
}

function under(details: Details): string {
  if (details.kind === "task") return `task ${details.id} · ${details.type}`;
  return details.kind === "object" ? `object ${details.id}` : "group";
}

// The selected key. When the panel closes, the focus returns to where it came from.
function useSelection(store: SessionStore, panel: { current: HTMLElement | null }): string | null {
  const [key, setKey] = useState(store.selected);
  useLayoutEffect(() => {
    let before: HTMLElement | SVGElement | null = null;
    return store.subscribe((change) => {
      if (!change.selection) return;
      const root = panel.current?.getRootNode() as Document | ShadowRoot | undefined;
      const focused = root?.activeElement instanceof Element ? root.activeElement : null;
      const within = panel.current?.contains(focused) ?? false;
      if (!within) before = focused as HTMLElement | SVGElement | null;
      else if (store.selected === null) before?.focus({ preventScroll: true });
      setKey(store.selected);
    });
  }, [store]);
  return key;
}

// What the kernel says of a key, asked for again when it may be something else.
function useKnown(store: SessionStore, key: string | null): { known: Known; refresh: () => void } {
  const [known, setKnown] = useState<Known>(NOTHING);
  const refresh = useRef<() => void>(() => undefined);
  useLayoutEffect(() => {
    if (key === null) return setKnown(NOTHING);
    let asked = 0;
    let kind: Details["kind"] | undefined;
    let soon: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const number = ++asked;
      try {
        const { data } = await store.request("details", { key });
        if (number !== asked) return;
        kind = data.kind;
        setKnown({ key, details: data, trouble: "" });
      } catch (error) {
        if (number === asked) setKnown({ key, details: null, trouble: errorText(error) });
      }
    };
    const later = () => {
      clearTimeout(soon);
      soon = setTimeout(() => void ask(), SOON_MS);
    };
    refresh.current = later;
    void ask();
    const off = store.subscribe((change) => {
      if (change.everything || change.status.has(key) || (change.topology && kind === "group")) later();
    });
    return () => {
      asked = NaN;
      clearTimeout(soon);
      off();
    };
  }, [store, key]);
  const again = useMemo(() => () => refresh.current(), []);
  return { known, refresh: again };
}
