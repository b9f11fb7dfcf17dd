// The details of an object, with its inspector.

import { useMemo } from "preact/hooks";
import { hostOf } from "../format.js";
import { Inspector } from "../inspector/index.js";
import type { ObjectDetails } from "../protocol.js";
import { useDetails } from "./context.js";
import { Facts, Links, Values } from "./pieces.js";

export function ObjectBody({ object }: { object: ObjectDetails }) {
  const { store } = useDetails();
  const { key } = object;
  const kernel = useMemo(() => store.inspected(key), [key]);
  return (
    <>
      <Facts
        facts={{
          state: store.look(object.state).word + (object.kept ? ", kept" : ""),
          content: object.content_type,
          data: object.data_type,
          size: object.size,
          "held by": [...new Set(object.holders.map(hostOf))].join(", "),
          digest: object.digest,
        }}
      />
      {object.maker && <Links title="made by" links={[object.maker]} />}
      <Links title="used by" links={object.users} />
      <Values title="spec.user" value={object.spec_user} />
      <Values title="info.user" value={object.info_user} />
      {object.can_inspect && <Inspector kernel={kernel} />}
      {!object.can_inspect && object.why_not && <div class="rain-muted">{object.why_not}</div>}
    </>
  );
}
