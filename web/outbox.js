/**
 * Messages on their way: kept until the server has said that it has them, and sent again until
 * then. The same `client_msg_id` is the same message to it, however often it comes.
 */
export class Outbox {
  #entries = new Map();
  #transmit;
  #settled;
  #backoff;
  #timer = null;

  /**
   * `transmit(message)` sends one and gives its ack or throws an AnmeiError, `settled(type, detail)`
   * hears of each once, and `backoff(tries)` says in how many ms to try again.
   */
  constructor({ transmit, settled, backoff }) {
    this.#transmit = transmit;
    this.#settled = settled;
    this.#backoff = backoff;
  }

  add(message) {
    this.#entries.set(message.client_msg_id, { message, inFlight: false, tries: 0 });
  }

  /** Sends what is not on its way already, in the order in which it was written. */
  flush() {
    clearTimeout(this.#timer);
    for (const entry of this.#entries.values()) {
      if (!entry.inFlight) this.#send(entry);
    }
  }

  async #send(entry) {
    const { message } = entry;
    const { client_msg_id } = message;
    entry.inFlight = true;
    try {
      const ack = await this.#transmit(message);
      this.#entries.delete(client_msg_id);
      this.#settled('sent', { client_msg_id, message, ack });
    } catch (error) {
      entry.inFlight = false;
      if (!error.retryable) {
        this.#entries.delete(client_msg_id);
        this.#settled('send_failed', { client_msg_id, message, error });
      } else if (error.code !== 'disconnected') {
        // Without a connection there is nothing to wait for but the next one, which flushes.
        clearTimeout(this.#timer);
        const delay = error.retryAfterMs ?? this.#backoff(++entry.tries);
        this.#timer = setTimeout(() => this.flush(), delay);
      }
    }
  }
}
