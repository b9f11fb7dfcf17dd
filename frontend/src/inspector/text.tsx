// Text, a page of bytes at a time.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { count } from "../format.js";
import type { TextPage } from "../protocol.js";
import { Jump } from "./jump.js";
import { TextPages } from "./text-pages.js";
import type { Scope, ViewProps } from "./viewing.js";

const ENCODINGS = ["utf-8", "latin-1", "cp1252", "ascii", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "gb18030", "euc-kr", "koi8-r"];

export function TextView({ scope, page: first }: ViewProps<TextPage>) {
  const pages = useTextPages(scope, first);
  const { page } = pages;
  const [wrapped, setWrapped] = useState(true);
  const text = useRef<HTMLPreElement>(null);
  useLayoutEffect(() => {
    if (text.current) text.current.scrollTop = 0;
  }, [page]);
  const whole = page.offset === 0 && page.end >= page.size;
  const encodings = ENCODINGS.includes(page.encoding) ? ENCODINGS : [page.encoding, ...ENCODINGS];
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        <Button title="The page before" hidden={whole} disabled={page.offset <= 0} click={() => void pages.back()}>
          ‹ Previous
        </Button>
        <Button title="The page after" hidden={whole} disabled={page.end >= page.size} click={() => void pages.forth()}>
          Next ›
        </Button>
        <Jump size={page.size} placeholder="byte or %" hidden={whole} go={(to) => void pages.jump(to)} />
        <select
          class="rain-input"
          aria-label="Encoding"
          value={page.encoding}
          onChange={(event) => {
            const { value } = event.currentTarget;
            event.currentTarget.value = page.encoding; // until the page has come
            void pages.decode(value);
          }}
        >
          {encodings.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <label class="rain-check">
          <input type="checkbox" checked={wrapped} onChange={(event) => setWrapped(event.currentTarget.checked)} />
          wrap lines
        </label>
        <span class="rain-muted rain-push" role="status">
          {whole ? page.size_text : `bytes ${count(page.offset)} – ${count(page.end)} of ${count(page.size)}`}
        </span>
      </div>
      <pre class={wrapped ? "rain-text rain-wrap" : "rain-text"} tabIndex={0} aria-label="Text" ref={text}>
        {page.text}
      </pre>
    </div>
  );
}

function useTextPages(scope: Scope, first: TextPage): TextPages<TextPage> {
  const [, setPage] = useState(first);
  return useMemo(
    () => new TextPages(first, (offset, encoding) => scope.ask<TextPage>({ offset, encoding }), setPage, scope.trouble),
    [],
  );
}
