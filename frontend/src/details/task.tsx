// The details of a task.

import { useLayoutEffect, useState } from "preact/hooks";
import { clock, hostOf } from "../format.js";
import type { Source, TaskDetails } from "../protocol.js";
import { NOT_STARTED, type Reason, watchReason } from "../session/why.js";
import { Copied, Places } from "./code.js";
import { useDetails } from "./context.js";
import { OutputSection } from "./output.js";
import { ProgressOf } from "./progress.js";
import { Act, Facts, hasContent, LinkButton, Links, Section, Values, written } from "./pieces.js";

export function TaskBody({ task }: { task: TaskDetails }) {
  const { store } = useDetails();
  const info = task.info;
  const started = info?.start ?? store.status.get(task.key)?.start ?? null;
  const waits = NOT_STARTED.includes(task.state);
  const asks = waits && store.live;
  return (
    <>
      {(task.can_cancel || task.can_retry) && (
        <div class="rain-row">
          {task.can_cancel && <Act text="Cancel task" title="cancel this task" type="cancel" of={task.key} kind="rain-danger" />}
          {task.can_retry && <Act text="↻ Retry" title="run it once more" type="retry" of={task.key} />}
        </div>
      )}
      {task.progress && <ProgressOf of={task.key} progress={task.progress} />}
      {asks && <Explanation of={task.key} state={task.state} />}
      {task.stale && (
        <div class="rain-row rain-stale-of">
          <span>stale: its function, or one before it, was edited since</span>
          {task.renewed && <span class="rain-muted">and stands here now:</span>}
          {task.renewed && <LinkButton link={task.renewed} />}
        </div>
      )}
      {task.cause && (
        <div class="rain-row rain-cause">
          <span class="rain-muted">{`${store.look(task.state).word} because of`}</span>
          <LinkButton link={task.cause} />
          <span class="rain-muted">{`which ${task.cause.state === "failed" ? "failed" : "was cancelled"}`}</span>
        </div>
      )}
      {task.error !== null && (
        <Section title="error">
          <Copied text={task.error}>
            <pre class="rain-pre rain-bad">
              <Places text={task.error} />
            </pre>
          </Copied>
        </Section>
      )}
      {task.hints.length > 0 && (
        <ul class="rain-hints">
          {task.hints.map((hint) => (
            <li>
              <Copied text={hint}>{hint}</Copied>
            </li>
          ))}
        </ul>
      )}
      <Facts
        facts={{
          state: store.look(task.state).word,
          took: info?.took,
          started: started === null ? null : clock(started),
          host: info?.governor && hostOf(info.governor),
          attempts: info?.attempts || null,
          reuse: task.reuse,
          call: task.call,
          made: task.made && <Places text={task.made} />,
        }}
      />
      <Links title="inputs" links={task.inputs} />
      <Links title="outputs" links={task.outputs} />
      {task.state !== "new" && !waits && !task.reused && <OutputSection task={task} />}
      {task.source && (
        <Section title="source">
          <SourceLines source={task.source} />
        </Section>
      )}
      {info !== null && info.ended.length > 0 && (
        <Section title="attempts">
          <ol class="rain-attempts" aria-label="attempts">
            {info.ended.map((line) => (
              <li>
                <Copied text={line}>{line}</Copied>
              </li>
            ))}
          </ol>
        </Section>
      )}
      {hasContent(info?.debug) && (
        <Section title="debug">
          <pre class="rain-pre">{written(info?.debug)}</pre>
        </Section>
      )}
      <More task={task} />
    </>
  );
}

function More({ task }: { task: TaskDetails }) {
  const values: [string, unknown][] = [
    ["resources", task.resources],
    ["options", task.options],
    ["spec.user", task.user],
    ["info.user", task.info?.user],
  ];
  const stack = hasContent(task.stack);
  if (!stack && !values.some(([, value]) => hasContent(value))) return null;
  return (
    <Section title="more">
      {values.map(([title, value]) => (
        <Values key={title} title={title} value={value} />
      ))}
      {stack && (
        <pre class="rain-pre">
          <Places text={written(task.stack)} />
        </pre>
      )}
    </Section>
  );
}

function SourceLines({ source }: { source: Source }) {
  const lines = source.text.replace(/\n$/, "").split("\n");
  return (
    <div>
      <div class="rain-muted">
        <Places text={`${source.where}, line ${source.first_line}`} />
      </div>
      <Copied text={source.text}>
        <pre class="rain-pre rain-source">
          {lines.map((line, i) => (
            <>
              <span class="rain-line" data-n={source.first_line + i}>
                {line}
              </span>
              {"\n"}
            </>
          ))}
        </pre>
      </Copied>
    </div>
  );
}

// Why it has not started, as it is now; all that the server says of it on a click.
function Explanation({ of, state }: { of: string; state: string }) {
  const { store } = useDetails();
  const [reason, setReason] = useState<Reason | null>(null);
  useLayoutEffect(() => watchReason(store, of, setReason), [store, of, state]);
  if (!reason) return null;
  const more = reason.text.split("\n").length > 2;
  return (
    <div class="rain-why" role="status">
      {more ? (
        <details>
          <summary>{reason.sentence}</summary>
          <pre class="rain-pre">{reason.text}</pre>
        </details>
      ) : (
        reason.sentence
      )}
    </div>
  );
}
