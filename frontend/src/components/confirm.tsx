// A button that asks once more before it does something; the question says what will happen.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./parts.js";

interface ConfirmProps {
  text: string;
  title: string;
  kind?: string;
  question: ComponentChildren;
  yes: string;
  no: string;
  dangerous?: boolean;
  act: () => void;
}

export function Confirm({ text, title, kind = "", question, yes, no, dangerous, act }: ConfirmProps) {
  const [asked, setAsked] = useState(false);
  const place = useRef<HTMLSpanElement>(null);
  const before = useRef(false);
  useLayoutEffect(() => {
    // The button that had the focus is gone: the focus goes to what took its place.
    if (asked !== before.current) place.current?.querySelector<HTMLElement>("button")?.focus();
    before.current = asked;
  }, [asked]);
  const decide = (agreed: boolean) => {
    setAsked(false);
    if (agreed) act();
  };
  return (
    <span class="rain-confirm" ref={place}>
      {!asked && (
        <Button title={title} kind={kind} click={() => setAsked(true)}>
          {text}
        </Button>
      )}
      {asked && (
        <span class="rain-confirm-box" role="group" aria-label={title}>
          <span class="rain-question">{question}</span>
          <Button title={yes} kind={dangerous ? "rain-danger" : ""} click={() => decide(true)}>
            {yes}
          </Button>
          <Button title={no} click={() => decide(false)}>
            {no}
          </Button>
        </span>
      )}
    </span>
  );
}
