// Small pieces of views.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { named } from "../dom.js";
import type { SessionStore } from "../store.js";

interface ButtonProps {
  title: string;
  click: () => void;
  kind?: string;
  hidden?: boolean;
  disabled?: boolean;
  pressed?: boolean;
  children: ComponentChildren;
}

export function Button({ title, click, kind = "", hidden, disabled, pressed, children }: ButtonProps) {
  return (
    <button
      type="button"
      class={`rain-button ${kind}`.trim()}
      title={title}
      hidden={hidden}
      disabled={disabled}
      {...named(title, children)}
      aria-pressed={pressed}
      onClick={click}
    >
      {children}
    </button>
  );
}

// The mark of a state in its colours.
export function Swatch({ store, state, titled = false }: { store: SessionStore; state: string; titled?: boolean }) {
  const look = store.look(state);
  return (
    <span class="rain-swatch" data-s={state} title={titled ? look.word : undefined}>
      {look.mark}
    </span>
  );
}

// A place for an element that was made without components.
export function Mounted({ element }: { element: Element }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    place.current?.replaceChildren(element);
  }, [element]);
  return <div class="rain-mounted" ref={place} />;
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
