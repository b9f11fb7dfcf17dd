import assert from "node:assert/strict";
import { test } from "node:test";
import { left } from "./left.js";

test("what is left is told to a second, and nothing where no end is known", () => {
  assert.equal(left(null, 100), "");
  assert.equal(left(7300.4, 100), "2 h 0 min left");
  assert.equal(left(190.9, 100), "90 s left");
  assert.equal(left(100.5, 100), "its time is over");
  assert.equal(left(40, 100), "its time is over");
});
