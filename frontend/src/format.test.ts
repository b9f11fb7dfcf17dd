import assert from "node:assert/strict";
import { test } from "node:test";
import { governorName, hostOf, seconds } from "./format.js";

// tests/unit/notebook/test_protocol.py reads this table and compares it with what the kernel writes.
const WRITTEN: [number, string][] = [
  [0, "0 s"],
  [0.0004, "< 1 ms"],
  [0.001, "1 ms"],
  [0.2504, "250 ms"],
  [0.9994, "999 ms"],
  [0.9996, "1.0 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.7, "60 s"],
  [119.4, "119 s"],
  [119.6, "2 min 0 s"],
  [179.7, "3 min 0 s"],
  [7199.4, "119 min 59 s"],
  [7199.6, "2 h 0 min"],
  [90061, "25 h 1 min"],
];

test("durations are written as the kernel writes them", () => {
  for (const [value, text] of WRITTEN) assert.equal(seconds(value), text);
  assert.equal(seconds(null), "");
});

test("governors are called by their hosts", () => {
  assert.deepEqual(["127.0.0.1:41000", "localhost:1", "[::1]:80", "node7:41000", "[fe80::1]:9", "10.0.0.3:7"].map(hostOf), [
    "this host", "this host", "this host", "node7", "[fe80::1]", "10.0.0.3",
  ]);
});

test("a governor is called by its host, and by its port too where that has several", () => {
  const all = ["127.0.0.1:41000", "node7:41000", "node7:41001", "node8:41000"];
  assert.deepEqual(all.map((one) => governorName(one, all)), ["this host", "node7 · 41000", "node7 · 41001", "node8"]);
});
