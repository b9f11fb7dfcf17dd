import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, visible } from "./format.js";

test("names show what is in them", () => {
  assert.equal(visible("plain ß 日本 🙂"), "plain ß 日本 🙂");
  assert.equal(visible("a\u202egnp.exe\u2066\n\x1b\u2028"), "a\\u202egnp.exe\\u2066\\x0a\\x1b\\u2028");
});

test("sizes are written as in texts of the kernel", () => {
  // The same values as of `size_text` in tests/unit/common/test_formatting.py.
  const written: [number, string][] = [
    [0, "0 bytes"],
    [1, "1 byte"],
    [1023, "1023 bytes"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [10 * 2 ** 30, "10.0 GiB"],
    [3 * 2 ** 40, "3.0 TiB"],
    [5000 * 2 ** 40, "5000.0 TiB"],
  ];
  for (const [size, text] of written) assert.equal(bytes(size), text);
  assert.equal(bytes(null), "");
});
