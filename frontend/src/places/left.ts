// How long a place has left. Pure.

import { seconds } from "../format.js";

// `ends` and `now` are epochs in seconds by the kernel's clock; empty if the end is not known.
export function left(ends: number | null, now: number): string {
  if (ends === null) return "";
  const remains = Math.floor(ends - now);
  return remains > 0 ? `${seconds(remains)} left` : "its time is over";
}
