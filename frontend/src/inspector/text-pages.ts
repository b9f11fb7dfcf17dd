// Where a reader of a long text is: one page at a time, and the way back. Pure.

export interface TextSpan {
  offset: number;
  end: number;
}

type Ask<P extends TextSpan> = (offset: number, encoding: string | null) => Promise<P>;

export class TextPages<P extends TextSpan> {
  private readonly before: number[] = []; // where earlier pages began
  private encoding: string | null = null;
  private busy = false;

  constructor(
    public page: P,
    private readonly ask: Ask<P>,
    private readonly came: (page: P) => void,
    private readonly trouble: (error: unknown) => void,
  ) {}

  back(): Promise<void> {
    const { offset, end } = this.page;
    return this.go(this.before.at(-1) ?? Math.max(0, offset - (end - offset)), () => this.before.pop());
  }

  forth(): Promise<void> {
    return this.jump(this.page.end);
  }

  jump(to: number): Promise<void> {
    const { offset } = this.page;
    return this.go(to, () => this.before.push(offset));
  }

  decode(encoding: string): Promise<void> {
    return this.go(this.page.offset, () => undefined, encoding);
  }

  // While a page is on its way, nothing else is asked for; one that does not come changes nothing.
  private async go(offset: number, arrived: () => unknown, encoding = this.encoding): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      this.page = await this.ask(offset, encoding);
      this.encoding = encoding;
      arrived();
      this.trouble(null);
      this.came(this.page);
    } catch (error) {
      this.trouble(error);
    } finally {
      this.busy = false;
    }
  }
}
