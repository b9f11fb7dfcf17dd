// Pools on engines: a box for each place, kept as they are by what the kernel tells of each change.

import type { RefObject } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useRedraw } from "../components/hooks.js";
import { errorText } from "../components/parts.js";
import { Refresher } from "../components/refresher.js";
import { count } from "../format.js";
import type { OrphanPicture } from "../orphan-picture.js";
import type { Attached, Port } from "../port.js";
import type { Pools } from "../protocol.js";
import { mountShell } from "../shell.js";
import { injectLooks } from "../theme.js";
import { Pool } from "./pool.js";

const LOADS_MS = 2000;
const AGAIN_MS = 5000; // after a request that failed
const TICK_MS = 1000;

export function attachPools(port: Port, picture: OrphanPicture): Attached {
  return {
    mount: (host) =>
      mountShell(host, {
        kind: "rain-card rain-pools-alone",
        attributes: { "aria-label": "Places on engines" },
        view: () => <PoolsPart port={port} picture={picture} />,
      }),
  };
}

interface PartProps {
  port: Port;
  picture?: OrphanPicture;
}

// The pools of a widget; nothing if there are none.
export function PoolsPart({ port, picture }: PartProps) {
  const element = useRef<HTMLDivElement>(null);
  const { pools, trouble, ahead } = usePools(port, element, picture);
  const now = useNow(ahead, pools?.pools.some(({ boxes }) => boxes.some((box) => box.ends_at !== null)) ?? false);
  useLayoutEffect(() => {
    if (pools && element.current) injectLooks(element.current, pools.looks, "places");
  }, [pools?.looks]);
  return (
    <div class="rain-pools" ref={element}>
      {pools?.pools.map((pool) => (
        <Pool key={pool.key} port={port} pool={pool} looks={pools.looks} now={now} />
      ))}
      {pools && pools.more > 0 && <div class="rain-muted">{`and ${count(pools.more)} more pools`}</div>}
      <div class="rain-muted rain-card-why" role="status">
        {trouble}
      </div>
    </div>
  );
}

interface Known {
  pools: Pools | null;
  trouble: string;
  // How many seconds the kernel's clock is ahead of the page's.
  ahead: number;
}

// Changes come by themselves; loads of governors are asked for while the element is seen.
function usePools(port: Port, element: RefObject<HTMLElement | null>, picture: OrphanPicture | undefined): Known {
  const [known, setKnown] = useState<Known>({ pools: null, trouble: "", ahead: 0 });
  useLayoutEffect(() => {
    let ended = false;
    const take = (pools: Pools) => {
      setKnown({ pools, trouble: "", ahead: pools.now - Date.now() / 1000 });
      picture?.renew(false);
    };
    const refresher: Refresher = new Refresher(async () => {
      if (ended) return;
      try {
        take((await port.request("pools")).data);
        refresher.touch();
      } catch (error) {
        if (!ended) setKnown((before) => ({ ...before, trouble: errorText(error) }));
        refresher.later(AGAIN_MS);
      }
    }, LOADS_MS);
    const offs = [
      port.on("pools", take),
      port.on("lost", () => {
        ended = true;
        setKnown((before) => ({ ...before, trouble: "The kernel that showed this has gone." }));
      }),
    ];
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) refresher.show();
      else refresher.hide();
    });
    if (element.current) observer.observe(element.current);
    return () => {
      observer.disconnect();
      for (const off of offs) off();
      refresher.dispose();
    };
  }, [port]);
  return known;
}

// The kernel's time; the component is drawn again each second while something is counted down.
function useNow(ahead: number, ticking: boolean): number {
  const redraw = useRedraw();
  useLayoutEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => {
      if (!document.hidden) redraw();
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [ticking]);
  return useMemo(() => () => Date.now() / 1000 + ahead, [ahead])();
}
