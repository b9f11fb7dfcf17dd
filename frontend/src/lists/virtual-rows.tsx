// A virtual list as a component: its frame is drawn here, its rows by `VirtualList`.

import type { ComponentChildren, HTMLAttributes } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type ListOptions, VirtualList } from "./virtual-list.js";

type Handlers = Pick<ListOptions, "rowHeight" | "drawing" | "make" | "fill" | "seen">;

interface Properties extends Handlers, Omit<HTMLAttributes<HTMLDivElement>, "ref" | "children" | "list"> {
  // What stays above the rows.
  header?: ComponentChildren;
  kind?: string;
  // Gets the list when it is there.
  attach: (list: VirtualList) => void;
}

export function VirtualRows({ header, kind = "", attach, rowHeight, drawing, make, fill, seen, ...attributes }: Properties) {
  const element = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const handlers = useRef<Handlers>({ rowHeight, drawing, make, fill, seen });
  handlers.current = { rowHeight, drawing, make, fill, seen };
  useLayoutEffect(() => {
    if (!element.current || !list.current) return;
    const rows = new VirtualList({
      rowHeight,
      element: element.current,
      list: list.current,
      header: header ? (element.current.firstElementChild as HTMLElement) : null,
      drawing: () => handlers.current.drawing?.(),
      make: () => handlers.current.make(),
      fill: (row, index) => handlers.current.fill(row, index),
      seen: (first, end) => handlers.current.seen?.(first, end),
    });
    attach(rows);
    return () => rows.dispose();
  }, []);
  return (
    <div class={`rain-rows ${kind}`.trim()} ref={element} {...attributes}>
      {header}
      <div class="rain-rows-list" role="rowgroup" ref={list} />
    </div>
  );
}
