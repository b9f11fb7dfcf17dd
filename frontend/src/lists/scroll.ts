// Where rows lie in a list of which only a window is in the document. Pure.

// Browsers stop placing elements correctly beyond some 10 million pixels; longer lists are scrolled to scale.
export const TALLEST_PX = 8_000_000;

export interface Extent {
  rowHeight: number;
  total: number;
  view: number; // height of what is seen
}

export function listHeight({ rowHeight, total }: Extent): number {
  return rowHeight * total;
}

export function spacerHeight(extent: Extent): number {
  return Math.min(listHeight(extent), TALLEST_PX);
}

export function isScaled(extent: Extent): boolean {
  return listHeight(extent) > TALLEST_PX;
}

// The offset in the whole list that belongs to a position of the scroll bar, and back.
export function offsetOf(scrollTop: number, extent: Extent): number {
  if (!isScaled(extent)) return scrollTop;
  return (scrollTop * (listHeight(extent) - extent.view)) / (TALLEST_PX - extent.view);
}

export function scrollTopOf(offset: number, extent: Extent): number {
  if (!isScaled(extent)) return offset;
  return (offset * (TALLEST_PX - extent.view)) / (listHeight(extent) - extent.view);
}

export function clampOffset(offset: number, extent: Extent): number {
  return Math.max(0, Math.min(offset, listHeight(extent) - extent.view));
}

// First row and one past the last of those that are to be in the document.
export function rowWindow(offset: number, { rowHeight, total, view }: Extent, margin: number): [number, number] {
  const first = Math.max(0, Math.floor(offset / rowHeight) - margin);
  const end = Math.min(total, Math.ceil((offset + view) / rowHeight) + margin);
  return [Math.min(first, total), Math.max(end, Math.min(first, total))];
}

// The least move that brings a row into view.
export function reveal(row: number, offset: number, extent: Extent): number {
  const top = row * extent.rowHeight;
  if (top < offset) return clampOffset(top, extent);
  const bottom = top + extent.rowHeight;
  return bottom > offset + extent.view ? clampOffset(bottom - extent.view, extent) : offset;
}
