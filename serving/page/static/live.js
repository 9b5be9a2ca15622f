// Keeps the quotes up to date: by the stream, and by asking again while there is none. Never says
// "live" when it is not.

import { allQuotes, follow, get, Refused } from "./api.js";

const SILENCE_MS = 40000; // the service speaks at least every 15 s
const POLL_MS = 5000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Live {
  constructor({ quotes, state }) {
    this.take = quotes; // (quotes, whole) => void
    this.say = state; // (name, detail) => void
    this.last = "";
    this.streaming = false;
    this.snapshot = null;
    this.wake = () => {};
  }

  start() {
    this.stream();
    this.poll();
  }

  // A new key may open what was refused.
  retry() {
    this.wake();
    this.refresh();
  }

  async stream() {
    let wait = FIRST_WAIT_MS;
    for (;;) {
      try {
        await follow("v1/events", {
          last: this.last,
          silence: SILENCE_MS,
          open: () => {
            wait = FIRST_WAIT_MS;
            this.streaming = true;
            this.say("live", "");
          },
          event: (message) => this.receive(message),
        });
      } catch (error) {
        this.streaming = false;
        this.snapshot = null;
        if (error instanceof Refused && error.status < 500 && error.status !== 429) wait = LONGEST_WAIT_MS;
        this.refresh();
      }
      await Promise.race([pause(wait * (0.75 + Math.random() / 2)), new Promise((resolve) => { this.wake = resolve; })]);
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    }
  }

  async poll() {
    for (;;) {
      if (!this.streaming) await this.refresh();
      await pause(POLL_MS);
    }
  }

  async refresh() {
    try {
      this.take(await allQuotes(), true);
      if (!this.streaming) this.say("polling", "");
    } catch (error) {
      if (this.streaming) return;
      const refused = error instanceof Refused;
      this.say(refused && (error.status === 401 || error.status === 403) ? "refused" : "lost", error.message);
    }
  }

  receive({ id, data }) {
    const event = JSON.parse(data);
    if (id !== undefined) this.last = id;
    if (event.type.endsWith("resync.v1")) {
      this.snapshot = { left: event.data.quotes, quotes: [] };
      if (!this.snapshot.left) this.whole();
    } else if (event.type.endsWith("snapshot.v1")) {
      if (!this.snapshot) {
        this.take([event.data], false);
        return;
      }
      this.snapshot.quotes.push(event.data);
      this.snapshot.left -= 1;
      if (!this.snapshot.left) this.whole();
    } else if (event.type.endsWith("quote.v1")) {
      this.take([event.data], false);
    }
  }

  whole() {
    this.take(this.snapshot.quotes, true);
    this.snapshot = null;
  }
}

export const alerts = () => get("v1/alerts");
