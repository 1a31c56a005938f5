/** Messages of one's own on their way: shown at once, and kept until the server has them. */

export class Outgoing {
  #store;
  #session;
  #language;
  #sent;
  #client = null;
  #restored = false;

  /** `sent()` is called when a message was put among those of its conversation. */
  constructor(store, session, language, sent) {
    this.#store = store;
    this.#session = session;
    this.#language = language;
    this.#sent = sent;
  }

  attend(client) {
    this.#client = client;
    // A client of somebody who had to sign in again knows nothing of what the one before could not send.
    this.#restored = false;
    client.on('sent', (data) => {
      this.#store.sent(data);
      this.#keep();
    });
    client.on('send_failed', (data) => {
      this.#store.failed(data);
      this.#keep();
    });
  }

  /** Sends a new message, or one that failed under the id that it had. */
  send({ conversation_id, content, client_msg_id, message_type, body, reply_to }) {
    const message = {
      conversation_id,
      content,
      ...(client_msg_id && { client_msg_id }),
      ...(body && { message_type, body }),
      ...(reply_to && { reply_to }),
    };
    this.#store.sending({ ...message, client_msg_id: this.#client.send(message) });
    this.#keep();
    this.#sent();
  }

  /** Sends what was written before the tab was loaded again. */
  restore() {
    if (!this.#restored) for (const message of this.#session.unsent) this.send(message);
    this.#restored = true;
  }

  /** In words why a text is longer than the server takes it, or ''. */
  refusal(content) {
    const most = this.#client.session?.limits?.content_bytes ?? Infinity;
    const size = new TextEncoder().encode(content).length;
    if (size <= most) return '';
    const number = (value) => value.toLocaleString(this.#language.tag);
    return this.#language.t('tooLong', { size: number(size), most: number(most) });
  }

  /** What has no ack yet outlives a reload of the tab; its id makes it safe to send it again. */
  #keep() {
    const unsent = [];
    for (const { pending } of this.#store.conversations.values()) {
      for (const { state, error, created_at, ...message } of pending.values()) {
        if (state === 'sending') unsent.push(message);
      }
    }
    this.#session.unsent = unsent;
  }
}
