/** How the connection is, in words: a light in the bar, and a banner where it needs attention. */

import { $ } from './dom.js';

const DRAW_EVERY_MS = 500;

export class Connection {
  #language;
  #announce;
  #client = null;
  #wasLost = false;

  constructor(language, announce) {
    this.#language = language;
    this.#announce = announce;
    $('try-now').addEventListener('click', () => this.#client.retryNow());
    addEventListener('online', () => this.#client?.wake());
    addEventListener('offline', () => this.draw());
    setInterval(() => this.draw(), DRAW_EVERY_MS);
  }

  attend(client) {
    this.#client = client;
  }

  /** There is one, again or for the first time. */
  ready() {
    if (this.#wasLost) this.#announce(this.#language.t('backAgain'));
    this.#wasLost = false;
    this.draw();
  }

  /** Takes what the client says of its state. */
  changed({ state }) {
    if (state === 'waiting' && !this.#wasLost) {
      this.#wasLost = true;
      this.#announce(this.#language.t('reconnectingNow'));
    }
    this.draw();
  }

  draw() {
    if (!this.#client || $('chat').hidden) return;
    const t = (key, values) => this.#language.t(key, values);
    const { state, retryAt, code, reason } = this.#client.state;
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const words = {
      online: () => t('connected'),
      waiting: () => (seconds > 0 ? t('reconnecting', { n: seconds }) : t('reconnectingNow')),
      connecting: () => t(this.#wasLost ? 'reconnectingNow' : 'connecting'),
      stopped: () => t('disconnected'),
    };
    const text = navigator.onLine || state === 'online' ? words[state]?.() : t('youAreOffline');
    $('chat').dataset.state = $('connection').dataset.state = state;
    if ($('connection-text').textContent !== text) $('connection-text').textContent = text ?? '';

    const banner = $('banner');
    const stands = !banner.hidden;
    banner.dataset.state = state;
    // A first connect shows no banner, and a reconnect that takes no time is not worth one; one that
    // stands stays until it is over.
    banner.hidden = !(state === 'stopped' || (this.#wasLost && (stands || seconds > 0)));
    const stopped = code === null ? t('gaveUp') : t('stoppedNote', { code, reason });
    $('banner-text').textContent = state === 'stopped' ? stopped : t('waitingNote');
    $('try-now').disabled = state === 'connecting';
  }
}
