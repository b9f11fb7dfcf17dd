import assert from "node:assert/strict";
import { test } from "node:test";
import { visible } from "./format.js";

test("names show what is in them", () => {
  assert.equal(visible("plain ß 日本 🙂"), "plain ß 日本 🙂");
  assert.equal(visible("a\u202egnp.exe\u2066\n\x1b\u2028"), "a\\u202egnp.exe\\u2066\\x0a\\x1b\\u2028");
});
