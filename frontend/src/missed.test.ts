import assert from "node:assert/strict";
import { test } from "node:test";
import { missing } from "./missed.js";

test("only what is not shown is given back", () => {
  const parts: [string, string][] = [["stdout", "a\nb\n"], ["stderr", "x\n"], ["stdout", "c\nd\n"]];
  assert.deepEqual(missing(parts, {}), parts);
  assert.deepEqual(missing(parts, { stdout: "a\nown\nb\n", stderr: "x\n" }), [["stdout", "c\nd\n"]]);
  assert.deepEqual(missing(parts, { stdout: "own\na\nb\nc\n" }), [["stderr", "x\n"], ["stdout", "d\n"]]);
  assert.deepEqual(missing(parts, { stdout: "a\nb\nc\nd\n", stderr: "x\n" }), []);
  assert.deepEqual(missing([["stdout", "a\n"], ["stdout", "a\n"]], { stdout: "a\n" }), [["stdout", "a\n"]]);
});
