/** What an operator says to everybody: a line above the room that stays until it is dismissed. */

import { $, element } from './dom.js';

const SHOWN = 3;
const KINDS = new Set(['info', 'success', 'warning', 'error', 'urgent']);

export class Notices {
  #language;
  #list = [];

  constructor(language) {
    this.#language = language;
  }

  /** Takes a `system_notification`; the oldest gives way where there would be too many. */
  add({ id, title, message, type }) {
    const kind = KINDS.has(type) ? type : 'info';
    this.#list = [...this.#list.filter((notice) => notice.id !== id), { id, title, message, kind }];
    this.#list = this.#list.slice(-SHOWN);
    this.draw();
  }

  draw() {
    const t = (key) => this.#language.t(key);
    const kept = new Map([...$('notices').children].map((node) => [node.dataset.id, node]));
    const nodes = this.#list.map(({ id, title, message, kind }) => {
      // A live region reads out what is new in it, so what stands is left as it is.
      const key = `${this.#language.code} ${id}`;
      if (kept.has(key)) return kept.get(key);
      return element(
        'div',
        { class: 'notice', data: { id: key, kind } },
        element('strong', { text: t(`notice_${kind}`) }),
        element('span', { dir: 'auto', text: title ? `${title}: ${message}` : message }),
        element('button', {
          type: 'button',
          text: t('dismiss'),
          on: { click: () => this.#dismiss(id) },
        }),
      );
    });
    for (const node of kept.values()) if (!nodes.includes(node)) node.remove();
    for (const node of nodes) if (!node.parentNode) $('notices').append(node);
  }

  #dismiss(id) {
    this.#list = this.#list.filter((notice) => notice.id !== id);
    this.draw();
    $('text').focus();
  }
}
