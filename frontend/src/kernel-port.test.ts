import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type Model, makePort } from "./kernel-port.js";

mock.timers.enable({ apis: ["setTimeout"] });

interface Content {
  type: string;
  request: number;
}

// A model whose comm loses what it is told to.
class LossyModel implements Model {
  readonly sent: Content[] = [];
  closed = false;
  private readonly handlers = new Map<string, (...parameters: unknown[]) => void>();

  get(): unknown {
    return "session";
  }

  send(content: unknown): void {
    if (this.closed) throw new Error("Cannot send");
    this.sent.push(content as Content);
  }

  on(name: string, handler: (...parameters: never[]) => void): void {
    this.handlers.set(name, handler as (...parameters: unknown[]) => void);
  }

  reply(request: number, more: object = { data: {} }): void {
    this.handlers.get("msg:custom")?.({ type: "reply", request, ...more }, []);
  }

  close(): void {
    this.closed = true;
    this.handlers.get("comm:close")?.();
  }
}

const sent = (model: LossyModel) => model.sent.map(({ type }) => type);

test("what has no answer is said again, with the same number, less and less often", async () => {
  const model = new LossyModel();
  const answer = makePort(model).request("snapshot");
  mock.timers.tick(4999);
  assert.equal(model.sent.length, 1);
  mock.timers.tick(1);
  assert.deepEqual(model.sent[1], model.sent[0]);
  mock.timers.tick(9999);
  assert.equal(model.sent.length, 2);
  mock.timers.tick(1);
  assert.equal(model.sent.length, 3);
  mock.timers.tick(3_600_000);
  assert.ok(model.sent.length < 12);
  model.reply(model.sent[0]?.request ?? -1);
  await answer;
  mock.timers.tick(100_000_000);
  assert.ok(model.sent.length < 12);
});

test("what was answered or refused is not said again, and a second answer is nothing new", async () => {
  const model = new LossyModel();
  const port = makePort(model);
  const answered = port.request("snapshot");
  const refused = port.request("stale");
  model.reply(model.sent[0]?.request ?? -1);
  model.reply(model.sent[0]?.request ?? -1);
  model.reply(model.sent[1]?.request ?? -1, { error: "no" });
  await answered;
  await assert.rejects(refused, /^Error: no$/);
  mock.timers.tick(3_600_000);
  assert.deepEqual(sent(model), ["snapshot", "stale"]);
});

test("nothing is said to a kernel that has gone", async () => {
  const model = new LossyModel();
  const port = makePort(model);
  const waits = port.request("snapshot");
  model.close();
  await assert.rejects(waits, /has gone/);
  mock.timers.tick(3_600_000);
  assert.deepEqual(sent(model), ["snapshot"]);
  await assert.rejects(port.request("snapshot"), /has gone/);
});

test("two pages with the same widget do not take each other's answers", async () => {
  const [one, other] = [new LossyModel(), new LossyModel()];
  void makePort(one).request("snapshot");
  let taken = false;
  void makePort(other).request("stale").then(() => (taken = true));
  other.reply(one.sent[0]?.request ?? -1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(taken, false);
});
