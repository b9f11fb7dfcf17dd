// The governors: what they have, what of it is used, and how that was in the last minute.

import { h, setAttribute, setText } from "../dom.js";
import { many } from "../format.js";
import type { Tab, TabHost } from "../protocol.js";
import type { SessionStore } from "../store.js";
import { gauges, type Spark, spark } from "./gauge.js";
import { type Governor, measures, memory, processor } from "./loads.js";
import { Refresher } from "./refresher.js";

const PAUSE_MS = 1000;
const AGAIN_MS = 5000; // after a request that failed
const KEPT = 60;

export interface GovernorsAnswer {
  address: string;
  version: string;
  governors: Governor[];
}

interface Tile {
  element: HTMLElement;
  set(governor: Governor): void;
}

export function governorsTab(store: SessionStore, _host: TabHost): Tab {
  const heading = h("div", { class: "rain-muted" });
  const note = h("div", { class: "rain-tab-note", role: "alert", hidden: true });
  const list = h("ul", { class: "rain-tiles" });
  const empty = h("div", { class: "rain-empty" }, "There is no governor.");
  empty.hidden = true;
  const element = h(
    "div",
    { class: "rain-governors" },
    h("div", { class: "rain-tab-bar" }, heading),
    note,
    h("div", { class: "rain-tiles-box", tabindex: "0", role: "region", "aria-label": "Governors" }, list, empty),
  );
  const tiles = new Map<string, Tile>();
  let again: ReturnType<typeof setTimeout> | undefined;

  const draw = ({ address, version, governors }: GovernorsAnswer) => {
    const cpus = governors.reduce((sum, governor) => sum + governor.cpus, 0);
    const words = [many(governors.length, "governor"), many(cpus, "cpu")];
    if (address) words.push(`server ${address}`);
    if (version) words.push(`Rain ${version}`);
    setText(heading, words.join(" · "));
    empty.hidden = governors.length > 0;
    const present = new Set(governors.map(({ id }) => id));
    for (const [id, { element: old }] of tiles) {
      if (present.has(id)) continue;
      old.remove();
      tiles.delete(id);
    }
    for (const governor of governors) {
      let one = tiles.get(governor.id);
      if (!one) {
        one = tile();
        tiles.set(governor.id, one);
        list.append(one.element);
      }
      one.set(governor);
    }
  };

  const refresher = new Refresher(async () => {
    try {
      draw((await store.request<GovernorsAnswer>("governors")).data);
      note.hidden = true;
      element.classList.remove("rain-outdated");
    } catch (error) {
      setText(note, error instanceof Error ? error.message : String(error));
      note.hidden = false;
      element.classList.add("rain-outdated");
      again = setTimeout(() => refresher.touch(), AGAIN_MS);
      return;
    }
    // Loads change without news from the session; when it has ended, one look is enough.
    if (store.session.word === "open" || store.session.word === "") refresher.touch();
  }, PAUSE_MS);
  const off = store.subscribe((change) => {
    if (change.everything || change.session) refresher.touch();
  });

  return {
    element,
    show() {
      refresher.touch();
      refresher.show();
    },
    hide: () => refresher.hide(),
    dispose() {
      off();
      clearTimeout(again);
      refresher.dispose();
    },
  };
}

function tile(): Tile {
  const name = h("span", { class: "rain-tile-name" });
  const work = h("span", { class: "rain-muted" });
  const lines = gauges();
  const trend: Spark = spark(["processor", "memory"], KEPT);
  const legend = h(
    "div",
    { class: "rain-spark-legend rain-muted", "aria-hidden": "true" },
    h("span", { class: "rain-spark-key-0" }, "processor"),
    h("span", { class: "rain-spark-key-1" }, "memory"),
    h("span", { class: "rain-push" }, "last minute"),
  );
  const element = h(
    "li",
    { class: "rain-tile" },
    h("div", { class: "rain-tile-head" }, name, work),
    lines.element,
    h("div", { class: "rain-spark-box" }, trend.element, legend),
  );
  return {
    element,
    set(governor) {
      setText(name, governor.id);
      setAttribute(name, "title", governor.id);
      setText(work, `${many(governor.tasks, "task")} · ${many(governor.objects, "object")}`);
      lines.set(measures(governor));
      const used = memory(governor);
      legend.children[1]?.toggleAttribute("hidden", used === null);
      trend.add([processor(governor), used]);
    },
  };
}
