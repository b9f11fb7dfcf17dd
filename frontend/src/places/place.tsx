// One place: its state and why, its governor and load, how long it has left, and what it printed if it never came up.

import { Confirm } from "../components/confirm.js";
import { Gauge } from "../components/gauge.js";
import { hostOf } from "../format.js";
import type { Look, PlaceBox } from "../protocol.js";
import { left } from "./left.js";

interface PlaceProps {
  box: PlaceBox;
  looks: Record<string, Look>;
  now: number;
  giveUp: (number: number) => void;
}

export function Place({ box, looks, now, giveUp }: PlaceProps) {
  const { number, state, job, words, governor, load, cause, printed, wanted } = box;
  const look = looks[state];
  return (
    <li class="rain-site" data-s={state} data-place={number}>
      <div class="rain-site-head">
        <span class="rain-swatch" aria-hidden="true">
          {look?.mark}
        </span>
        <strong>{number}</strong>
        <span>{look?.word ?? state}</span>
        <span class="rain-muted rain-push">{left(box.ends_at, now)}</span>
      </div>
      {governor && (
        <div class="rain-ellipsis" title={governor}>
          {hostOf(governor)}
        </div>
      )}
      {load && <Gauge measure={{ ...load, label: "" }} />}
      {words && <div class="rain-muted rain-site-words">{words}</div>}
      {cause && <div class="rain-bad rain-site-words">{cause}</div>}
      {printed && (
        <pre class="rain-site-printed" tabIndex={0} aria-label={`what place ${number} printed last`}>
          {printed}
        </pre>
      )}
      <div class="rain-site-foot">
        <span class="rain-muted rain-ellipsis" title={`job ${job}`}>
          {/^\d/.test(job) ? `job ${job}` : job}
        </span>
        {wanted && (
          <Confirm
            text="Give up"
            title={`give up place ${number}`}
            question={governor ? "What runs there may finish, or runs again elsewhere." : "It is not waited for any more."}
            yes={`Give up place ${number}`}
            no="Keep it"
            dangerous
            act={() => giveUp(number)}
          />
        )}
      </div>
    </li>
  );
}
