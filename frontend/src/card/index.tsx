// The card of a client: where it is connected, what it finds there.

import { useLayoutEffect, useState } from "preact/hooks";
import { Gauges } from "../components/gauge.js";
import { errorText } from "../components/parts.js";
import { Refresher } from "../components/refresher.js";
import { count, governorName, many } from "../format.js";
import type { OrphanPicture } from "../orphan-picture.js";
import { PoolsPart } from "../places/index.js";
import type { Attached, Port } from "../port.js";
import type { Card, Governor, SessionLine } from "../protocol.js";
import { mountShell } from "../shell.js";

const PAUSE_MS = 2000;
const GOVERNORS_SHOWN_MAX = 16;
const SESSIONS_SHOWN_MAX = 20;

const MARKS: Record<string, string> = {
  new: "·",
  "not run": "–",
  waiting: "…",
  ready: "◔",
  running: "▶",
  finished: "✓",
  failed: "✗",
  cancelled: "⊘",
};

// What the card says above its parts: `look` colours it.
interface Standing {
  look: "connected" | "closed" | "lost" | undefined;
  word: string;
  why: string;
}

export function attachCard(port: Port, picture: OrphanPicture): Attached {
  return {
    mount: (host) =>
      mountShell(host, {
        kind: "rain-card",
        attributes: { "aria-label": "Rain client" },
        view: (root) => <CardView port={port} picture={picture} root={root} />,
      }),
  };
}

function CardView({ port, picture, root }: { port: Port; picture: OrphanPicture; root: HTMLElement }) {
  const { card, standing } = useCard(port, picture, root);
  useLayoutEffect(() => {
    if (standing.look) root.dataset["state"] = standing.look;
  }, [standing.look]);
  const connected = card?.state === "connected";
  return (
    <>
      <div class="rain-card-head">
        <span class="rain-card-title">Rain</span>
        <span class="rain-card-word" role="status">
          {standing.word}
        </span>
      </div>
      <dl class="rain-card-facts">
        {card &&
          facts(card).map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </>
          ))}
      </dl>
      <div class="rain-muted rain-card-why">{standing.why}</div>
      {connected && <Governors governors={card.governors} />}
      {connected && <PoolsPart port={port} />}
      {connected && <Sessions sessions={card.sessions} />}
    </>
  );
}

function facts(card: Card): [string, string][] {
  const cpus = card.governors.reduce((sum, { cpus: some }) => sum + some, 0);
  const known: [string, string][] = [
    ["address", card.address],
    ["dashboard", card.http],
    ["version", card.version],
    ["cpus", cpus ? count(cpus) : ""],
  ];
  return known.filter(([, value]) => value);
}

function More({ hidden }: { hidden: number }) {
  return hidden > 0 ? <div class="rain-muted">{`and ${count(hidden)} more`}</div> : null;
}

function Governors({ governors }: { governors: Governor[] }) {
  const shown = governors.slice(0, GOVERNORS_SHOWN_MAX);
  const ids = governors.map(({ id }) => id);
  return (
    <section class="rain-card-part">
      <h4>{many(governors.length, "governor")}</h4>
      <Gauges measures={shown.map(({ id, brief }) => ({ ...brief, label: governorName(id, ids) }))} />
      <More hidden={governors.length - shown.length} />
    </section>
  );
}

function Sessions({ sessions }: { sessions: SessionLine[] }) {
  const shown = sessions.slice(0, SESSIONS_SHOWN_MAX);
  return (
    <section class="rain-card-part">
      <h4>{many(sessions.length, "session")}</h4>
      {shown.length > 0 && (
        <ul class="rain-card-sessions">
          {shown.map((session) => (
            <Session key={session.id} session={session} />
          ))}
        </ul>
      )}
      <More hidden={sessions.length - shown.length} />
    </section>
  );
}

function Session({ session: { id, name, persistent, tasks } }: { session: SessionLine }) {
  const counts = Object.entries(tasks).filter(([, number]) => number > 0);
  return (
    <li>
      <span class="rain-card-session">{name || `session ${id}`}</span>
      {name && <span class="rain-muted">{`#${id}`}</span>}
      {persistent && <span class="rain-muted">persistent</span>}
      <span class="rain-card-counts">
        {counts.map(([state, number]) => (
          <span key={state} class="rain-count" data-s={state} title={`${count(number)} ${state}`}>
            <span aria-hidden="true">{MARKS[state] ?? ""}</span>
            {` ${count(number)} `}
            <span class="rain-count-word">{state}</span>
          </span>
        ))}
        {!counts.length && <span class="rain-muted">no tasks</span>}
      </span>
    </li>
  );
}

// Asks while the card is seen, until the client is closed or the kernel has gone.
function useCard(port: Port, picture: OrphanPicture, root: HTMLElement): { card: Card | null; standing: Standing } {
  const [card, setCard] = useState<Card | null>(null);
  const [standing, setStanding] = useState<Standing>({ look: undefined, word: "", why: "" });
  useLayoutEffect(() => {
    let ended = false;
    const refresher: Refresher = new Refresher(async () => {
      if (ended) return;
      try {
        const { data } = await port.request("card");
        setCard(data);
        setStanding(standingOf(data));
        ended = data.state !== "connected";
        picture.renew(false);
      } catch (error) {
        if (!ended) setStanding({ look: "lost", word: "no answer", why: errorText(error) });
      }
      if (!ended) refresher.touch();
    }, PAUSE_MS);
    const off = port.on("lost", () => {
      ended = true;
      setStanding({ look: "closed", word: "no kernel", why: "The kernel that showed this has gone." });
    });
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) refresher.show();
      else refresher.hide();
    });
    observer.observe(root);
    return () => {
      observer.disconnect();
      off();
      refresher.dispose();
    };
  }, [port]);
  return { card, standing };
}

function standingOf({ state }: Card): Standing {
  if (state === "connected") return { look: "connected", word: state, why: "" };
  if (state === "closed") return { look: "closed", word: "closed", why: "" };
  return { look: "lost", word: "lost", why: state };
}
