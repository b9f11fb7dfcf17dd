// The tabs that only a report has: what failed, what tasks wrote, results, and what it was made with.

import { useState } from "preact/hooks";
import { Swatch } from "../components/parts.js";
import { count, many } from "../format.js";
import { Inspector } from "../inspector/index.js";
import type { ObjectDetails, Report, TaskDetails } from "../protocol.js";
import type { Tab, TabProps } from "../session/tabs.js";

const LISTED_MAX = 300;

export function reportTabs(report: Report): Tab[] {
  const details = Object.values(report.details);
  const tasks = details.filter((one): one is TaskDetails => one.kind === "task");
  const failed = tasks.filter((task) => task.error !== null && task.cause === null);
  const wrote = tasks.filter((task) => report.outputs[task.key]);
  const results = details.filter((one): one is ObjectDetails => one.kind === "object" && one.can_inspect);
  const tabs: Tab[] = [];
  if (failed.length) tabs.push({ name: "errors", Pane: (props) => <Errors {...props} failed={failed} /> });
  if (wrote.length) tabs.push({ name: "output", Pane: (props) => <Outputs {...props} wrote={wrote} report={report} /> });
  if (results.length) tabs.push({ name: "results", Pane: (props) => <Results {...props} results={results} /> });
  tabs.push({ name: "versions", Pane: () => <Versions report={report} /> });
  return tabs;
}

function Listed<T>({ label, items, draw }: { label: string; items: T[]; draw: (item: T) => preact.ComponentChild }) {
  const more = items.length - LISTED_MAX;
  return (
    <div class="rain-report-list" tabIndex={0} role="region" aria-label={label}>
      {items.slice(0, LISTED_MAX).map(draw)}
      {more > 0 && <p class="rain-muted">{`… and ${many(more, "more task")}: a click on one in the table tells`}</p>}
    </div>
  );
}

function Head({ store, host, item }: TabProps & { item: { key: string; title: string; state: string } }) {
  return (
    <button type="button" class="rain-link" onClick={() => host.open(item.key)}>
      <Swatch store={store} state={item.state} titled />
      <b class="rain-ellipsis">{item.title}</b>
    </button>
  );
}

function Errors({ failed, ...props }: TabProps & { failed: TaskDetails[] }) {
  return (
    <Listed
      label={`${many(failed.length, "task")} that failed`}
      items={failed}
      draw={(task) => (
        <section key={task.key}>
          <Head {...props} item={task} />
          <pre class="rain-pre rain-bad">{task.error}</pre>
        </section>
      )}
    />
  );
}

function Outputs({ wrote, report, ...props }: TabProps & { wrote: TaskDetails[]; report: Report }) {
  return (
    <Listed
      label={`what ${many(wrote.length, "task")} wrote`}
      items={wrote}
      draw={(task) => (
        <section key={task.key}>
          <Head {...props} item={task} />
          {(["stdout", "stderr"] as const).map((stream) => {
            const text = report.outputs[task.key]?.[stream];
            return (
              text && (
                <pre key={stream} class="rain-pre" aria-label={stream} data-stream={stream}>
                  {text}
                </pre>
              )
            );
          })}
        </section>
      )}
    />
  );
}

function Results({ results, ...props }: TabProps & { results: ObjectDetails[] }) {
  const [seen, setSeen] = useState(false);
  if (props.shown && !seen) setSeen(true);
  return (
    <Listed
      label={`how ${results.length === 1 ? "the result begins" : `${count(results.length)} results begin`}`}
      items={seen ? results : []}
      draw={(object) => (
        <section key={object.key}>
          <Head {...props} item={object} />
          <Inspector kernel={props.store.inspected(object.key)} />
        </section>
      )}
    />
  );
}

function Versions({ report }: { report: Report }) {
  const governors = report.governors.governors;
  return (
    <div class="rain-report-list" tabIndex={0} role="region" aria-label="versions">
      <table class="rain-versions">
        <tbody>
          {report.versions.map(({ name, version }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{version}</td>
            </tr>
          ))}
          {governors.map(({ id, cpus }) => (
            <tr key={id}>
              <th scope="row">governor</th>
              <td>{`${id}, ${many(cpus, "cpu")}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {report.notes.map((note) => (
        <p key={note}>{note}</p>
      ))}
    </div>
  );
}
