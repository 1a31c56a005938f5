/** What this device holds and has not said yet that it does: of each conversation the highest number. */

export class Delivered {
  #marks = new Map();
  #notify;

  /** `notify(data)` tells the server; false when there is no connection for it. */
  constructor(notify) {
    this.#notify = notify;
  }

  add(conversationId, seq) {
    this.#marks.set(conversationId, Math.max(seq, this.#marks.get(conversationId) ?? 0));
  }

  /** Reading is more than having: what waits to be told up to `seq` need not be. */
  read(conversationId, seq) {
    if ((this.#marks.get(conversationId) ?? Infinity) <= seq) this.#marks.delete(conversationId);
  }

  flush() {
    for (const [conversation_id, seq] of this.#marks) {
      if (!this.#notify({ conversation_id, seq })) return;
      this.#marks.delete(conversation_id);
    }
  }
}
