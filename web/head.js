/** The head of the room: which conversation it is, who is in it, and what the person has set for it. */

import { $ } from './dom.js';

export class Head {
  #store;
  #language;
  #preferences;
  #current = null;

  constructor(store, language, preferences) {
    this.#store = store;
    this.#language = language;
    this.#preferences = preferences;
    $('mute').addEventListener('click', () => {
      const { id } = this.#current;
      this.#preferences.mute(id, !this.#preferences.isMuted(id));
    });
    $('on-top').addEventListener('click', () => {
      const { id } = this.#current;
      this.#preferences.pin(id, !this.#preferences.isPinned(id));
    });
  }

  /** Draws it for the conversation that is shown, or null. */
  draw(current) {
    this.#current = current;
    const t = (key, values) => this.#language.t(key, values);
    $('room-title').textContent = current ? this.#store.titleOf(current) : '';
    const here = [...(current?.people.keys() ?? [])].filter((id) => this.#store.presence.has(id)).length;
    const members = t('members', { n: current?.participantCount ?? 0 });
    $('room-members').textContent = current ? t('membersHere', { here, members }) : '';
    const { id } = current ?? {};
    const set = { mute: this.#preferences.isMuted(id), 'on-top': this.#preferences.isPinned(id) };
    for (const [button, isSet] of Object.entries(set)) {
      $(button).hidden = !current;
      $(button).setAttribute('aria-pressed', String(isSet));
    }
  }
}
