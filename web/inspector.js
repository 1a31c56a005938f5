/** What just happened: the latest frames, and whatever a correct server would never have done. */

import { $, element } from './dom.js';

const KEPT = 50;
const SHOWN_LENGTH = 600;
const SECRET = new Set(['token']);

export class Inspector {
  #language;
  #frames = [];
  #problems = [];
  #count = 0;

  constructor(language) {
    this.#language = language;
    $('inspector').addEventListener('toggle', () => this.draw());
  }

  attend(client) {
    client.on('frame', (frame) => this.#frame(frame));
    client.on('problem', (problem) => this.problem(problem));
  }

  #frame({ direction, frame, at }) {
    this.#frames.unshift({ direction, at, type: frame.type, text: describe(frame) });
    this.#frames.length = Math.min(this.#frames.length, KEPT);
    if ($('inspector').open) this.#drawFrame(this.#frames[0]);
  }

  problem({ kind, message }) {
    this.#problems.unshift(`${this.#language.stamp.format(new Date())} ${kind}: ${message}`);
    this.#problems.length = Math.min(this.#problems.length, KEPT);
    this.#count += 1;
    this.draw();
  }

  draw() {
    $('problem-count').hidden = this.#count === 0;
    $('problem-count').textContent = this.#language.t('problems', { n: this.#count });
    $('problems').replaceChildren(...this.#problems.map((text) => element('li', { text })));
    $('frames').replaceChildren();
    if ($('inspector').open) for (const frame of [...this.#frames].reverse()) this.#drawFrame(frame);
  }

  #drawFrame({ direction, at, type, text }) {
    const list = $('frames');
    $('no-frames').hidden = true;
    const label = this.#language.t(direction === 'in' ? 'inbound' : 'outbound');
    const sign = direction === 'in' ? '↓' : '↑';
    list.prepend(
      element(
        'li',
        {},
        element('time', { text: new Date(at).toISOString().slice(11, 23) }),
        element('span', { class: direction, text: `${sign} ${label}` }),
        element('strong', { text: type }),
        element('code', { text }),
      ),
    );
    while (list.children.length > KEPT) list.lastChild.remove();
  }
}

function describe(frame) {
  const text = JSON.stringify(frame, (key, value) => (SECRET.has(key) ? '…' : value));
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)} … (${text.length})` : text;
}
