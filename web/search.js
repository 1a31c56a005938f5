/** Finding messages: a field, and the list of what was found. */

import { $, element, say } from './dom.js';

const PATH = 'api/v1/messages/search';
const PAUSE_MS = 250;
const AGAIN_MS = 1_000;
const PAGE = 20;

export class Search {
  #language;
  #actions;
  #timer = null;
  #asked = 0;
  #found = [];
  #next = null;
  #error = null;

  /** `actions`: `token()`, `titleOf(conversationId)`, `nameOf(message)` and `go(message)`. */
  constructor(language, actions) {
    this.#language = language;
    this.#actions = actions;
    $('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#ask();
    });
    $('q').addEventListener('input', ({ isComposing }) => {
      if (!isComposing) this.#askIn(PAUSE_MS);
    });
    $('q').addEventListener('compositionend', () => this.#askIn(PAUSE_MS));
    $('found-more').addEventListener('click', () => this.#ask(this.#next));
    for (const part of [$('search'), $('found')]) part.addEventListener('keydown', (event) => this.#key(event));
  }

  attend(client) {
    client.on('message_updated', ({ id, recalled_at }) => recalled_at && this.#forget(id));
  }

  clear() {
    $('q').value = '';
    this.#ask();
  }

  /** Draws again what depends on the language. */
  draw() {
    const t = (key, values) => this.#language.t(key, values);
    const wanted = $('q').value.trim() !== '';
    $('side').classList.toggle('searching', wanted);
    $('found').hidden = !wanted;
    const words = { n: `${this.#found.length}${this.#next ? '+' : ''}` };
    const said = this.#found.length ? t('searchFound', words) : t('searchNothing');
    say('found-title', this.#error ? this.#language.error(this.#error) : said);
    const at = [...$('found').querySelectorAll('button')].indexOf(document.activeElement);
    const focused = document.activeElement?.dataset.id;
    $('found-list').replaceChildren(...this.#found.map((result) => element('li', {}, this.#item(result))));
    $('found-more').hidden = !this.#next;
    if (at >= 0) this.#refocus(focused, at);
  }

  /** What had the focus and was drawn anew has it again, or what stands in its place. */
  #refocus(id, at) {
    if (document.activeElement === $('found-more') && this.#next) return;
    const all = [...$('found-list').querySelectorAll('button')];
    (all.find((button) => button.dataset.id === id) ?? all[Math.min(at, all.length - 1)] ?? $('q')).focus();
  }

  /** What was taken back says nothing any more, here neither. */
  #forget(id) {
    const found = this.#found.filter(({ message }) => message.id !== id);
    if (found.length === this.#found.length) return;
    this.#found = found;
    this.draw();
  }

  #item({ message, snippet }) {
    const at = new Date(message.created_at);
    const parts = snippet.map(({ text, match }) => element(match ? 'mark' : 'span', { text }));
    const room = message.conversation_id ? this.#actions.titleOf(message.conversation_id) : message.title ?? '';
    const head = element('span', { class: 'title', text: this.#actions.nameOf(message) });
    const when = element('time', { datetime: message.created_at, text: this.#language.stamp.format(at) });
    return element(
      'button',
      { type: 'button', data: { id: message.id }, on: { click: () => message.conversation_id && this.#actions.go(message) } },
      head,
      element('span', { class: 'snippet', dir: 'auto' }, ...parts),
      element('span', { class: 'last' }, `${room} · `, when),
    );
  }

  #key(event) {
    if (event.isComposing) return;
    const stops = [$('q'), ...$('found').querySelectorAll('button:not([hidden])')];
    const at = stops.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape' && $('q').value) {
      event.preventDefault();
      event.stopPropagation();
      this.clear();
      $('q').focus();
    } else if (step && stops[at + step]) {
      event.preventDefault();
      stops[at + step].focus();
    }
  }

  #askIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), ms);
  }

  /** Asks for what stands in the field, or for the next page of it. */
  async #ask(cursor = null) {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const q = $('q').value.trim();
    let answer = { results: [], next_cursor: null };
    this.#error = null;
    if (q) {
      const parameters = new URLSearchParams({ q, limit: PAGE, ...(cursor && { cursor }) });
      try {
        answer = await this.#get(parameters);
      } catch (error) {
        this.#error = error;
      }
    }
    // Somebody has typed on meanwhile.
    if (asked !== this.#asked) return;
    this.#found = cursor ? [...this.#found, ...answer.results] : answer.results;
    this.#next = answer.next_cursor;
    this.draw();
    // What was said a moment ago is on its way into the index.
    if (answer.up_to_date === false && !cursor) this.#askIn(AGAIN_MS);
  }

  async #get(parameters) {
    const headers = { Authorization: `Bearer ${await this.#actions.token()}` };
    const response = await fetch(`${PATH}?${parameters}`, { headers }).catch(() => null);
    const answer = await response?.json().catch(() => null);
    if (response?.ok && answer) return answer;
    throw answer?.error ?? { code: 'unavailable', message: `HTTP ${response?.status ?? 0}` };
  }
}
