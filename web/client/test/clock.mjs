// Time for the tests: the real one, ten times as fast, or one that goes on only when everything at its moment is done.

const FASTER = 10;

export class FastClock {
  #begun = Date.now();
  now = () => this.#begun + (Date.now() - this.#begun) * FASTER;
  random = Math.random;
  later = (work, ms = 0) => setTimeout(work, ms / FASTER);
  cancel = (timer) => clearTimeout(timer);
  soon = (work) => setImmediate(work);
}

/** Everything that happens is in one order, which the seed decides. */
export class SimClock {
  #time = 1_700_000_000_000;
  #last = 0;
  #due = [];

  constructor(seed) {
    let state = (seed + 1) * 0x9e3779b9;
    // Mulberry32.
    this.random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  now = () => this.#time;

  later = (work, ms = 0) => {
    const entry = { at: this.#time + Math.max(ms, 0), order: ++this.#last, work };
    let place = this.#due.length;
    while (place > 0 && this.#due[place - 1].at > entry.at) place -= 1;
    this.#due.splice(place, 0, entry);
    return entry;
  };

  cancel = (entry) => {
    const place = this.#due.indexOf(entry);
    if (place >= 0) this.#due.splice(place, 1);
  };

  /** In a moment: not at once, and not always in the order of asking. */
  soon = (work) => this.later(work, this.random() * 3);

  /** Lets this much time go by. */
  async run(ms) {
    const end = this.#time + ms;
    // What promises do comes before anything else.
    const settled = () => new Promise((next) => setImmediate(next));
    await settled();
    while (this.#due.length && this.#due[0].at <= end) {
      const { at, work } = this.#due.shift();
      this.#time = Math.max(this.#time, at);
      work();
      await settled();
    }
    this.#time = end;
  }
}
