// Text, a page of bytes at a time.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { count } from "../format.js";
import type { TextPage } from "../protocol.js";
import { Jump } from "./jump.js";
import type { Scope, ViewProps } from "./viewing.js";

const ENCODINGS = ["utf-8", "latin-1", "cp1252", "ascii", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "gb18030", "euc-kr", "koi8-r"];

export function TextView({ scope, page: first }: ViewProps<TextPage>) {
  const { page, back, forth, jump, decode } = useTextPages(scope, first);
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
        <Button title="The page before" hidden={whole} disabled={page.offset <= 0} click={back}>
          ‹ Previous
        </Button>
        <Button title="The page after" hidden={whole} disabled={page.end >= page.size} click={forth}>
          Next ›
        </Button>
        <Jump size={page.size} placeholder="byte or %" hidden={whole} go={jump} />
        <select
          class="rain-input"
          aria-label="Encoding"
          value={page.encoding}
          onChange={(event) => {
            const { value } = event.currentTarget;
            event.currentTarget.value = page.encoding; // until the page has come
            decode(value);
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

interface TextPages {
  page: TextPage;
  back: () => void;
  forth: () => void;
  jump: (offset: number) => void;
  decode: (encoding: string) => void;
}

function useTextPages(scope: Scope, first: TextPage): TextPages {
  const [page, setPage] = useState(first);
  const encoding = useRef<string | null>(null);
  const busy = useRef(false);
  const before = useRef<number[]>([]); // where earlier pages began
  const go = async (offset: number, keep: boolean) => {
    if (busy.current) return;
    busy.current = true;
    try {
      const next = await scope.ask<TextPage>({ offset, encoding: encoding.current });
      if (keep) before.current.push(page.offset);
      scope.trouble(null);
      setPage(next);
    } catch (error) {
      scope.trouble(error);
    } finally {
      busy.current = false;
    }
  };
  return {
    page,
    back: () => void go(before.current.pop() ?? Math.max(0, page.offset - (page.end - page.offset)), false),
    forth: () => void go(page.end, true),
    jump: (offset) => void go(offset, true),
    decode: (name) => {
      encoding.current = name;
      void go(page.offset, false);
    },
  };
}
