// All views that this page can draw. To add one: its component, a line here, and its viewer in rain/notebook/inspectors.

import { DirectoryView } from "./directory.js";
import { HexView } from "./hex.js";
import { ImageView } from "./image.js";
import { PickleView } from "./pickle.js";
import { TableView } from "./table.js";
import { TextView } from "./text.js";
import { TreeView } from "./tree.js";
import { ValueView } from "./value.js";
import type { Viewer } from "./viewing.js";

const VIEWERS: readonly Viewer[] = [
  { name: "text", View: TextView },
  { name: "hex", View: HexView },
  { name: "tree", View: TreeView },
  { name: "table", View: TableView },
  { name: "image", View: ImageView },
  { name: "directory", View: DirectoryView },
  { name: "pickle", View: PickleView },
  { name: "value", View: ValueView },
];

export function viewerOf(name: string): Viewer | undefined {
  return VIEWERS.find((viewer) => viewer.name === name);
}
