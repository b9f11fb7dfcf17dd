// The governors: what they have, what of it is used, and how that was in the last minute.

import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { Confirm } from "../components/confirm.js";
import { Gauges, Spark } from "../components/gauge.js";
import { errorText } from "../components/parts.js";
import { Refresher } from "../components/refresher.js";
import { governorName, many } from "../format.js";
import { PoolsPart } from "../places/index.js";
import type { Governor, Governors } from "../protocol.js";
import type { TabProps } from "../session/tabs.js";
import type { SessionStore } from "../store.js";

const PAUSE_MS = 1000;
const AGAIN_MS = 5000; // after a request that failed
const KEPT = 60; // values of the last minute

interface History {
  processor: number[];
  memory: number[];
}

interface Known {
  answer: Governors | null;
  trouble: string;
}

export function GovernorsPane({ store, shown }: TabProps) {
  const histories = useMemo(() => new Map<string, History>(), []);
  const { answer, trouble } = useGovernors(store, shown, histories);
  const [said, setSaid] = useState("");
  const kill = (id: string) => {
    setSaid("");
    store.request("kill", { governor: id }).then(
      () => setSaid(`${id} was killed: what it ran starts again, there or elsewhere`),
      (error: unknown) => setSaid(errorText(error)),
    );
  };
  return (
    <div class={trouble ? "rain-governors rain-outdated" : "rain-governors"}>
      <div class="rain-tab-bar">
        <div class="rain-muted">{answer && heading(answer)}</div>
      </div>
      <div class="rain-tab-note" role="status" hidden={!said}>
        {said}
      </div>
      <div class="rain-tab-note" role="alert" hidden={!trouble}>
        {trouble}
      </div>
      <div class="rain-tiles-box" tabIndex={0} role="region" aria-label="Governors">
        {store.live && <PoolsPart port={store.port} />}
        <ul class="rain-tiles">
          {answer?.governors.map((governor) => (
            <Tile key={governor.id} governor={governor} name={governorName(governor.id, answer.governors.map(({ id }) => id))} history={histories.get(governor.id)} kill={answer.private ? kill : null} />
          ))}
        </ul>
        <div class="rain-empty" hidden={!answer || answer.governors.length > 0}>
          There is no governor.
        </div>
      </div>
    </div>
  );
}

function heading({ address, version, governors }: Governors): string {
  const cpus = governors.reduce((sum, governor) => sum + governor.cpus, 0);
  const words = [many(governors.length, "governor"), many(cpus, "cpu")];
  if (address) words.push(`server ${address}`);
  if (version) words.push(`Rain ${version}`);
  return words.join(" · ");
}

interface TileProps {
  governor: Governor;
  name: string;
  history: History | undefined;
  kill: ((id: string) => void) | null;
}

function Tile({ governor, name, history, kill }: TileProps) {
  const { id, tasks, objects } = governor;
  return (
    <li class="rain-tile">
      <div class="rain-tile-head">
        <span class="rain-tile-name" title={id}>
          {name}
        </span>
        <span class="rain-muted">{`${many(tasks, "task")} · ${many(objects, "object")}`}</span>
      </div>
      {governor.leaves && <div class="rain-small">{`draining: ${governor.leaves}`}</div>}
      <Gauges measures={governor.measures} />
      <div class="rain-spark-box">
        <Spark
          slots={KEPT}
          series={[
            { name: "processor", values: history?.processor ?? [] },
            { name: "memory", values: history?.memory ?? [] },
          ]}
        />
        <div class="rain-spark-legend rain-muted" aria-hidden="true">
          <span class="rain-spark-key-0">processor</span>
          <span class="rain-spark-key-1" hidden={governor.memory === null}>
            memory
          </span>
          <span class="rain-push">last minute</span>
        </div>
      </div>
      {kill && (
        <Confirm
          text="Kill this governor"
          title="end its process, and watch how its work is done again"
          question="What it runs starts again; what it holds is kept for the governor that is started in its place. Tasks with rerun=never fail."
          yes="Kill it, watch it recover"
          no="Leave it"
          dangerous
          act={() => kill(id)}
        />
      )}
    </li>
  );
}

// Asks again and again while the tab is in front and the session goes on.
function useGovernors(store: SessionStore, shown: boolean, histories: Map<string, History>): Known {
  const [known, setKnown] = useState<Known>({ answer: null, trouble: "" });
  const refresher = useMemo(() => {
    const found: Refresher = new Refresher(async () => {
      try {
        const { data } = await store.request("governors");
        remember(histories, data.governors);
        setKnown({ answer: data, trouble: "" });
      } catch (error) {
        setKnown((before) => ({ ...before, trouble: errorText(error) }));
        found.later(AGAIN_MS);
        return;
      }
      // Loads change without an update of the session; when it has ended, one look is enough.
      if (store.session.state === "open" || store.session.state === "") found.touch();
    }, PAUSE_MS);
    return found;
  }, [store]);
  useLayoutEffect(() => {
    const off = store.subscribe((change) => {
      if (change.everything || change.session) refresher.touch();
    });
    return () => {
      off();
      refresher.dispose();
    };
  }, [refresher]);
  useLayoutEffect(() => {
    if (!shown) return refresher.hide();
    refresher.touch();
    refresher.show();
  }, [refresher, shown]);
  return known;
}

function remember(histories: Map<string, History>, governors: Governor[]): void {
  const present = new Set(governors.map(({ id }) => id));
  for (const id of histories.keys()) if (!present.has(id)) histories.delete(id);
  for (const governor of governors) {
    const history = histories.get(governor.id) ?? { processor: [], memory: [] };
    histories.set(governor.id, history);
    put(history.processor, governor.processor);
    put(history.memory, governor.memory);
  }
}

function put(values: number[], value: number | null): void {
  if (value === null) return;
  values.push(value);
  if (values.length > KEPT) values.shift();
}
