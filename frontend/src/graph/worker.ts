// Runs in the page's one Web Worker. It gets DOT and answers with the part of Graphviz' JSON that has coordinates.
// Graphviz is WebAssembly inside this very file.

import { Graphviz } from "@hpcc-js/wasm-graphviz";
import type { DotEdge, DotLayout, DotObject } from "../protocol.js";

const graphviz = Graphviz.load();

const objectOf = ({ _gvid, name, pos, width, height, bb }: DotObject): DotObject => ({ _gvid, name, pos, width, height, bb });
const edgeOf = ({ _gvid, tail, head, pos, lp, style }: DotEdge): DotEdge => ({ _gvid, tail, head, pos, lp, style });

self.onmessage = async (event: MessageEvent<{ id: number; dot: string }>) => {
  const { id, dot } = event.data;
  try {
    const { bb, objects = [], edges = [] } = JSON.parse((await graphviz).layout(dot, "json0" as never, "dot")) as DotLayout;
    const layout: DotLayout = { bb, objects: objects.map(objectOf), edges: edges.map(edgeOf) };
    self.postMessage({ id, layout });
  } catch (error) {
    self.postMessage({ id, error: String(error instanceof Error ? error.message : error) });
  }
};
