// Where a text names cells of this notebook and lines in them. Pure.

export interface Place {
  text: string;
  at: number; // in the text
  cell: number;
  line: number;
}

// «Cell In[3], line 6», also as «Cell In[3] line 6»; «Cell In[3] of other.ipynb, line 6» is a cell of another notebook.
const PLACE = /Cell In\[(\d+)\],? line (\d+)/g;

export function places(text: string): (string | Place)[] {
  const found: (string | Place)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACE)) {
    if (match.index > end) found.push(text.slice(end, match.index));
    found.push({ text: match[0], at: match.index, cell: Number(match[1]), line: Number(match[2]) });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push(text.slice(end));
  return found;
}
