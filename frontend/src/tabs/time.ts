// Arithmetic of a time axis: epochs in seconds on one side, pixels on the other. Pure.

export interface Span {
  begin: number;
  end: number;
}

const SHORTEST_S = 1e-4;
const LONGEST_S = 1e8;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

export function xOf(time: number, span: Span, width: number): number {
  return ((time - span.begin) / (span.end - span.begin)) * width;
}

export function timeOf(x: number, span: Span, width: number): number {
  return span.begin + (x / width) * (span.end - span.begin);
}

// The span seen through a factor (below 1 is nearer) around a moment that stays where it is.
export function zoom(span: Span, factor: number, around: number): Span {
  const length = span.end - span.begin;
  const wanted = Math.max(SHORTEST_S, Math.min(LONGEST_S, length * factor));
  const left = (around - span.begin) / length;
  return { begin: around - wanted * left, end: around + wanted * (1 - left) };
}

export function pan(span: Span, by: number): Span {
  return { begin: span.begin + by, end: span.end + by };
}

// A span that is neither empty nor touches its ends, for what begins and ends there.
export function around(begin: number, end: number): Span {
  const length = Math.max(end - begin, 0.01);
  return { begin: begin - length * 0.01, end: end + length * 0.03 };
}

// The distance of marks so that there are about `wanted` of them.
export function tickStep(length: number, wanted: number): number {
  const rough = length / Math.max(1, wanted);
  if (rough >= 86400) return Math.ceil(rough / 86400) * 86400;
  if (rough > 1) return STEPS_S.find((step) => step >= rough) ?? 86400;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((step) => step * power >= rough * 0.999999) ?? 10);
}

export function ticks(span: Span, origin: number, wanted: number): number[] {
  const step = tickStep(span.end - span.begin, wanted);
  const found: number[] = [];
  for (let n = Math.ceil((span.begin - origin) / step); origin + n * step <= span.end; n++) found.push(n * step || 0); // 0 rather than -0
  return found;
}

// The words of a mark, counted from the first start: 0, 250 ms, 1.5 s, 2:05, 1:02:05.
export function tickText(value: number, step: number): string {
  const sign = value < 0 ? "−" : "";
  const v = Math.abs(value);
  if (v < 1e-9) return "0";
  if (step < 1 && v < 1) return `${sign}${trim(v * 1000, step * 1000)} ms`;
  if (v < 60 || step < 1) return `${sign}${trim(v, step)} s`;
  const whole = Math.round(v);
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${sign}${hours}:${two(minutes)}:${two(whole % 60)}` : `${sign}${minutes}:${two(whole % 60)}`;
}

function trim(value: number, step: number): string {
  const decimals = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
  return value.toFixed(decimals);
}
