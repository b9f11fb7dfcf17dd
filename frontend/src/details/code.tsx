// Texts about code: cells that they name are links to these, and they can be copied.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../components/parts.js";
import { copyText } from "../dom.js";
import { showCell } from "../jupyter-quirks.js";
import { useDetails } from "./context.js";
import { places } from "./places.js";

const TOLD_MS = 1500;

// The text, in which each place in a cell of this notebook is a button that goes there.
export function Places({ text }: { text: string }) {
  const { store } = useDetails();
  if (!store.live) return <>{text}</>;
  return <>{places(text).map((part) => (typeof part === "string" ? part : <Place key={part.at} {...part} />))}</>;
}

function Place({ text, cell, line }: { text: string; cell: number; line: number }) {
  const [lost, setLost] = useState(false);
  return (
    <button
      type="button"
      class="rain-place"
      title={lost ? "No cell on this page has this number now." : "Go to the cell"}
      disabled={lost}
      onClick={(event) => setLost(!showCell(event.currentTarget, cell, line))}
    >
      {text}
    </button>
  );
}

// Something with a button that copies its text.
export function Copied({ text, children }: { text: string; children: ComponentChildren }) {
  const [told, setTold] = useState("");
  const tell = (word: string) => {
    setTold(word);
    setTimeout(() => setTold(""), TOLD_MS);
  };
  return (
    <div class="rain-copied">
      {children}
      <Button kind="rain-copy" title="Copy the text" click={() => void copyText(text).then(() => tell("Copied"), () => tell("The browser says no"))}>
        {told || "Copy"}
      </Button>
    </div>
  );
}
