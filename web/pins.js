/** The pinned messages of the conversation that is shown: the newest in the room's head, the others below it. */

import { wordsOf } from './bodies.js';
import { $, element } from './dom.js';

const MOST = 50;

export class Pins {
  #store;
  #language;
  #actions;
  #conversation = null;
  #held = new Map();
  /** What has changed while the list was on its way, which may be older than that. */
  #changed = new Map();
  #asked = 0;
  #isOpen = false;

  /** `actions`: `token()`, `go(message)` and `unpin(message)`. */
  constructor(store, language, actions) {
    this.#store = store;
    this.#language = language;
    this.#actions = actions;
    $('pins-all').addEventListener('click', () => this.#toggle(!this.#isOpen));
    $('pins').addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || !this.#isOpen) return;
      this.#toggle(false);
      $('pins-all').focus();
    });
  }

  attend(client) {
    client.on('message_updated', (message) => this.#updated(message));
    // What may have been missed is read again.
    for (const type of ['filled', 'reset', 'restored']) client.on(type, () => this.load());
  }

  show(conversation) {
    this.#conversation = conversation;
    this.#held.clear();
    this.#toggle(false);
    this.load();
  }

  draw() {
    const list = [...this.#held.values()].sort((a, b) => b.pinned_at.localeCompare(a.pinned_at) || b.seq - a.seq);
    const had = $('pins').contains(document.activeElement);
    const focused = document.activeElement?.dataset.focus;
    const isOpen = this.#isOpen && list.length > 1;
    const title = () => element('strong', { class: 'pin', text: this.#language.t('pins') });
    const newest = list.slice(0, 1).map((message) => this.#button(message, 'newest'));
    $('pins').hidden = list.length === 0;
    $('pin-newest').replaceChildren(...(isOpen ? [title()] : newest));
    $('pins-all').hidden = list.length < 2;
    $('pins-all').textContent = this.#language.t('pinsAll', { n: list.length });
    $('pins-all').setAttribute('aria-expanded', String(isOpen));
    $('pin-list').hidden = !isOpen;
    $('pin-list').replaceChildren(...(isOpen ? list.map((message) => this.#item(message)) : []));
    if (had) this.#refocus(focused);
  }

  #item(message) {
    const text = this.#language.t('unpin');
    const on = { click: () => this.#actions.unpin(message) };
    const data = { focus: `unpin ${message.id}` };
    return element(
      'li',
      {},
      this.#button(message, 'go'),
      element('button', { type: 'button', class: 'quiet', text, data, on }),
    );
  }

  #button(message, what) {
    const t = (key, values) => this.#language.t(key, values);
    const go = () => {
      this.#toggle(false);
      this.#actions.go(message);
    };
    return element(
      'button',
      { type: 'button', class: 'pin', data: { focus: `${what} ${message.id}` }, on: { click: go } },
      element('strong', { text: message.sender_name || this.#store.nameOf(message.sender_id) }),
      ' ',
      element('span', { dir: 'auto', text: wordsOf(message, t).slice(0, 200) }),
    );
  }

  /** What had the focus and was drawn anew has it again, or what stands first. */
  #refocus(name) {
    if ($('pins').contains(document.activeElement)) return;
    const all = [...$('pins').querySelectorAll('[data-focus]')];
    (all.find((node) => node.dataset.focus === name) ?? all[0] ?? $('text')).focus();
  }

  #toggle(isOpen) {
    this.#isOpen = isOpen;
    this.draw();
  }

  #updated(message) {
    if (message.conversation_id !== this.#conversation?.id) return;
    this.#changed.set(message.id, message);
    this.#put(message);
    this.draw();
  }

  #put(message) {
    if ((this.#held.get(message.id)?.change_seq ?? 0) > message.change_seq) return;
    if (message.pinned_at && !message.recalled_at) this.#held.set(message.id, message);
    else this.#held.delete(message.id);
  }

  async load() {
    const asked = ++this.#asked;
    this.#changed.clear();
    const messages = this.#conversation && (await this.#get(this.#conversation.id));
    if (!messages || asked !== this.#asked) return;
    this.#held = new Map(messages.map((message) => [message.id, message]));
    for (const message of this.#changed.values()) this.#put(message);
    this.draw();
  }

  /** The list as the server has it; null when it did not come, and then the next connection asks again. */
  async #get(id) {
    try {
      const headers = { Authorization: `Bearer ${await this.#actions.token()}` };
      const path = `api/v1/conversations/${encodeURIComponent(id)}/pins?limit=${MOST}`;
      const response = await fetch(path, { headers });
      return response.ok ? (await response.json()).messages : null;
    } catch {
      return null;
    }
  }
}
