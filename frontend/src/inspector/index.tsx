// The inspector: what a piece of data is, and pages of it in the view that suits it.

import type { ComponentType } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button, errorText } from "../components/parts.js";
import { OWN_KEYS } from "../jupyter-quirks.js";
import type { Attached, Port } from "../port.js";
import type { Inspect, InspectionAnswer, Page } from "../protocol.js";
import { mountShell } from "../shell.js";
import { DownloadButton } from "./download-button.js";
import { Head, Switches, Way } from "./head.js";
import { VIEWERS } from "./viewers.js";
import type { Inspected, Scope, ViewProps } from "./viewing.js";

export function attachInspector(port: Port): Attached {
  const kernel: Inspected = {
    inspect: (parameters) => port.request("inspect", parameters),
    download: (parameters) => port.request("download", parameters),
  };
  return {
    mount: (host) => mountShell(host, { kind: "rain-inspector-shell", view: () => <Inspector kernel={kernel} /> }),
  };
}

interface Shown {
  inspection: InspectionAnswer;
  buffers: DataView[];
  scope: Scope;
}

interface Standing {
  number: number; // of the request that this is the answer to
  path: string[];
  shown: Shown | null;
  again: (() => void) | null; // asks once more for what could not be had
}

export function Inspector({ kernel }: { kernel: Inspected }) {
  const root = useRef<HTMLDivElement>(null);
  const asked = useRef(0);
  const [standing, setStanding] = useState<Standing>({ number: 0, path: [], shown: null, again: null });
  const [note, setNote] = useState("");
  const [trouble, setTrouble] = useState("");
  const tell = (error: unknown) => setTrouble(error === null ? "" : errorText(error));
  const show = useMemo(() => {
    const ask = async (path: string[], view: string | null): Promise<void> => {
      const number = ++asked.current;
      // At once, not with the next drawing: from now on what is shown is not what was asked for.
      root.current?.setAttribute("aria-busy", "true");
      try {
        const { data: inspection, buffers } = await kernel.inspect({ path, view });
        if (number !== asked.current) return;
        const scope = scopeOf(kernel, path, inspection, { ask, tell, say: setNote });
        setStanding({ number, path, shown: { inspection, buffers, scope }, again: null });
        setNote(inspection.page.note ?? "");
        tell(null);
      } catch (error) {
        if (number !== asked.current) return;
        tell(error);
        setStanding((before) => ({ ...before, number, again: () => void ask(path, view) }));
      }
    };
    return ask;
  }, [kernel]);
  useLayoutEffect(() => {
    void show([], null);
    return () => {
      asked.current = NaN;
    };
  }, [show]);
  useLayoutEffect(() => {
    if (standing.number === asked.current) root.current?.removeAttribute("aria-busy");
  }, [standing.number]);
  const { path, shown, again } = standing;
  const go = (to: string[], view: string | null) => void show(to, view);
  return (
    <div class="rain-inspector" ref={root} {...OWN_KEYS}>
      <Head overview={shown?.inspection.overview ?? null}>
        {/* Only files have bytes of their own. */}
        {shown && kernel.download && shown.inspection.page.view !== "directory" && (
          <DownloadButton key={path.join("/")} ask={kernel.download} path={path} trouble={tell} />
        )}
      </Head>
      <Way overview={shown?.inspection.overview ?? null} go={(to) => go(to, null)} />
      <Switches inspection={shown?.inspection ?? null} turn={(view) => go(path, view)} />
      <div class="rain-insp-error" role="alert" hidden={!trouble}>
        {trouble}
      </div>
      <div class="rain-insp-note" role="status" hidden={!note}>
        {note}
      </div>
      <div class="rain-insp-body" data-view={shown?.inspection.page.view}>
        {shown ? <ViewOf key={standing.number} shown={shown} /> : <Waiting again={again} />}
      </div>
    </div>
  );
}

function Waiting({ again }: { again: (() => void) | null }) {
  return (
    <div class="rain-empty">
      {again ? (
        <Button title="Ask the kernel once more" click={again}>
          Ask again
        </Button>
      ) : (
        "…"
      )}
    </div>
  );
}

function ViewOf({ shown: { inspection, buffers, scope } }: { shown: Shown }) {
  const { page } = inspection;
  const View = VIEWERS[page.view] as ComponentType<ViewProps<Page>>;
  return <View scope={scope} page={page} buffers={buffers} />;
}

interface Ways {
  ask(path: string[], view: string | null): Promise<void>;
  tell(error: unknown): void;
  say(note: string): void;
}

function scopeOf(kernel: Inspected, path: string[], { overview, views, page: { view } }: InspectionAnswer, { ask, tell, say }: Ways): Scope {
  return {
    path,
    overview,
    views,
    ask: async <P extends Page>(asked: Inspect) => {
      const { page } = (await kernel.inspect({ path, view, ...asked })).data;
      if (page.view !== view) throw new Error(`The kernel answered with a page of ${page.view}.`);
      if (page.note) say(page.note);
      return page as P;
    },
    list: async (inside, offset, named = "") => {
      const { page } = (await kernel.inspect({ path: inside, view: "directory", offset, named })).data;
      if (page.view !== "directory") throw new Error("It is no folder any more.");
      return page;
    },
    open: (inside) => void ask(inside, null),
    turn: (other) => void ask(path, other),
    note: say,
    trouble: tell,
  };
}
