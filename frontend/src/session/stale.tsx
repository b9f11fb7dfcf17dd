// Results whose function was edited since: how many, and to run them again, once it is told what that takes.

import { useLayoutEffect, useState } from "preact/hooks";
import { Confirm } from "../components/confirm.js";
import { useStore } from "../components/hooks.js";
import { errorText } from "../components/parts.js";
import { many } from "../format.js";
import type { Stale } from "../protocol.js";
import type { SessionStore } from "../store.js";

const SOON_MS = 300;

export function StaleChip({ store }: { store: SessionStore }) {
  const { stale } = store.summary;
  if (!stale) return null;
  return (
    <span class="rain-chip rain-stale-chip" title="their function, or one before it, was edited since">
      {many(stale, "stale task")}
    </span>
  );
}

export function StaleBar({ store }: { store: SessionStore }) {
  useStore(store, (change) => change.everything || change.summary || change.session);
  const plan = usePlan(store);
  const [trouble, setTrouble] = useState("");
  if (store.session.state !== "open" || !store.summary.stale || !(plan?.offer || trouble)) return null;
  const run = () => {
    setTrouble("");
    store.request("rerun").catch((error: unknown) => setTrouble(errorText(error)));
  };
  return (
    <div class="rain-stale" role="status">
      {plan?.offer && (
        <Confirm
          text={`⟳ ${capital(plan.offer)}`}
          title="make them anew with the functions as they are now"
          question={[capital(plan.offer), ...plan.lines].map((line) => (
            <span class="rain-stale-line">{line}</span>
          ))}
          yes="Run them again"
          no="Not now"
          act={run}
        />
      )}
      {trouble && <span class="rain-bad">{trouble}</span>}
    </div>
  );
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// What the kernel says it takes, asked again when something may have changed it.
function usePlan(store: SessionStore): Stale | null {
  const [plan, setPlan] = useState<Stale | null>(null);
  const { stale, tasks } = store.summary;
  const open = store.session.state === "open";
  const about = `${stale} ${JSON.stringify(tasks)}`;
  useLayoutEffect(() => {
    if (!stale || !open) return setPlan(null);
    let on = true;
    const timer = setTimeout(() => {
      store.request("stale").then(
        ({ data }) => on && setPlan(data),
        () => undefined,
      );
    }, SOON_MS);
    return () => {
      on = false;
      clearTimeout(timer);
    };
  }, [store, about, open]);
  return plan;
}
