// One view of a session: header, tabs, details. Views of one model share the store and its layouts.

import type { ComponentChild } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Mounted } from "../components/parts.js";
import { DockButton, type Docking } from "../dock/side-panel.js";
import { Strip } from "../dock/strip.js";
import { DetailsPanel } from "../details/index.js";
import { Layouts } from "../graph/layouts.js";
import type { OrphanPicture } from "../orphan-picture.js";
import type { Attached, Port } from "../port.js";
import { mountShell } from "../shell.js";
import { SessionStore } from "../store.js";
import { injectLooks } from "../theme.js";
import { Announcer } from "./announcer.js";
import { Header } from "./header.js";
import { TABS, type TabHost } from "./tabs.js";
import { Tooltip } from "./tooltip.js";

export function attachSession(port: Port, picture: OrphanPicture): Attached {
  const store = new SessionStore(port);
  store.subscribe((change) => {
    if (change.everything || change.topology || change.status.size > 0) picture.renew();
  });
  const layouts = new Layouts(store);
  const strip = new Strip(store);
  const docking: Docking = { panel: null, fill: mount };

  function mount(host: HTMLElement): () => void {
    const ready = () => (host.dataset["ready"] = "true");
    let redress: () => void = () => undefined;
    const off = store.subscribe((change) => {
      if (change.everything) redress();
    });
    const unmount = mountShell(host, {
      kind: "rain-session",
      dress: (root) => {
        redress = () => injectLooks(root, store.looks);
        redress();
      },
      view: (root) => <SessionView store={store} layouts={layouts} root={root} ready={ready} docking={docking} strip={strip} />,
    });
    return () => {
      off();
      unmount();
    };
  }

  return { mount };
}

interface ViewProps {
  store: SessionStore;
  layouts: Layouts;
  root: HTMLElement;
  ready: () => void;
  // None where the view is all of the page.
  docking?: Docking;
  strip?: Strip;
  tabs?: typeof TABS;
  // Stands above the tabs.
  above?: ComponentChild;
}

let views = 0;

export function SessionView({ store, layouts, root, ready, docking, strip, tabs = TABS, above }: ViewProps) {
  const [present, setPresent] = useState(tabs[0].name);
  const number = useMemo(() => ++views, []);
  const handles = useRef<HTMLDivElement>(null);
  const tooltip = useMemo(() => new Tooltip(store, root), []);
  const announcer = useMemo(() => new Announcer(store), []);
  useLayoutEffect(
    () => () => {
      tooltip.dispose();
      announcer.dispose();
    },
    [],
  );
  useLayoutEffect(() => strip?.add(root), []);
  const host = useMemo<TabHost>(
    () => ({
      layouts,
      open: (key) => {
        tooltip.show(null);
        store.select(key);
      },
      announce: (text) => announcer.announce(text),
      // What the details tell needs no card over it.
      tooltip: (key, x, y) => tooltip.show(key === store.selected ? null : key, x, y),
      ready,
    }),
    [],
  );
  const pressed = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const at = (tabs.findIndex(({ name }) => name === present) + step + tabs.length) % tabs.length;
    setPresent(tabs[at]?.name ?? present);
    (handles.current?.children[at] as HTMLElement | undefined)?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  const id = (name: string) => `rain-${number}-${name}`;
  return (
    <>
      <Header store={store} extra={docking && <DockButton store={store} root={root} docking={docking} />} />
      {above}
      <div class="rain-tabs" role="tablist" ref={handles} onKeyDown={pressed}>
        {tabs.map(({ name }) => (
          <button
            key={name}
            type="button"
            class="rain-tab"
            role="tab"
            id={`${id(name)}-tab`}
            aria-controls={id(name)}
            aria-selected={name === present}
            tabIndex={name === present ? 0 : -1}
            onClick={() => setPresent(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="rain-body">
        <div class="rain-panes">
          {tabs.map(({ name, Pane }) => (
            <div
              key={name}
              class={name === present ? "rain-pane" : "rain-pane rain-hidden"}
              role="tabpanel"
              id={id(name)}
              aria-labelledby={`${id(name)}-tab`}
            >
              <Pane store={store} host={host} shown={name === present} />
            </div>
          ))}
        </div>
        <DetailsPanel store={store} open={host.open} />
      </div>
      <Mounted element={tooltip.element} />
      <Mounted element={announcer.element} />
    </>
  );
}
