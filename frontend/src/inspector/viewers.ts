// A component for each view. To add one: its page in rain/notebook/protocol/data.py, its viewer in
// rain/notebook/inspectors, its component, and a line here, without which the types do not fit any more.

import { DirectoryView } from "./directory.js";
import { HexView } from "./hex.js";
import { ImageView } from "./image.js";
import { PickleView } from "./pickle.js";
import { PreviewView } from "./preview.js";
import { TableView } from "./table.js";
import { TextView } from "./text.js";
import { TreeView } from "./tree.js";
import { ValueView } from "./value.js";
import type { Viewers } from "./viewing.js";

export const VIEWERS: Viewers = {
  text: TextView,
  hex: HexView,
  tree: TreeView,
  table: TableView,
  image: ImageView,
  directory: DirectoryView,
  pickle: PickleView,
  value: ValueView,
  preview: PreviewView,
};
