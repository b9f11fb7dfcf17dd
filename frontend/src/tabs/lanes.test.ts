import assert from "node:assert/strict";
import { test } from "node:test";
import { barAt, barEnd, HEAD_PX, height, LANE_PX, lineAt, lines, longestQueue, SHARED_HEAD_PX, uses } from "./lanes.js";
import type { Bar, TimelineLane } from "../protocol.js";

const bar = (start: number, seconds: number, state = "finished", count = 1): Bar => [start, seconds, state, `t${start}`, "x", count, 0, 0, 0, ""];
const LANES: TimelineLane[] = [
  { governor: "a", slot: 0, kind: "cpu", bars: [bar(0, 5), bar(5, 5)] },
  { governor: "a", slot: 1, kind: "cpu", bars: [bar(2, 2, "running")] },
  { governor: "b", slot: 0, kind: "cpu", bars: [bar(0, 10, "finished", 7)] },
];

test("a line for each governor, then its lanes", () => {
  const found = lines(LANES);
  assert.deepEqual(found.map(({ governor, lane }) => [governor, lane?.slot]), [["a", undefined], ["a", 0], ["a", 1], ["b", undefined], ["b", 0]]);
  assert.equal(height(found), 2 * HEAD_PX + 3 * LANE_PX);
  assert.equal(lineAt(found, 0)?.lane, null);
  assert.equal(lineAt(found, HEAD_PX)?.lane?.slot, 0);
  assert.equal(lineAt(found, HEAD_PX + LANE_PX)?.lane?.slot, 1);
  assert.equal(lineAt(found, 10_000), null);
  assert.equal(lineAt(found, -1), null);
  assert.equal(height([]), 0);
});

test("a running bar grows until now", () => {
  assert.equal(barEnd(bar(2, 2, "running"), 9), 9);
  assert.equal(barEnd(bar(2, 2), 9), 4);
});

test("the bar at a time, or the nearest one within reach", () => {
  const bars = [bar(0, 1), bar(3, 1)];
  assert.equal(barAt(bars, 0.5, 0, 9), bars[0]);
  assert.equal(barAt(bars, 2.9, 0.2, 9), bars[1]);
  assert.equal(barAt(bars, 2, 0.2, 9), null);
});

test("how busy governors were", () => {
  const [a, b] = uses(LANES, 0, 20, 10);
  assert.deepEqual(a, { governor: "a", slots: 2, tasks: 3, busy: 0.9 });
  assert.deepEqual(b, { governor: "b", slots: 1, tasks: 7, busy: 1 });
});

test("lanes of tasks that share cpus, and of transfers, stand below headings of their own, and are no cpus", () => {
  const shared: TimelineLane[] = [
    ...LANES,
    { governor: "b", slot: 0, kind: "shared", bars: [bar(0, 10, "finished", 2)] },
    { governor: "b", slot: 1, kind: "shared", bars: [] },
    { governor: "b", slot: 0, kind: "transfers", bars: [bar(0, 1, "moved")] },
    { governor: "c", slot: 0, kind: "shared", bars: [bar(0, 1)] },
  ];
  const found = lines(shared).slice(3);
  assert.deepEqual(
    found.map(({ governor, lane, kind }) => [governor, lane?.slot ?? "head", kind]),
    [
      ["b", "head", "cpu"], ["b", 0, "cpu"],
      ["b", "head", "shared"], ["b", 0, "shared"], ["b", 1, "shared"],
      ["b", "head", "transfers"], ["b", 0, "transfers"],
      ["c", "head", "cpu"], ["c", "head", "shared"], ["c", 0, "shared"],
    ],
  );
  assert.equal(found[2]?.height, SHARED_HEAD_PX);
  assert.deepEqual(uses(shared, 0, 20, 10).slice(1), [
    { governor: "b", slots: 1, tasks: 9, busy: 1 },
    { governor: "c", slots: 0, tasks: 1, busy: 0 },
  ]);
});

test("the longest queue between two moments", () => {
  const queue: [number, number][] = [[0, 2], [5, 7], [6, 0]];
  assert.equal(longestQueue(queue, 0, 10), 7);
  assert.equal(longestQueue(queue, 1, 4), 2);
  assert.equal(longestQueue(queue, 7, 9), 0);
  assert.equal(longestQueue([], 0, 1), 0);
});
