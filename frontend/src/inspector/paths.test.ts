import assert from "node:assert/strict";
import { test } from "node:test";
import { crumbs, parent, safeName } from "./paths.js";
import { target } from "./jump.js";

test("the way to what is inside", () => {
  assert.deepEqual(crumbs("out", ["a", "b"], ["A", "b"]), [
    { name: "out", path: [] },
    { name: "A", path: ["a"] },
    { name: "b", path: ["a", "b"] },
  ]);
  assert.deepEqual(parent(["a", "b"]), ["a"]);
  assert.deepEqual(parent([]), []);
});

test("names to save under", () => {
  assert.equal(safeName("model.csv"), "model.csv");
  assert.equal(safeName("../../etc/passwd"), "_.._etc_passwd");
  assert.equal(safeName("a\u202egpj.exe"), "a_gpj.exe");
  assert.equal(safeName('x<y>:"?*|\\\n'), "x_y________");
  assert.equal(safeName("..."), "data");
  assert.equal(safeName(""), "data");
  assert.equal(safeName("CON.txt"), "_CON.txt");
  assert.equal(safeName("größe 1.csv"), "größe 1.csv");
  const long = safeName(`${"é".repeat(300)}.parquet`);
  assert.equal(long.length, 120);
  assert.ok(long.endsWith(".parquet"));
  assert.doesNotThrow(() => encodeURIComponent(safeName(`a${"😀".repeat(100)}`)), "no half of a character");
});

test("where to jump in bytes", () => {
  assert.equal(target("1,234", 10_000), 1234);
  assert.equal(target("0x10", 10_000), 16);
  assert.equal(target("50%", 10_000), 5000);
  assert.equal(target("100 %", 10_000), 9999);
  assert.equal(target("99999", 10_000), 9999);
  assert.equal(target("abc", 10_000), null);
  assert.equal(target("", 10_000), null);
});
