// Work that is done again after changes while its result is in sight, at most once in each `pause`.

export class Refresher {
  private shown = false;
  private stale = true;
  private busy = false;
  private last = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  private readonly visible = () => this.plan();

  // `work` never rejects: it shows its failures itself.
  constructor(
    private readonly work: () => Promise<void>,
    private readonly pause: number,
  ) {
    document.addEventListener("visibilitychange", this.visible);
  }

  get looking(): boolean {
    return this.shown && !document.hidden;
  }

  show(): void {
    this.shown = true;
    this.plan();
  }

  hide(): void {
    this.shown = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  // Something changed.
  touch(): void {
    this.stale = true;
    this.plan();
  }

  // In so many milliseconds something may have changed.
  later(ms: number): void {
    clearTimeout(this.again);
    this.again = setTimeout(() => this.touch(), ms);
  }

  // The user changed something and waits.
  now(): void {
    this.last = -Infinity;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.touch();
  }

  dispose(): void {
    this.hide();
    clearTimeout(this.again);
    document.removeEventListener("visibilitychange", this.visible);
  }

  private plan(): void {
    if (!this.stale || this.busy || this.timer !== undefined || !this.looking) return;
    const wait = Math.max(0, this.last + this.pause - performance.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.run();
    }, wait);
  }

  private async run(): Promise<void> {
    if (!this.looking) return;
    this.stale = false;
    this.busy = true;
    this.last = performance.now();
    try {
      await this.work();
    } finally {
      this.busy = false;
      this.plan();
    }
  }
}
