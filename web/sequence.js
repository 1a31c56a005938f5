/**
 * The place that a client holds in each conversation, and the proof that nothing is missing or
 * double. A place is one number: the highest `change_seq` held.
 *
 * Live events come one number after the other, or say in `after_change_seq` which one they follow. A
 * replay leaves out the numbers of what was changed again later, so it only has to ascend, and
 * `sync_complete` says how many events it had.
 */
export class Sequence {
  #places = new Map();
  #replayed = null;
  #inboxHead = 0;

  /** What `sync` says. The inbox is held beside the conversations, as the one without an id. */
  get positions() {
    return Object.fromEntries([...this.#places].filter(([id]) => id !== null));
  }

  /** The same for the inbox; undefined where the server is to choose what it sends of it. */
  get inbox() {
    return this.#places.get(null);
  }

  /**
   * A connection begins, and with it a replay. Heads that are new are held at their own number, so
   * that naming them in `sync` leaves no crack between the head and what is live. With `complete`,
   * a conversation that has no head is not ours any more.
   *
   * Gives the ids of what was taken back: a head below the number that is held is one of a server
   * whose database was restored from a backup, so what is held there is not what it has.
   */
  begin(heads, complete, inboxHead) {
    const numbers = new Map(heads.map((head) => [head.conversation_id, head.change_seq]));
    for (const id of this.#places.keys()) {
      if (complete && id !== null && !numbers.has(id)) this.#places.delete(id);
    }
    const takenBack = [];
    for (const [id, number] of [...numbers, [null, inboxHead]]) {
      if (number < this.#places.get(id)) {
        takenBack.push(id);
        this.#places.delete(id);
      }
      if (id !== null && !this.#places.has(id)) this.#places.set(id, number);
    }
    this.#inboxHead = inboxHead;
    this.#replayed = new Map();
    return takenBack;
  }

  /** The connection is gone; a replay that was under way proves nothing. */
  interrupt() {
    this.#replayed = null;
  }

  /** Takes a numbered event: `{apply, problem?, after?}`, where `after` is the edge of a gap. */
  take({ conversation_id: id, change_seq: number, after_change_seq: before = number - 1, ...data }) {
    const place = this.#places.get(id);
    if (data.removed) {
      this.#places.delete(id);
      return { apply: true };
    }
    if (place !== undefined && number <= place) {
      if (data.resent) return { apply: false };
      const message = `${id}: ${number} came again, ${place} was held`;
      return { apply: false, problem: { kind: 'duplicate', message } };
    }
    this.#places.set(id, number);
    if (this.#replayed) {
      if (!this.#replayed.has(id)) this.#replayed.set(id, []);
      this.#replayed.get(id).push({ number, before });
    } else if (place !== undefined && before > place) {
      const message = `${id}: ${number} came after ${place}`;
      return { apply: true, problem: { kind: 'gap', message }, after: place };
    }
    return { apply: true };
  }

  /** Judges a replay by its `sync_complete`: a list of `{id, problem?, after?, resetFrom?}`. */
  complete(conversations, inbox) {
    const replayed = this.#replayed ?? new Map();
    const findings = [];
    this.#replayed = null;
    const lines = Object.entries(conversations);
    if (inbox) lines.push([null, inbox]);
    else if (!this.#places.has(null)) this.#places.set(null, this.#inboxHead);
    for (const [id, { from, to, count, reset }] of lines) {
      const events = replayed.get(id) ?? [];
      const held = events.filter(({ number }) => number <= to).length;
      if (held !== count) {
        const message = `${id}: ${held} events came in a replay of ${count}`;
        findings.push({ id, problem: { kind: 'count', message } });
      }
      const live = events.filter(({ number }) => number > to);
      if (live.some(({ before }, index) => before > (index ? live[index - 1].number : to))) {
        const message = `${id}: ${live.map(({ number }) => number).join(', ')} came after ${to}`;
        findings.push({ id, problem: { kind: 'gap', message }, after: to });
      }
      if (reset) findings.push({ id, resetFrom: from });
      if (to > (this.#places.get(id) ?? 0)) this.#places.set(id, to);
    }
    return findings;
  }
}
