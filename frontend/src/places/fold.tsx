// Many places of which the same is to be said: one line, which opens.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button, errorText } from "../components/parts.js";
import { Refresher } from "../components/refresher.js";
import { count } from "../format.js";
import type { Port } from "../port.js";
import type { Look, PlaceBox, PlaceFold, PoolBox } from "../protocol.js";
import { Place } from "./place.js";

const PAUSE_MS = 500;

interface FoldProps {
  port: Port;
  pool: PoolBox;
  fold: PlaceFold;
  looks: Record<string, Look>;
  now: number;
  giveUp: (number: number) => void;
}

export function Fold({ port, pool, fold, looks, now, giveUp }: FoldProps) {
  const [open, setOpen] = useState(false);
  const look = looks[fold.state];
  return (
    <div class="rain-fold" data-s={fold.state}>
      <button type="button" class="rain-fold-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="rain-swatch" aria-hidden="true">
          {look?.mark}
        </span>
        <strong>{`${count(fold.count)} ×`}</strong>
        <span>{look?.word ?? fold.state}</span>
        <span class="rain-muted rain-fold-words">{fold.words}</span>
        <span class="rain-push" aria-hidden="true">
          {open ? "▾" : "▸"}
        </span>
      </button>
      {open && <Rows port={port} pool={pool} fold={fold} looks={looks} now={now} giveUp={giveUp} />}
    </div>
  );
}

function Rows({ port, pool, fold, looks, now, giveUp }: FoldProps) {
  const [rows, setRows] = useState<PlaceBox[]>([]);
  const [total, setTotal] = useState(0);
  const [trouble, setTrouble] = useState("");
  const [wanted, setWanted] = useState(1);
  const work = useRef<() => Promise<void>>(async () => undefined);
  const refresher = useRef<Refresher | null>(null);
  work.current = async () => {
    try {
      const found: PlaceBox[] = [];
      for (let known = wanted; found.length < known; ) {
        const { data } = await port.request("places", { pool: pool.key, fold: fold.key, offset: found.length });
        found.push(...data.rows);
        known = Math.min(wanted, data.total);
        setTotal(data.total);
        if (!data.rows.length) break;
      }
      setRows(found);
      setTrouble("");
    } catch (error) {
      setTrouble(errorText(error));
    }
  };
  useLayoutEffect(() => {
    refresher.current = new Refresher(() => work.current(), PAUSE_MS);
    refresher.current.show();
    return () => refresher.current?.dispose();
  }, []);
  // What the kernel tells of the pool may concern these places.
  useLayoutEffect(() => refresher.current?.touch(), [pool, wanted]);
  return (
    <>
      <div class="rain-bad" role="alert">
        {trouble}
      </div>
      <ul class="rain-sites">
        {rows.map((box) => (
          <Place key={box.number} box={box} looks={looks} now={now} giveUp={giveUp} />
        ))}
      </ul>
      {total > rows.length && rows.length > 0 && (
        <Button title="show further ones" click={() => setWanted(rows.length + 1)}>
          {`${count(total - rows.length)} more`}
        </Button>
      )}
    </>
  );
}
