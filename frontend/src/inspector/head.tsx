// The head of an inspector: which data it shows, the path to what is open, and the views of that.

import type { ComponentChildren } from "preact";
import { Button } from "../components/parts.js";
import type { InspectionAnswer, Overview } from "../protocol.js";
import { items, Pairs, words } from "./pairs.js";
import { crumbs, parent } from "./paths.js";

export function Head({ overview, children }: { overview: Overview | null; children: ComponentChildren }) {
  return (
    <>
      <div class="rain-insp-head">
        <span class="rain-insp-title" title={overview?.id ? `object ${overview.id}` : undefined}>
          {overview?.title}
        </span>
        <span class="rain-insp-kind">{overview && (overview.content_type ?? overview.data_type ?? "no content type")}</span>
        {children}
      </div>
      <div class="rain-insp-facts">
        {overview && (
          <>
            <Pairs list={facts(overview)} flow />
            <Attached name="spec.user" value={overview.spec_user} />
            <Attached name="info.user" value={overview.info_user} />
          </>
        )}
      </div>
    </>
  );
}

function facts({ id, size, digest, holders, maker }: Overview): [string, string][] {
  const list: [string, string][] = [];
  if (id) list.push(["id", id]);
  if (size) list.push(["size", size]);
  if (digest) list.push(["digest", digest]);
  if (holders.length) list.push(["held by", holders.join(", ")]);
  if (maker) list.push(["made by", words(maker.title)]);
  return list;
}

// What the user attached to an object.
function Attached({ name, value }: { name: string; value: unknown }) {
  const list = items(value);
  if (!list) return null;
  return (
    <details class="rain-insp-user">
      <summary>{name}</summary>
      <Pairs list={list} />
    </details>
  );
}

export function Way({ overview, go }: { overview: Overview | null; go: (path: string[]) => void }) {
  const path = overview?.path ?? [];
  const steps = crumbs(overview?.title ?? "", path, overview?.steps ?? []);
  return (
    <nav class="rain-crumbs" aria-label="Path" hidden={!path.length}>
      {path.length > 0 && (
        <>
          <Button title="To the folder that this is in" click={() => go(parent(path))}>
            ↑
          </Button>
          <ol>
            {steps.slice(0, -1).map((step) => (
              <li>
                <button type="button" class="rain-crumb" onClick={() => go(step.path)}>
                  {step.name}
                </button>
              </li>
            ))}
            <li aria-current="page">{steps.at(-1)?.name}</li>
          </ol>
        </>
      )}
    </nav>
  );
}

// The view of this name is offered by a button of its own, since it runs code.
const BY_CLICK_ONLY = "value";

export function Switches({ inspection, turn }: { inspection: InspectionAnswer | null; turn: (view: string) => void }) {
  const { page, views } = inspection ?? { page: null, views: [] };
  const view: string = page?.view ?? "";
  const offered = views.filter((name) => name !== BY_CLICK_ONLY || name === view);
  if (!offered.includes(view)) offered.push(view);
  return (
    <div class="rain-switch" role="group" aria-label="View" hidden={offered.length < 2}>
      {offered.map((name) => (
        <button key={name} type="button" class="rain-button" aria-pressed={name === view} onClick={() => turn(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}
