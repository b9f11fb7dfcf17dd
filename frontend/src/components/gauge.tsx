// Bars and small lines that show how much of something is used.

import type { Measure } from "../protocol.js";
import { sparkline } from "./sparkline.js";

const HIGH_MEMORY = 0.9;

// A label, a bar where there is a whole, and the value in words.
export function Gauge({ measure: { key, label, text, share, ours }, row: Row = "div" }: { measure: Measure; row?: "div" | "li" }) {
  const bar = ["rain-gauge-bar", share === null ? "rain-no-bar" : "", key === "memory" && (share ?? 0) > HIGH_MEMORY ? "rain-high" : ""];
  return (
    <Row class="rain-gauge">
      <span class="rain-gauge-label">{label}</span>
      <span class={bar.filter(Boolean).join(" ")} aria-hidden="true">
        <span class={ours === null ? "rain-gauge-fill" : "rain-gauge-fill rain-gauge-others"} style={{ width: `${((share ?? 0) * 100).toFixed(1)}%` }} />
        {ours !== null && <span class="rain-gauge-fill rain-gauge-ours" style={{ width: `${(ours * 100).toFixed(1)}%` }} />}
      </span>
      <span class="rain-gauge-value">{text}</span>
    </Row>
  );
}

export function Gauges({ measures }: { measures: Measure[] }) {
  return (
    <div class="rain-gauges">
      {measures.map((measure) => (
        <Gauge key={measure.key} measure={measure} />
      ))}
    </div>
  );
}

const percent = (share: number) => Math.round(share * 100);

const SPARK_WIDTH = 240;
const SPARK_HEIGHT = 36;

// Lines of the last `slots` values of each name, from 0 to 1.
export function Spark({ series, slots }: { series: { name: string; values: number[] }[]; slots: number }) {
  const words = series
    .filter(({ values }) => values.length)
    .map(({ name, values }) => `${name} ${percent(values.at(-1) ?? 0)} %, at most ${percent(Math.max(...values))} %`);
  return (
    <svg
      class="rain-spark"
      viewBox={`0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Last minute: ${words.join("; ")}`}
    >
      {series.map(({ name, values }, i) => (
        <polyline
          key={name}
          class={`rain-spark-line rain-spark-${i}`}
          fill="none"
          points={values.length ? sparkline(values, slots, SPARK_WIDTH, SPARK_HEIGHT) : undefined}
        />
      ))}
    </svg>
  );
}
