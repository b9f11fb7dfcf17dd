// The element that each widget is in: its theme, its style sheets, and the component inside.

import { type ComponentChild, render } from "preact";
import "./components/safe-properties.js";
import { h } from "./dom.js";
import { followTheme, injectStyle } from "./theme.js";

interface Shell {
  kind: string;
  attributes?: Record<string, string>;
  // Puts further style sheets where the element is now.
  dress?(root: HTMLElement): void;
  view(root: HTMLElement): ComponentChild;
}

// Returns a function that removes it again.
export function mountShell(host: HTMLElement, { kind, attributes, dress, view }: Shell): () => void {
  const root = h("div", { class: `rain ${kind}`, ...attributes });
  const put = () => {
    injectStyle(root);
    dress?.(root);
  };
  host.append(root);
  const stop = followTheme(root);
  // Jupyter makes views outside the document and puts them in later, perhaps under a shadow root.
  const observer = new ResizeObserver(put);
  observer.observe(root);
  put();
  render(view(root), root);
  return () => {
    observer.disconnect();
    stop();
    render(null, root);
    root.remove();
  };
}
