import assert from "node:assert/strict";
import { test } from "node:test";
import { sparkline } from "./sparkline.js";

test("a sparkline ends at the right edge", () => {
  assert.equal(sparkline([0, 1], 3, 100, 12), "50.0,11.0 100.0,1.0");
});
