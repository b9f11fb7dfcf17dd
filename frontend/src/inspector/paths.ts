// Ways inside a directory, and names to save files under. Pure.

const LONGEST_NAME = 120;

export interface Crumb {
  name: string;
  path: string[];
}

// The steps from the object itself to what `path` names; `names` are those of the path as they are shown.
export function crumbs(title: string, path: string[], names: string[]): Crumb[] {
  return [{ name: title, path: [] }, ...names.map((name, i) => ({ name, path: path.slice(0, i + 1) }))];
}

export function parent(path: string[]): string[] {
  return path.slice(0, -1);
}

// A name that every system takes: no folders, no control or direction characters, no leading dot, not too long.
export function safeName(name: string, otherwise = "data"): string {
  const plain = [...name.normalize("NFC")]
    .map((c) => (/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u.test(c) || '/\\:*?"<>|'.includes(c) ? "_" : c))
    .join("")
    .trim()
    .replace(/^[.\s]+/, "")
    .replace(/[.\s]+$/, "");
  if (!/[^_]/.test(plain)) return otherwise;
  const safe = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(plain) ? `_${plain}` : plain;
  if (safe.length <= LONGEST_NAME) return safe;
  const dot = safe.lastIndexOf(".");
  const end = dot > 0 && safe.length - dot <= 12 ? safe.slice(dot) : "";
  return [...safe.slice(0, LONGEST_NAME - end.length)].filter((c) => !/\p{Cs}/u.test(c)).join("") + end;
}
