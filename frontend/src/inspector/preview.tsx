// A value in short: what an executor, where the data lie, says of it.

import { useMemo } from "preact/hooks";
import { Mounted } from "../components/parts.js";
import { picture } from "../dom.js";
import type { Bins, NamedPart, PreviewPage } from "../protocol.js";
import { Pairs } from "./pairs.js";
import type { ViewProps } from "./viewing.js";

const BARS_PX = { width: 240, height: 48 };

export function PreviewView({ scope, page, buffers }: ViewProps<PreviewPage>) {
  return (
    <div class="rain-view">
      <PreviewBody page={page} buffers={buffers} title={scope.overview.title} />
    </div>
  );
}

export function PreviewBody({ page, buffers, title }: { page: PreviewPage; buffers: DataView[]; title: string }) {
  const bytes = page.width ? buffers[0] : undefined;
  return (
    <>
      <div class="rain-view-bar">
        <strong class="rain-preview-type">{page.type}</strong>
        <Pairs list={page.summary} flow />
      </div>
      <div class="rain-preview" tabIndex={0} role="region" aria-label="Preview">
        {bytes && <Drawn bytes={bytes as DataView<ArrayBuffer>} title={title} />}
        {page.bins && <Bars bins={page.bins} />}
        {page.columns.length > 0 && <Head page={page} />}
        {page.parts.length > 0 && <Parts parts={page.parts} />}
        {page.text && <pre class="rain-preview-text">{page.text}</pre>}
      </div>
    </>
  );
}

function Drawn({ bytes, title }: { bytes: DataView<ArrayBuffer>; title: string }) {
  const image = useMemo(() => picture(bytes, "image/png", title), [bytes]);
  return <Mounted element={image} />;
}

function Bars({ bins: { counts, low, high, of } }: { bins: Bins }) {
  const most = Math.max(1, ...counts);
  const step = BARS_PX.width / counts.length;
  return (
    <figure class="rain-bars">
      <svg width={BARS_PX.width} height={BARS_PX.height} role="img" aria-label={`Histogram from ${low} to ${high}`}>
        {counts.map((number, i) => {
          const height = number ? Math.max(1, (number / most) * BARS_PX.height) : 0;
          return <rect x={i * step} y={BARS_PX.height - height} width={Math.max(1, step - 1)} height={height} />;
        })}
      </svg>
      <figcaption class="rain-muted" title={`of ${of}`}>
        <span>{low}</span>
        <span>{high}</span>
      </figcaption>
    </figure>
  );
}

function Head({ page: { columns, index, rows } }: { page: PreviewPage }) {
  return (
    <table class="rain-preview-table">
      <thead>
        <tr>
          <th />
          {columns.map(({ name, dtype }) => (
            <th scope="col" title={dtype ? `${name}: ${dtype}` : name}>
              {name}
              {dtype && <div class="rain-data-type">{dtype}</div>}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, i) => (
          <tr>
            <th scope="row">{index[i] ?? ""}</th>
            {row.map((cell) => (
              <td>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Parts({ parts }: { parts: NamedPart[] }) {
  return (
    <table class="rain-preview-table rain-preview-parts">
      <tbody>
        {parts.map(({ name, type, text }) => (
          <tr>
            <th scope="row">{name}</th>
            <td class="rain-data-type">{type}</td>
            <td>{text}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
