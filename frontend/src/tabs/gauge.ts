// Bars and small lines that show how much of something is used.

import { h, s, setAttribute, setText } from "../dom.js";
import { type Measure, percent, sparkline } from "./loads.js";

export interface Gauge {
  element: HTMLElement;
  set(measure: Measure): void;
}

// A label, a bar where there is a whole, and the value in words.
export function gauge(): Gauge {
  const label = h("span", { class: "rain-gauge-label" });
  const fill = h("span", { class: "rain-gauge-fill" });
  const bar = h("span", { class: "rain-gauge-bar", "aria-hidden": "true" }, fill);
  const value = h("span", { class: "rain-gauge-value" });
  const element = h("div", { class: "rain-gauge" }, label, bar, value);
  return {
    element,
    set({ key, label: name, text, share }) {
      setText(label, name);
      setText(value, text);
      bar.classList.toggle("rain-no-bar", share === null);
      fill.style.width = `${((share ?? 0) * 100).toFixed(1)}%`;
      bar.classList.toggle("rain-high", key === "memory" && (share ?? 0) > 0.9);
    },
  };
}

// Shows a list of measures, with the elements of those that were there before.
export function gauges(): { element: HTMLElement; set(measures: Measure[]): void } {
  const element = h("div", { class: "rain-gauges" });
  const known = new Map<string, Gauge>();
  return {
    element,
    set(measures) {
      const keys = new Set(measures.map(({ key }) => key));
      for (const [key, { element: old }] of known) {
        if (keys.has(key)) continue;
        old.remove();
        known.delete(key);
      }
      for (const measure of measures) {
        let one = known.get(measure.key);
        if (!one) {
          one = gauge();
          known.set(measure.key, one);
          element.append(one.element);
        }
        one.set(measure);
      }
    },
  };
}

const SPARK_WIDTH = 240;
const SPARK_HEIGHT = 36;

export interface Spark {
  element: SVGSVGElement;
  add(values: (number | null)[]): void;
}

// Lines of the last `slots` values of each name, from 0 to 1.
export function spark(names: string[], slots: number): Spark {
  const lines = names.map((_, i) => s("polyline", { class: `rain-spark-line rain-spark-${i}`, fill: "none" }));
  const element = s(
    "svg",
    { class: "rain-spark", viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    ...lines,
  );
  const kept: number[][] = names.map(() => []);
  return {
    element,
    add(values) {
      const words: string[] = [];
      lines.forEach((line, i) => {
        const value = values[i];
        const list = kept[i];
        if (value === null || value === undefined || !list) return;
        list.push(value);
        if (list.length > slots) list.shift();
        setAttribute(line, "points", sparkline(list, slots, SPARK_WIDTH, SPARK_HEIGHT));
        words.push(`${names[i]} ${percent(value)}, at most ${percent(Math.max(...list))}`);
      });
      setAttribute(element, "aria-label", `Last minute: ${words.join("; ")}`);
    },
  };
}
