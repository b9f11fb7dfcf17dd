// Runs in the page's one Web Worker: DOT in, geometry out. Graphviz is WebAssembly inside this very file.

import { Graphviz } from "@hpcc-js/wasm-graphviz";
import { geometry, type DotOutput } from "./geometry.js";

const graphviz = Graphviz.load();

self.onmessage = async (event: MessageEvent<{ id: number; dot: string }>) => {
  const { id, dot } = event.data;
  try {
    const text = (await graphviz).layout(dot, "json0" as never, "dot");
    self.postMessage({ id, geometry: geometry(JSON.parse(text) as DotOutput) });
  } catch (error) {
    self.postMessage({ id, error: String(error instanceof Error ? error.message : error) });
  }
};
