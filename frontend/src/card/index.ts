// The card of a client: where it is connected, what it finds there.

import { h, replace, setText } from "../dom.js";
import { count, many } from "../format.js";
import type { Keepsake } from "../keepsake.js";
import type { Attached, Port } from "../port.js";
import { followTheme, injectStyle } from "../theme.js";
import { gauges } from "../tabs/gauge.js";
import { type Governor, type Measure, percent, processor } from "../tabs/loads.js";
import { Refresher } from "../tabs/refresher.js";

const PAUSE_MS = 2000;
const GOVERNORS_SHOWN_MAX = 16;
const SESSIONS_SHOWN_MAX = 20;

interface SessionLine {
  id: number;
  name: string;
  persistent: boolean;
  client: string | null;
  tasks: Record<string, number>;
}

interface Card {
  address: string;
  http: string | null;
  version: string;
  state: string; // "connected", "closed", or why the server is lost
  governors: Governor[];
  sessions: SessionLine[];
}

const MARKS: Record<string, string> = {
  new: "·",
  waiting: "…",
  ready: "◔",
  running: "▶",
  finished: "✓",
  failed: "✗",
  cancelled: "⊘",
};

export function attachCard(port: Port, keepsake: Keepsake): Attached {
  return {
    mount(host) {
      const card = new CardView(port, keepsake);
      host.append(card.element);
      const theme = followTheme(card.element);
      // The element may not be in its document yet, and may be moved to another.
      const observer = new IntersectionObserver((entries) => {
        injectStyle(card.element);
        card.seen(entries.some((entry) => entry.isIntersecting));
      });
      injectStyle(card.element);
      observer.observe(card.element);
      return () => {
        observer.disconnect();
        theme();
        card.dispose();
        card.element.remove();
      };
    },
  };
}

class CardView {
  readonly element: HTMLElement;
  private readonly title = h("span", { class: "rain-card-title" }, "Rain");
  private readonly word = h("span", { class: "rain-card-word", role: "status" });
  private readonly facts = h("dl", { class: "rain-card-facts" });
  private readonly why = h("div", { class: "rain-muted rain-card-why" });
  private readonly loads = gauges();
  private readonly governors = h("section", { class: "rain-card-part", hidden: true });
  private readonly sessions = h("section", { class: "rain-card-part", hidden: true });
  private readonly refresher: Refresher;
  private readonly off: () => void;
  private ended = false;

  constructor(
    private readonly port: Port,
    private readonly keepsake: Keepsake,
  ) {
    this.element = h(
      "div",
      { class: "rain rain-card", "aria-label": "Rain client" },
      h("div", { class: "rain-card-head" }, this.title, this.word),
      this.facts,
      this.why,
      this.governors,
      this.sessions,
    );
    this.refresher = new Refresher(() => this.refresh(), PAUSE_MS);
    this.off = port.on("lost", () => this.end("no kernel", "The kernel that showed this has gone."));
  }

  seen(visible: boolean): void {
    if (visible) this.refresher.show();
    else this.refresher.hide();
  }

  dispose(): void {
    this.off();
    this.refresher.dispose();
  }

  private async refresh(): Promise<void> {
    if (this.ended) return;
    try {
      const { data } = await this.port.request<Card>("card");
      this.draw(data);
      this.keepsake.renew(false);
    } catch (error) {
      setText(this.word, "no answer");
      this.element.dataset["state"] = "lost";
      setText(this.why, error instanceof Error ? error.message : String(error));
    }
    if (!this.ended) this.refresher.touch();
  }

  private end(word: string, why: string): void {
    this.ended = true;
    this.element.dataset["state"] = word === "lost" ? "lost" : "closed";
    setText(this.word, word);
    setText(this.why, why);
  }

  private draw(card: Card): void {
    const connected = card.state === "connected";
    this.element.dataset["state"] = "connected";
    setText(this.word, card.state);
    setText(this.why, "");
    const cpus = card.governors.reduce((sum, { cpus: some }) => sum + some, 0);
    const facts: [string, string][] = [["address", card.address]];
    if (card.http) facts.push(["dashboard", card.http]);
    if (card.version) facts.push(["version", card.version]);
    if (cpus) facts.push(["cpus", count(cpus)]);
    replace(this.facts, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    this.governors.hidden = this.sessions.hidden = !connected;
    if (!connected) return this.end(card.state === "closed" ? "closed" : "lost", card.state === "closed" ? "" : card.state);
    this.drawGovernors(card.governors);
    this.drawSessions(card.sessions);
  }

  private drawGovernors(governors: Governor[]): void {
    const shown = governors.slice(0, GOVERNORS_SHOWN_MAX);
    this.loads.set(shown.map(line));
    const more = governors.length - shown.length;
    replace(
      this.governors,
      h("h4", {}, many(governors.length, "governor")),
      this.loads.element,
      more > 0 && h("div", { class: "rain-muted" }, `and ${count(more)} more`),
    );
  }

  private drawSessions(sessions: SessionLine[]): void {
    const shown = sessions.slice(0, SESSIONS_SHOWN_MAX);
    const more = sessions.length - shown.length;
    replace(
      this.sessions,
      h("h4", {}, many(sessions.length, "session")),
      shown.length > 0 && h("ul", { class: "rain-card-sessions" }, ...shown.map(sessionLine)),
      more > 0 && h("div", { class: "rain-muted" }, `and ${count(more)} more`),
    );
  }
}

function line(governor: Governor): Measure {
  const share = processor(governor);
  const text = `${percent(share)} of ${many(governor.cpus, "cpu")} · ${many(governor.tasks, "task")}`;
  return { key: governor.id, label: governor.id, text, share };
}

function sessionLine(session: SessionLine): HTMLElement {
  const counts = Object.entries(session.tasks).filter(([, number]) => number > 0);
  return h(
    "li",
    {},
    h("span", { class: "rain-card-session" }, session.name || `session ${session.id}`),
    session.name ? h("span", { class: "rain-muted" }, `#${session.id}`) : null,
    session.persistent ? h("span", { class: "rain-muted" }, "persistent") : null,
    h(
      "span",
      { class: "rain-card-counts" },
      ...counts.map(([state, number]) =>
        h("span", { class: "rain-count", "data-s": state, title: `${count(number)} ${state}` },
          h("span", { "aria-hidden": "true" }, MARKS[state] ?? ""), ` ${count(number)} `, h("span", { class: "rain-count-word" }, state)),
      ),
      counts.length === 0 && h("span", { class: "rain-muted" }, "no tasks"),
    ),
  );
}
