// Preact, made so that no property of an element can carry markup, a program or an address: every element of every
// component passes here. Pictures and downloads are made by `picture` and `save` (dom.ts), from bytes.

import { options, type VNode } from "preact";

const FORBIDDEN = /^((dangerouslyset)?(inner|outer)html|srcdoc|src|href|xlink:?href|action|formaction)$/i;

function check(tag: string, properties: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(properties)) {
    if (FORBIDDEN.test(name)) throw new Error(`an element is not given ${name}`);
    if (typeof value !== "string") continue;
    if (/^on/i.test(name) || name === "style") throw new Error(`${name} of <${tag}> is not a text`);
  }
}

const before = options.vnode;
options.vnode = (vnode: VNode) => {
  if (typeof vnode.type === "string") check(vnode.type, vnode.props as Record<string, unknown>);
  before?.(vnode);
};
