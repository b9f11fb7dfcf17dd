// The details of a group of tasks.

import { count, many } from "../format.js";
import { sortedCounts } from "../graph/labels.js";
import type { GroupDetails } from "../protocol.js";
import { useDetails } from "./context.js";
import { Act, Facts, LinkButton } from "./pieces.js";

const CANCELLABLE = ["waiting", "ready", "running"];

export function GroupBody({ group }: { group: GroupDetails }) {
  const { store } = useDetails();
  const { counts, key } = group;
  const framed = store.topology.frames.some((frame) => frame.key === key);
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  return (
    <>
      <div class="rain-row">
        {framed ? (
          <Act key="close" text="Close group" title="draw it as one node" type="close" of={key} />
        ) : (
          <Act key="open" text="Open group" title="draw what is inside" type="open" of={key} />
        )}
        {store.live && ((counts["failed"] ?? 0) > 0 || (counts["not run"] ?? 0) > 0) && <Act text="↻ Retry failed" title="run its failed tasks once more" type="retry" of={key} />}
        {store.live && CANCELLABLE.some((state) => counts[state]) && (
          <Act text="Cancel tasks" title="cancel its unfinished tasks" type="cancel" of={key} kind="rain-danger" />
        )}
      </div>
      <Facts facts={{ tasks: many(total, "task"), objects: many(group.objects, "object"), "all took": group.took }} />
      <Facts facts={Object.fromEntries(sortedCounts(counts).map(([state, n]) => [store.look(state).word, count(n)]))} />
      {group.failed.length > 0 && (
        <div>
          <h4>failed</h4>
          <ul class="rain-links">
            {group.failed.map((one) => (
              <li>
                <LinkButton link={{ ...one, state: "failed" }} />
                {one.error && <div class="rain-bad rain-small">{one.error}</div>}
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}
