// A folder: its entries with sizes. Folders open in place, a file opens instead of it.

import { useRef, useState } from "preact/hooks";
import { count, many } from "../format.js";
import type { Entry, DirectoryPage } from "../protocol.js";
import type { Scope, ViewProps } from "./viewing.js";

const TYPED_MS = 200;

export function DirectoryView({ scope, page }: ViewProps<DirectoryPage>) {
  const [found, setFound] = useState({ page, named: "" });
  const soon = useRef<ReturnType<typeof setTimeout>>(undefined);
  const asked = useRef(0);
  const look = (named: string) => {
    clearTimeout(soon.current);
    soon.current = setTimeout(() => {
      const number = ++asked.current;
      void listing(scope, scope.path, 0, named).then((next) => next && number === asked.current && setFound({ page: next, named }));
    }, TYPED_MS);
  };
  const { named } = found;
  return (
    <div class="rain-view">
      <div class="rain-view-bar">
        {!page.unsorted && page.total > 0 && (
          <input
            class="rain-input"
            type="search"
            placeholder="filter names"
            aria-label="Filter by name"
            onInput={(event) => look(event.currentTarget.value)}
          />
        )}
        <span class="rain-muted rain-push" role="status">
          {named ? `${count(found.page.total)} of ${many(page.total, "entry", "entries")}` : many(page.total, "entry", "entries")}
        </span>
      </div>
      <div class="rain-files-box">
        {found.page.total ? (
          <Files key={named} scope={scope} path={scope.path} first={found.page} named={named} />
        ) : (
          <div class="rain-empty">{named ? "No name contains this." : "(empty)"}</div>
        )}
      </div>
    </div>
  );
}

async function listing(scope: Scope, path: string[], offset: number, named = ""): Promise<DirectoryPage | null> {
  try {
    const page = await scope.list(path, offset, named);
    scope.trouble(null);
    return page;
  } catch (error) {
    scope.trouble(error);
    return null;
  }
}

// The entries of a folder as far as they were asked for, and a way to the next page.
function Files({ scope, path, first, named = "" }: { scope: Scope; path: string[]; first: DirectoryPage; named?: string }) {
  const [pages, setPages] = useState([first]);
  const last = pages.at(-1) ?? first;
  const end = last.offset + last.entries.length;
  const more = async () => {
    const next = await listing(scope, path, end, named);
    if (next) setPages((before) => (before.includes(last) && before.at(-1) === last ? [...before, next] : before));
  };
  return (
    <ul class="rain-files">
      {pages.flatMap(({ entries }) => entries).map((entry) => (
        <Line key={entry.name} scope={scope} path={[...path, entry.name]} entry={entry} />
      ))}
      {!first.total && <li class="rain-muted rain-file">(empty)</li>}
      {end < last.total && last.entries.length > 0 && (
        <li>
          <button type="button" class="rain-file rain-more" onClick={() => void more()}>
            {`${count(last.total - end)} more…`}
          </button>
        </li>
      )}
    </ul>
  );
}

interface LineProps {
  scope: Scope;
  path: string[];
  entry: Entry;
}

function Line({ scope, path, entry }: LineProps) {
  if (entry.kind === "dir") return <Folder scope={scope} path={path} entry={entry} />;
  if (entry.kind === "link") {
    return (
      <li>
        <div class="rain-file">
          <Twisty mark="↪" />
          <Name entry={entry} />
          <span class="rain-muted">{`→ ${entry.target ?? "?"}`}</span>
          <Size entry={entry} />
        </div>
      </li>
    );
  }
  return (
    <li>
      <button type="button" class="rain-file" onClick={() => scope.open(path)}>
        <Twisty mark="" />
        <Name entry={entry} />
        <Size entry={entry} />
      </button>
    </li>
  );
}

function Folder({ scope, path, entry }: LineProps) {
  const [open, setOpen] = useState(false);
  const [first, setFirst] = useState<DirectoryPage | null>(null);
  const toggle = async () => {
    if (!open && !first) {
      const page = await listing(scope, path, 0);
      if (!page) return;
      setFirst(page);
    }
    setOpen(!open);
  };
  return (
    <li>
      <button type="button" class="rain-file" aria-expanded={open} onClick={() => void toggle()}>
        <Twisty mark={open ? "▾" : "▸"} />
        <Name entry={entry} />
        <Size entry={entry} />
      </button>
      {first && (
        <div hidden={!open}>
          <Files scope={scope} path={path} first={first} />
        </div>
      )}
    </li>
  );
}

function Twisty({ mark }: { mark: string }) {
  return (
    <span class="rain-twisty" aria-hidden="true">
      {mark}
    </span>
  );
}

function Name({ entry: { kind, name, text } }: { entry: Entry }) {
  return <span class="rain-file-name">{`${text ?? name}${kind === "dir" ? "/" : ""}`}</span>;
}

function Size({ entry: { size, size_text } }: { entry: Entry }) {
  return (
    <span class="rain-muted rain-num" title={typeof size === "number" ? `${count(size)} bytes` : undefined}>
      {size_text}
    </span>
  );
}
