/** What becomes of a message that was sent: it is edited, taken back, or reacted to. */

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

  /** What is refused is said, since nothing on the page would show it. */
  async #ask(type, data) {
    try {
      await this.#client.request(type, data);
    } catch (error) {
      const message = this.#language.error(error);
      this.#notices.add({ id: type, type: 'error', message: this.#language.t('notDone', { reason: message }) });
    }
  }
}
