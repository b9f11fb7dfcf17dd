// Numbers for people.

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "";
  const v = Math.max(0, value);
  if (v < 0.001) return v ? "< 1 ms" : "0 s";
  if (v < 1) return `${Math.round(v * 1000)} ms`;
  if (v < 10) return `${v.toFixed(1)} s`;
  if (v < 120) return `${Math.round(v)} s`;
  const minutes = Math.floor(v / 60);
  if (minutes < 120) return `${minutes} min ${Math.round(v % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// As rain.common.formatting.size_text writes it.
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (value < 1024) return `${value} byte${value === 1 ? "" : "s"}`;
  let v = value / 1024;
  let unit = "KiB";
  for (const larger of ["MiB", "GiB", "TiB"]) {
    if (v < 1024) break;
    v /= 1024;
    unit = larger;
  }
  return `${v.toFixed(1)} ${unit}`;
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

// A name with its control characters, and those that turn the direction of text, written out.
export function visible(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

export function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
