// Pieces of the details panel: sections, facts, links, buttons.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button, errorText, Swatch } from "../components/parts.js";
import { count } from "../format.js";
import type { Link } from "../protocol.js";
import { useDetails } from "./context.js";

export function Section({ title, toggled, children }: { title: string; toggled?: (open: boolean) => void; children: ComponentChildren }) {
  const { sections } = useDetails();
  return (
    <details
      class="rain-section"
      open={sections.get(title) ?? false}
      onToggle={(event) => {
        sections.set(title, event.currentTarget.open);
        toggled?.(event.currentTarget.open);
      }}
    >
      <summary>{title}</summary>
      {children}
    </details>
  );
}

type Fact = ComponentChildren;

export function Facts({ facts }: { facts: Record<string, Fact> }) {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!known.length) return null;
  return (
    <dl class="rain-facts">
      {known.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

// What users attach, or options: anything that JSON can say.
export function Values({ title, value }: { title: string; value: unknown }) {
  if (!hasContent(value)) return null;
  if (typeof value !== "object" || Array.isArray(value)) return <Facts facts={{ [title]: written(value) }} />;
  const facts = Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, written(one)]));
  return (
    <div>
      <h4>{title}</h4>
      <Facts facts={facts} />
    </div>
  );
}

const LINKS_COUNTED_MIN = 7;

export function Links({ title, links }: { title: string; links: Link[] }) {
  if (!links.length) return null;
  return (
    <div>
      <h4>{links.length < LINKS_COUNTED_MIN ? title : `${title} (${count(links.length)})`}</h4>
      <ul class="rain-links">
        {links.map((link) => (
          <li>
            {link.label && <span class="rain-muted">{link.label}</span>}
            <LinkButton link={link} />
          </li>
        ))}
      </ul>
    </div>
  );
}

export function LinkButton({ link }: { link: Pick<Link, "key" | "title" | "state"> }) {
  const { store, open } = useDetails();
  return (
    <button type="button" class="rain-link" title={store.look(link.state).word} onClick={() => open(link.key)}>
      <Swatch store={store} state={link.state} />
      <span class="rain-ellipsis">{link.title}</span>
    </button>
  );
}

// A button that has the kernel do something to a task or group.
export function Act({ text, title, type, of, kind }: { text: string; title: string; type: "open" | "close" | "cancel" | "retry"; of: string; kind?: string }) {
  const { store, refresh } = useDetails();
  const [asked, setAsked] = useState(false);
  const [trouble, setTrouble] = useState("");
  const act = () => {
    setAsked(true);
    setTrouble("");
    store
      .request(type, { key: of })
      .then(refresh, (error: unknown) => setTrouble(errorText(error)))
      .finally(() => setAsked(false));
  };
  return (
    <>
      <Button title={title} kind={kind} disabled={asked} click={act}>
        {text}
      </Button>
      {trouble && <span class="rain-bad">{trouble}</span>}
    </>
  );
}

export function hasContent(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

export function written(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join("\n");
  return JSON.stringify(value, null, 1) ?? "";
}
