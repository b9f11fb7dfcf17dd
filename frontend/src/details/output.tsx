// What a task has written: asked for again and again while it runs and the section is open.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { errorText } from "../components/parts.js";
import type { Output, TaskDetails } from "../protocol.js";
import { Copied } from "./code.js";
import { useDetails } from "./context.js";
import { Section } from "./pieces.js";

const PAUSE_MS = 1000;
const AT_END_PX = 4;

export function OutputSection({ task }: { task: TaskDetails }) {
  const { sections } = useDetails();
  const [open, setOpen] = useState(sections.get("output") ?? false);
  return (
    <Section title="output" toggled={setOpen}>
      <OutputText task={task} open={open} />
    </Section>
  );
}

function OutputText({ task, open }: { task: TaskDetails; open: boolean }) {
  const { store } = useDetails();
  const [output, setOutput] = useState<Output | string | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const { key, state } = task;
  useLayoutEffect(() => {
    if (!open) return;
    let on = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const put = (next: Output | string) => {
      if (!on) return;
      const pre = place.current?.querySelector("pre");
      atEnd.current = !pre || pre.scrollTop + pre.clientHeight >= pre.scrollHeight - AT_END_PX;
      setOutput(next);
    };
    const ask = async () => {
      try {
        put((await store.request("output", { key })).data);
      } catch (error) {
        put(errorText(error));
      }
      if (on && state === "running") timer = setTimeout(() => void ask(), PAUSE_MS);
    };
    void ask();
    return () => {
      on = false;
      clearTimeout(timer);
    };
  }, [key, state, open]);
  useLayoutEffect(() => {
    const pre = place.current?.querySelector("pre");
    if (pre && atEnd.current) pre.scrollTop = pre.scrollHeight;
  }, [output]);
  return (
    <div class="rain-output" ref={place}>
      {output === null && <div class="rain-muted">…</div>}
      {typeof output === "string" && output}
      {output !== null && typeof output === "object" && <Streams output={output} />}
    </div>
  );
}

function Streams({ output }: { output: Output }) {
  if (!output.stdout && !output.stderr) return <>it wrote nothing</>;
  return (
    <>
      {(["stdout", "stderr"] as const).map(
        (name) =>
          output[name] && (
            <div key={name}>
              <div class="rain-muted">{name}</div>
              <Copied text={output[name]}>
                <pre class="rain-pre" data-stream={name}>
                  {output[name]}
                </pre>
              </Copied>
            </div>
          ),
      )}
    </>
  );
}
