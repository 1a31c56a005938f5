/** Choosing where a message is forwarded to: a list of the conversations over the page. */

import { wordsOf } from './bodies.js';
import { $, element } from './dom.js';
import { newId } from './ids.js';

export class Forward {
  #store;
  #language;
  #actions;
  #message = null;
  #key = '';
  #isSending = false;

  /**
   * `actions`: `send(message, conversationId, key)`, which gives what went wrong in words or '', and
   * `sent(conversationId)`.
   */
  constructor(store, language, actions) {
    this.#store = store;
    this.#language = language;
    this.#actions = actions;
    $('forward').addEventListener('close', () => this.#show('', ''));
    $('forward-close').addEventListener('click', () => this.close());
    $('forward-filter').addEventListener('input', () => this.#draw());
    $('forward-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if ($('forward-filter').value.trim()) $('forward-list').querySelector('button')?.click();
    });
    $('forward').addEventListener('click', ({ target }) => {
      if (target === $('forward')) this.close();
    });
  }

  open(message) {
    this.#message = message;
    // What is sent again after an answer that was lost is the same message there.
    this.#key = newId('c');
    $('forward-filter').value = '';
    $('forward-error').textContent = '';
    const t = (key, values) => this.#language.t(key, values);
    this.#show(message.sender_name || this.#store.nameOf(message.sender_id), wordsOf(message, t).slice(0, 200));
    this.#draw();
    $('forward').showModal();
  }

  close() {
    $('forward').close();
  }

  #show(name, text) {
    $('forward-name').textContent = name;
    $('forward-text').textContent = text;
  }

  #draw() {
    const wanted = $('forward-filter').value.trim().toLocaleLowerCase();
    const items = [];
    for (const conversation of this.#store.listed()) {
      const title = this.#store.titleOf(conversation);
      // Into these services alone send.
      if (conversation.kind === 'system' || !title.toLocaleLowerCase().includes(wanted)) continue;
      const on = { click: () => this.#send(conversation.id) };
      items.push(element('li', {}, element('button', { type: 'button', dir: 'auto', text: title, on })));
    }
    $('forward-list').replaceChildren(...items);
    $('forward-none').hidden = items.length > 0;
  }

  async #send(conversationId) {
    if (this.#isSending) return;
    this.#isSending = true;
    const key = this.#key;
    const problem = await this.#actions.send(this.#message, conversationId, key);
    this.#isSending = false;
    // Somebody has closed the list meanwhile, and perhaps opened it for another message.
    if (key !== this.#key || !$('forward').open) return;
    $('forward-error').textContent = problem;
    if (problem) return;
    this.close();
    this.#actions.sent(conversationId);
  }
}
