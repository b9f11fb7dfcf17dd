// How long the tasks of the table took, as bars on a logarithmic scale.

import { many, seconds } from "../format.js";
import type { DurationBin } from "../protocol.js";

const WIDTH = 180;
const HEIGHT = 26;

export function Histogram({ bins }: { bins: DurationBin[] }) {
  const most = Math.max(...bins.map(([, , count]) => count));
  const [first, last] = [bins[0], bins.at(-1)];
  if (!first || !last || !most) return null;
  const wide = WIDTH / bins.length;
  const words = ([begin, end, count]: DurationBin) => `${seconds(begin)} to ${seconds(end)}: ${many(count, "task")}`;
  return (
    <span class="rain-histogram rain-muted" title="how long the listed tasks took">
      <span>{seconds(first[0])}</span>
      <svg
        width={WIDTH}
        height={HEIGHT}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Durations. ${bins.filter(([, , count]) => count).map(words).join("; ")}`}
      >
        {bins.map((bin, i) => {
          const high = bin[2] ? Math.max(2, (bin[2] / most) * (HEIGHT - 2)) : 0;
          return (
            <g key={i}>
              <title>{words(bin)}</title>
              <rect class="rain-histogram-room" x={i * wide} y={0} width={wide} height={HEIGHT} />
              <rect class="rain-histogram-bar" x={i * wide + 0.5} y={HEIGHT - high} width={Math.max(1, wide - 1)} height={high} />
            </g>
          );
        })}
      </svg>
      <span>{seconds(last[1])}</span>
    </span>
  );
}
