import assert from "node:assert/strict";
import { test } from "node:test";
import { places } from "./places.js";

test("places in cells are found, those of other notebooks and files are not", () => {
  const text = "in Cell In[3], line 6 and\n  Cell In[12] line 1, in f\nCell In[4] of other.ipynb, line 2; File x.py, line 3";
  assert.deepEqual(
    places(text).map((part) => (typeof part === "string" ? part : [part.cell, part.line])),
    ["in ", [3, 6], " and\n  ", [12, 1], ", in f\nCell In[4] of other.ipynb, line 2; File x.py, line 3"],
  );
  assert.equal(places(text).map((part) => (typeof part === "string" ? part : part.text)).join(""), text);
  assert.deepEqual(places(""), []);
});
