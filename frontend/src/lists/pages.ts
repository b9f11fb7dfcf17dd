// Rows of a long list, asked for in pages as they come into sight. It knows no document: `came` is called with each page.

// Scrolling fast past many pages asks only for where it stops.
const PAGES_ASKED_AT_ONCE_MAX = 2;
const PAGES_KEPT_MAX = 60;
// A page that could not be had is not asked for again by mere drawing.
const AGAIN_MS = 5000;

interface Page<T> {
  rows: T[];
  stale: boolean;
}

export class Pages<T> {
  private readonly pages = new Map<number, Page<T>>();
  private readonly asked = new Map<number, { stale: boolean }>();
  private readonly failed = new Map<number, number>(); // when
  private epoch = 0;

  constructor(
    readonly size: number,
    // `wanted` says whether the rows still are: what comes with others is of another order or filter.
    private readonly load: (offset: number, count: number, wanted: () => boolean) => Promise<T[]>,
    private readonly came: (error: string | null) => void,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  row(index: number): T | undefined {
    return this.pages.get(Math.floor(index / this.size))?.rows[index % this.size];
  }

  put(page: number, rows: T[], stale = false): void {
    this.pages.delete(page);
    this.pages.set(page, { rows, stale });
    if (this.pages.size > PAGES_KEPT_MAX) {
      const [oldest] = this.pages.keys();
      if (oldest !== undefined) this.pages.delete(oldest);
    }
  }

  // Asks for what of these rows is missing or stale; resolves when that came (or could not).
  async want(first: number, end: number): Promise<void> {
    const asks: Promise<void>[] = [];
    for (let page = Math.floor(first / this.size); page * this.size < end; page++) {
      const known = this.pages.get(page);
      if ((known && !known.stale) || this.asked.has(page) || this.lately(page)) continue;
      if (this.asked.size >= PAGES_ASKED_AT_ONCE_MAX) break;
      asks.push(this.ask(page));
    }
    await Promise.all(asks);
  }

  // Known rows stay until newer ones replace them. An answer that is on its way may be older than the change.
  staleAll(): void {
    for (const page of [...this.pages.values(), ...this.asked.values()]) page.stale = true;
    this.failed.clear();
  }

  // Other rows altogether: another order, another filter.
  clear(): void {
    this.epoch++;
    this.pages.clear();
    this.asked.clear();
    this.failed.clear();
  }

  private lately(page: number): boolean {
    const at = this.failed.get(page);
    return at !== undefined && this.clock() - at < AGAIN_MS;
  }

  private async ask(page: number): Promise<void> {
    const epoch = this.epoch;
    const asked = { stale: false };
    this.asked.set(page, asked);
    let trouble: string | null = null;
    let rows: T[] | null = null;
    try {
      rows = await this.load(page * this.size, this.size, () => epoch === this.epoch);
    } catch (error) {
      trouble = error instanceof Error ? error.message : String(error);
    }
    if (epoch !== this.epoch) return;
    this.asked.delete(page);
    if (rows) this.put(page, rows, asked.stale);
    else this.failed.set(page, this.clock());
    this.came(trouble);
  }
}
