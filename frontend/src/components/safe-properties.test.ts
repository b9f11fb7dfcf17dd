import assert from "node:assert/strict";
import { test } from "node:test";
import { h } from "preact";
import "./safe-properties.js";

test("no element is given what could act", () => {
  for (const name of ["dangerouslySetInnerHTML", "innerHTML", "srcdoc", "src", "href", "xlinkHref", "formAction"]) {
    assert.throws(() => h("p", { [name]: "x" } as never), /is not given/, name);
  }
  assert.throws(() => h("p", { onclick: "alert(1)" } as never), /is not a text/);
  assert.throws(() => h("p", { style: "background: url(x)" } as never), /is not a text/);
  h("p", { onClick: () => undefined, style: { width: "3px" }, title: "<b>" });
});
