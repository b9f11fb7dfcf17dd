// One pool: how many places are in which state, a box for each, and how many there shall be.

import { useState } from "preact/hooks";
import { Confirm } from "../components/confirm.js";
import { Button, errorText } from "../components/parts.js";
import { count, many } from "../format.js";
import type { Port } from "../port.js";
import type { Look, PoolBox } from "../protocol.js";
import { Fold } from "./fold.js";
import { Place } from "./place.js";

interface PoolProps {
  port: Port;
  pool: PoolBox;
  looks: Record<string, Look>;
  now: number;
}

export function Pool({ port, pool, looks, now }: PoolProps) {
  const [said, setSaid] = useState("");
  const [trouble, setTrouble] = useState("");
  const act = (done: Promise<unknown>, words: string) => {
    setSaid("asking the engine …");
    setTrouble("");
    done.then(
      () => setSaid(words),
      (error: unknown) => {
        setSaid("");
        setTrouble(errorText(error));
      },
    );
  };
  const giveUp = (number: number) => act(port.request("giveup", { pool: pool.key, number }), `place ${number} is given up`);
  return (
    <section class="rain-card-part rain-pool" aria-label={`Places on ${pool.name}`}>
      <div class="rain-pool-head">
        <h4>{`Places on ${pool.name}`}</h4>
        {pool.id && (
          <span class="rain-muted rain-small" title="what rain pool calls it">
            {pool.id}
          </span>
        )}
        <span class="rain-chips" role="status">
          {Object.entries(pool.counts).map(([state, number]) => (
            <span key={state} class="rain-chip" data-s={state}>
              {`${count(number)} `}
              <i>{looks[state]?.word ?? state}</i>
            </span>
          ))}
          {!Object.keys(pool.counts).length && <span class="rain-muted">none was asked for</span>}
        </span>
        {pool.adapts && <span class="rain-word">elastic</span>}
        {pool.closed ? (
          <span class="rain-word">closed</span>
        ) : (
          <Scale pool={pool} act={(places) => act(port.request("scale", { pool: pool.key, count: places }), `${many(places, "place")} asked for`)} />
        )}
      </div>
      {pool.rules && <div class="rain-muted rain-small">{pool.rules}</div>}
      <div class="rain-muted rain-small" role="status">
        {said}
      </div>
      <div class="rain-bad rain-pool-trouble" role="alert">
        {trouble || pool.trouble}
      </div>
      <ul class="rain-sites">
        {pool.boxes.map((box) => (
          <Place key={box.number} box={box} looks={looks} now={now} giveUp={giveUp} />
        ))}
      </ul>
      {pool.folds.map((fold) => (
        <Fold key={fold.key} port={port} pool={pool} fold={fold} looks={looks} now={now} giveUp={giveUp} />
      ))}
    </section>
  );
}

function Scale({ pool, act }: { pool: PoolBox; act: (places: number) => void }) {
  const [typed, setTyped] = useState<string | null>(null);
  const text = typed ?? String(pool.wanted);
  const places = /^\d{1,7}$/.test(text) ? Number(text) : -1;
  const fits = places >= 0 && places <= pool.most;
  const fewer = pool.wanted - places;
  const scale = () => {
    setTyped(null);
    act(places);
  };
  const ends = pool.adapts ? "; it is not elastic any more" : "";
  const words = `Scale to ${fits ? count(places) : "…"}`;
  return (
    <span class="rain-scale">
      <input
        class="rain-input"
        type="number"
        min={0}
        max={pool.most}
        value={text}
        aria-label={`how many places on ${pool.name}`}
        aria-invalid={!fits}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault(); // or it would press the button that asks once more, which gets the focus
          if (!event.repeat) event.currentTarget.parentElement?.querySelector("button")?.click();
        }}
      />
      {fits && fewer > 0 ? (
        <Confirm
          key="fewer"
          text={words}
          title="give up places"
          question={`${many(fewer, "place")} will be given up: what waits first, then the youngest. What runs there may finish, or runs again elsewhere${ends}.`}
          yes={`Give up ${count(fewer)}`}
          no={`Keep ${count(pool.wanted)}`}
          dangerous
          act={scale}
        />
      ) : (
        <Button title={fits ? `ask for further places${ends}` : `from 0 to ${count(pool.most)}`} disabled={!fits || fewer === 0} click={scale}>
          {words}
        </Button>
      )}
    </span>
  );
}
