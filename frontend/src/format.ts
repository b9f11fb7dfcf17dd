// Texts that change while the kernel sends nothing (clocks), and numbers; all other texts come from the kernel.

// A duration, as `rain.common.formatting.duration_text` writes it (format.test.ts has texts that it wrote).
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "";
  const v = Math.max(0, value);
  if (v < 0.001) return v ? "< 1 ms" : "0 s";
  if (v < 0.9995) return `${Math.round(v * 1000)} ms`;
  if (v < 9.95) return `${v.toFixed(1)} s`;
  const whole = Math.round(v);
  if (whole < 120) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 120 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}

// The time of day of an epoch in seconds.
export function clock(epoch: number): string {
  return new Date(epoch * 1000).toLocaleTimeString();
}

// The host of a governor, whose id is the host and a port that says nothing to a reader.
export function hostOf(governor: string): string {
  const host = governor.replace(/:\d+$/, "");
  return /^(127(\.\d+){3}|localhost|\[?::1\]?)$/.test(host) ? "this host" : host;
}

// What a governor is called among others: its host, and the port where that has several of them.
export function governorName(governor: string, among: Iterable<string>): string {
  const host = hostOf(governor);
  const alone = new Set([...among].filter((other) => hostOf(other) === host)).size < 2;
  return alone ? host : `${host} · ${governor.slice(governor.lastIndexOf(":") + 1)}`;
}
