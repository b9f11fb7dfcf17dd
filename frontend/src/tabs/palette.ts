// Colours of functions on the timeline: the same function has the same colour in light and dark pages. Pure.

// Hue, then how light fill and edge are; neighbours in the list differ in hue, and none is the red of failures.
const HUES = [212, 152, 268, 40, 186, 318, 92, 232, 24, 170, 290, 60];

export interface Ink {
  fill: string;
  edge: string;
}

export const MIXED: [Ink, Ink] = [
  { fill: "#e6e9ec", edge: "#6b7680" },
  { fill: "#3a4046", edge: "#98a2ac" },
];

// A number below 0 stands for several functions.
export function inkOf(place: number, dark: boolean): Ink {
  if (place < 0) return MIXED[dark ? 1 : 0];
  const hue = HUES[place % HUES.length] ?? 0;
  const turn = Math.floor(place / HUES.length) % 3; // the thirteenth function looks like the first, but paler
  return dark
    ? { fill: `hsl(${hue} 38% ${26 - turn * 5}%)`, edge: `hsl(${hue} 55% ${68 - turn * 10}%)` }
    : { fill: `hsl(${hue} 70% ${86 - turn * 9}%)`, edge: `hsl(${hue} 60% ${38 - turn * 6}%)` };
}
