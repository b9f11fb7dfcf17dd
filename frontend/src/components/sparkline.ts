// The line of a spark. Pure.

// Points of a line through values from 0 to 1, the newest at the right edge of `slots` places.
export function sparkline(values: number[], slots: number, width: number, height: number): string {
  const step = width / (slots - 1);
  const left = width - (values.length - 1) * step;
  const clamp = (value: number) => Math.max(0, Math.min(1, value));
  return values
    .map((value, i) => `${(left + i * step).toFixed(1)},${(1 + (height - 2) * (1 - clamp(value))).toFixed(1)}`)
    .join(" ");
}
