/** What becomes of a message that was sent: it is edited, taken back, reacted to, pinned or forwarded. */

/** What is too much is not always too long. */
const TOO_MANY = { react: 'tooManyReactions', pin_message: 'tooManyPins' };

export class Changes {
  #language;
  #notices;
  #client = null;

  constructor(language, notices) {
    this.#language = language;
    this.#notices = notices;
  }

  attend(client) {
    this.#client = client;
  }

  edit({ id }, content) {
    return this.#ask('edit_message', { message_id: id, content });
  }

  recall({ id }) {
    return this.#ask('recall_message', { message_id: id });
  }

  react({ id }, emoji, on) {
    return this.#ask('react', { message_id: id, emoji, on });
  }

  pin({ id }, on) {
    return this.#ask('pin_message', { message_id: id, on });
  }

  /** Gives what went wrong, in words, or ''; the same `key` again is the same message there. */
  forward({ id }, conversationId, key) {
    const data = { message_id: id, conversation_ids: [conversationId], client_msg_id: key };
    return this.#problem('forward_message', data);
  }

  /** What is refused is said, since nothing on the page would show it. */
  async #ask(type, data) {
    const message = await this.#problem(type, data);
    if (message) this.#notices.add({ id: type, type: 'error', message });
  }

  async #problem(type, data) {
    try {
      await this.#client.request(type, data);
      return '';
    } catch (error) {
      const tooMany = error.code === 'too_large' && TOO_MANY[type];
      const reason = tooMany ? this.#language.t(tooMany) : this.#language.error(error);
      return this.#language.t('notDone', { reason });
    }
  }
}
