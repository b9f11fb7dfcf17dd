// The columns of a table of which only those in sight are asked for and drawn: names, widths, places. Pure.

import { count } from "../format.js";
import type { Column, TablePage } from "../protocol.js";

export const WIDTH_CHARS_MAX = 36;
const INDEX_CHARS_MIN = 5;
const COLUMN_CHARS_MIN = 8; // later rows may have longer numbers
const UNKNOWN_CHARS = 10; // of a column that was not in sight yet
const BOLD = 1.2; // letters of a head, in digits of a row
const MEASURED_ROWS_MAX = 100;
const PADDING_PX = 18;
const BLOCK_COLUMNS = 64; // where the first page has all columns
const MARGIN_COLUMNS = 2;
const NUMBERS = /^(u?int|float|double|half|decimal|complex|bool|number|long|short|[<>|=]?[iufcb]\d)/i;

interface Block {
  columns: Column[];
  chars: number[];
}

export class Columns {
  readonly size: number; // columns of a block: of what is asked for at once
  width = 0; // columns
  letterPx = 7; // how wide a digit is
  private indexChars: number;
  private readonly blocks = new Map<number, Block>();

  constructor(first: TablePage) {
    const part = first.column === 0 && first.columns.length < first.width;
    this.size = part ? Math.max(1, first.columns.length) : BLOCK_COLUMNS;
    this.indexChars = INDEX_CHARS_MIN;
    this.learn(first);
  }

  blockOf(column: number): number {
    return Math.floor(column / this.size);
  }

  // Takes what a page says of columns that were not known.
  learn({ column, columns, width, rows, index, total }: TablePage): void {
    this.width = Math.max(this.width, width);
    this.indexChars = longest(this.indexChars, [...index.slice(0, MEASURED_ROWS_MAX), count(total ?? 0)]);
    const block = this.blockOf(column);
    const mine = columns.slice(0, this.size);
    if (column % this.size || mine.length <= (this.blocks.get(block)?.columns.length ?? 0)) return;
    const measured = rows.slice(0, MEASURED_ROWS_MAX);
    const chars = mine.map(({ name, dtype }, i) =>
      longest(Math.max(COLUMN_CHARS_MIN, Math.ceil(name.length * BOLD)), [dtype, ...measured.map((row) => row[i] ?? "")]),
    );
    this.blocks.set(block, { columns: mine, chars });
  }

  at(column: number): Column | undefined {
    return this.blocks.get(this.blockOf(column))?.columns[column % this.size];
  }

  nameOf(column: number): string {
    return this.at(column)?.name ?? `column ${count(column + 1)}`;
  }

  isNumeric(column: number): boolean {
    return NUMBERS.test(this.at(column)?.dtype ?? "");
  }

  // The numbers of those whose names are known, rising.
  get known(): number[] {
    const blocks = [...this.blocks].sort(([a], [b]) => a - b);
    return blocks.flatMap(([block, { columns }]) => columns.map((_, i) => block * this.size + i));
  }

  get indexPx(): number {
    return this.px(this.indexChars);
  }

  widthPx(column: number): number {
    return this.px(this.blocks.get(this.blockOf(column))?.chars[column % this.size] ?? UNKNOWN_CHARS);
  }

  // Where a column begins, from where the first one does.
  leftPx(column: number): number {
    const unknown = this.px(UNKNOWN_CHARS);
    let left = column * unknown;
    for (const [block, { chars }] of this.blocks) {
      const before = Math.min(chars.length, column - block * this.size);
      for (let i = 0; i < before; i++) left += this.px(chars[i] as number) - unknown;
    }
    return left;
  }

  get totalPx(): number {
    return this.leftPx(this.width);
  }

  // The column at a place.
  columnAt(px: number): number {
    let [low, high] = [0, Math.max(0, this.width - 1)];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.leftPx(middle) <= px) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // First column and one past the last of those that are to be in the document.
  window(offsetPx: number, viewPx: number): [number, number] {
    const first = Math.max(0, this.columnAt(offsetPx) - MARGIN_COLUMNS);
    return [first, Math.min(this.width, this.columnAt(offsetPx + viewPx) + 1 + MARGIN_COLUMNS)];
  }

  private px(chars: number): number {
    return chars * this.letterPx + PADDING_PX;
  }
}

function longest(least: number, texts: string[]): number {
  const most = texts.reduce((length, text) => Math.max(length, text.length), least);
  return Math.min(WIDTH_CHARS_MAX, most);
}
