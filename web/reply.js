/** What the next message answers: quoted above the box, and let go of by its button or by Escape. */

import { wordsOf } from './bodies.js';
import { $, say } from './dom.js';

export class Reply {
  #store;
  #language;
  #conversation = null;
  /** What is answered in each conversation, as it was when it was chosen. */
  #answered = new Map();

  constructor(store, language) {
    this.#store = store;
    this.#language = language;
    $('reply-cancel').addEventListener('click', () => {
      this.cancel();
      $('text').focus();
    });
  }

  show(conversation) {
    this.#conversation = conversation;
    this.draw();
  }

  /** What is sent next in the conversation that is shown answers this message of it. */
  to(message) {
    this.#answered.set(this.#conversation.id, message);
    this.draw();
    $('text').focus();
  }

  cancel() {
    this.#answered.delete(this.#conversation?.id);
    this.draw();
  }

  /** The id of what is answered, for the one message that answers it; undefined where nothing is. */
  take() {
    const { id } = this.#now() ?? {};
    this.cancel();
    return id;
  }

  draw() {
    const message = this.#now();
    $('reply').hidden = !message;
    const t = (key, values) => this.#language.t(key, values);
    const name = message && (message.sender_name || this.#store.nameOf(message.sender_id));
    say('reply-to', message ? t('replyTo', { name }) : '');
    say('reply-text', message ? wordsOf(message, t).slice(0, 200) : '');
  }

  /** What is answered, as it is now; nothing once it was taken back. */
  #now() {
    const chosen = this.#answered.get(this.#conversation?.id);
    const message = this.#conversation?.messages.find(({ id }) => id === chosen?.id) ?? chosen;
    return message?.recalled_at ? undefined : message;
  }
}
