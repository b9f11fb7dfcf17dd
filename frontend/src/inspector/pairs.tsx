// Names with their values.

export function Pairs({ list, flow = false }: { list: [string, unknown][]; flow?: boolean }) {
  if (!list.length) return null;
  return (
    <dl class={flow ? "rain-pairs rain-pairs-flow" : "rain-pairs"}>
      {list.map(([name, value]) => (
        <div>
          <dt>{name}</dt>
          <dd>{words(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

// A value of JSON as it is shown.
export function words(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

// The items of what users attach; null when there is nothing to show.
export function items(value: unknown): [string, unknown][] | null {
  if (value === null || value === undefined || value === "") return null;
  if (Array.isArray(value)) return value.length ? [["", value]] : null;
  if (typeof value !== "object") return [["", value]];
  const found = Object.entries(value);
  return found.length ? found : null;
}
