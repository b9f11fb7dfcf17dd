// The way of one widget to its kernel: requests, answers, news.

import type { Answer, Events, Port, RequestName } from "./port.js";
import type { Answers } from "./protocol.js";

export interface Model {
  get(name: string): unknown;
  send(content: unknown, callbacks?: unknown, buffers?: unknown): unknown;
  on(name: string, handler: (...parameters: never[]) => void): void;
  widget_manager?: unknown;
}

interface Message {
  type: string;
  request: number;
  data: unknown;
  error?: string;
  event: string;
}

export const BUSY_MS = 2000;
// What has had no answer for so long is said again, and each time after twice as long: messages get lost, see
// rain.notebook.repeats. The kernel knows a request by its number, so nothing is done twice.
const REPEAT_MS = 5000;
const NUMBERS = 2 ** 40;

export function makePort(model: Model): Port {
  const waiting = new Map<number, { resolve(answer: Answer<never>): void; reject(error: Error): void }>();
  const handlers = new Map<string, Set<(data: unknown) => void>>();
  // All pages with this widget get all answers.
  let number = Math.floor(Math.random() * NUMBERS);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  let gone: Error | null = null;
  const emit = (event: string, data: unknown) => handlers.get(event)?.forEach((handler) => handler(data));
  const watch = () => {
    clearTimeout(timer);
    if (busy) emit("busy", (busy = false));
    if (waiting.size) timer = setTimeout(() => emit("busy", (busy = true)), BUSY_MS);
  };
  const repeat = (content: { request: number }, after: number) =>
    setTimeout(() => {
      if (!waiting.has(content.request)) return;
      try {
        model.send(content);
      } catch {
        return; // the comm has just been closed, which is told
      }
      repeat(content, 2 * after);
    }, after);
  model.on("msg:custom", (message: Message, buffers: DataView[]) => {
    if (message.type === "reply") {
      const request = waiting.get(message.request);
      waiting.delete(message.request);
      if (message.error === undefined) request?.resolve({ data: message.data as never, buffers: buffers ?? [] });
      else request?.reject(new Error(message.error));
    } else if (message.type === "push") emit(message.event, message.data);
    watch();
  });
  model.on("comm:close", () => {
    clearTimeout(timer);
    emit("lost", true);
    gone = new Error("the kernel of this widget has gone");
    for (const request of waiting.values()) request.reject(gone);
    waiting.clear();
  });
  return {
    kind: String(model.get("kind")),
    manager: model.widget_manager,
    request: <K extends RequestName>(type: K, parameters?: object) =>
      new Promise<Answer<Answers[K]>>((resolve, reject) => {
        if (gone) return reject(gone);
        const content = { ...parameters, type, request: ++number };
        waiting.set(number, { resolve, reject });
        try {
          model.send(content);
          repeat(content, REPEAT_MS);
        } catch (error) {
          waiting.delete(content.request);
          reject(error as Error);
        }
        if (waiting.size === 1) watch();
      }),
    on<E extends keyof Events>(event: E, handler: (data: Events[E]) => void) {
      const known = handler as (data: unknown) => void;
      if (!handlers.has(event)) handlers.set(event, new Set());
      handlers.get(event)?.add(known);
      return () => handlers.get(event)?.delete(known);
    },
  };
}
