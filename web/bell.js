/** The bell: the messages of the inbox, how many of them are new, and what reads them. */

import { $, element } from './dom.js';

const PATH = 'api/v1/inbox';
const PAGE = 30;
const MOST = 99;

export class Bell {
  #language;
  #actions;
  #held = new Map();
  /** What is unread as the server counted it, and up to which number it did. */
  #counted = { unread: 0, seq: 0 };
  #next = null;
  #loaded = false;

  /** `actions`: `token()`, `read(what)` and `announce(text)`. */
  constructor(language, actions) {
    this.#language = language;
    this.#actions = actions;
    $('bell').addEventListener('click', () => this.toggle($('inbox').hidden));
    $('inbox-close').addEventListener('click', () => this.toggle(false));
    $('inbox-all').addEventListener('click', () => this.#readAll());
    $('inbox-more').addEventListener('click', () => this.#load(this.#next));
    document.addEventListener('pointerdown', ({ target }) => {
      if (!$('inbox').hidden && !target.closest('#inbox, #bell')) this.toggle(false, false);
    });
    for (const part of [$('inbox'), $('bell')]) {
      part.addEventListener('keydown', (event) => {
        if (event.key === 'Escape' && !$('inbox').hidden) this.toggle(false);
      });
    }
  }

  attend(client) {
    client.on('notification', (message) => message.id && this.#received(message));
    client.on('notification_updated', (message) => this.#received(message));
    client.on('notification_removed', (data) => this.#removed(data));
    client.on('inbox_read', (data) => this.#readUpto(data));
    client.on('inbox_gap', () => this.forget());
    // Of a conversation they are not about the inbox.
    client.on('unread_update', ({ conversation_id: id, unread, last_seq: seq }) => {
      if (id === null) this.counted({ unread, seq });
    });
    client.on('reset', ({ conversation_id: id }) => id === null && this.forget());
    client.on('restored', ({ conversation_id: id }) => id === null && this.forget(true));
  }

  get unread() {
    const since = [...this.#held.values()].filter(({ seq, is_read }) => seq > this.#counted.seq && !is_read);
    return this.#counted.unread + since.length;
  }

  /** Takes what `connection_established` says, or `unread_update`. */
  counted({ unread, seq }) {
    this.#counted = { unread, seq };
    this.draw();
  }

  /** Takes a message as it is now. */
  #received(message) {
    const isNew = !this.#held.has(message.id) && message.seq > this.#counted.seq;
    this.#held.set(message.id, message);
    if (isNew && !message.is_read) {
      const { title, content } = message;
      const text = (title ? `${title}: ${content}` : content).slice(0, 300);
      this.#actions.announce(this.#language.t('bellNew', { text }));
    }
    this.draw();
  }

  #removed({ id }) {
    this.#held.delete(id);
    this.draw();
  }

  /** Everything up to a number is read. */
  #readUpto({ read_seq, read_at }) {
    for (const message of this.#held.values()) {
      if (message.seq <= read_seq && !message.is_read) Object.assign(message, { is_read: true, read_at });
    }
    this.draw();
  }

  /** What is held may not be all, or is `wrong`: the list is read again when somebody looks. */
  forget(wrong = false) {
    if (wrong) this.#held.clear();
    this.#loaded = false;
    if (!$('inbox').hidden) this.#load();
  }

  toggle(open, back = true) {
    $('inbox').hidden = !open;
    $('bell').setAttribute('aria-expanded', String(open));
    if (open && !this.#loaded) this.#load();
    if (open) $('inbox-title').focus();
    else if (back) $('bell').focus();
  }

  draw() {
    const t = (key, values) => this.#language.t(key, values);
    const { unread } = this;
    const shown = unread > MOST ? `${MOST}+` : unread;
    $('bell-count').hidden = unread === 0;
    $('bell-count').textContent = shown;
    const label = unread ? t('bellUnread', { n: unread }) : t('bell');
    $('bell').setAttribute('aria-label', label);
    $('bell').title = label;
    $('inbox-all').disabled = unread === 0;
    $('inbox-more').hidden = !this.#next;
    const list = [...this.#held.values()].sort((a, b) => b.seq - a.seq);
    $('inbox-empty').hidden = list.length > 0;
    const focused = document.activeElement?.closest('#inbox-list button')?.dataset.id;
    $('inbox-list').replaceChildren(...list.map((message) => element('li', {}, this.#item(message))));
    if (focused) $('inbox-list').querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(message) {
    const t = (key) => this.#language.t(key);
    const { id, title, content, is_read, priority, created_at, sender_name } = message;
    const when = element('time', { datetime: created_at, text: this.#language.stamp.format(new Date(created_at)) });
    const parts = [element('span', { class: 'unseen', text: is_read ? '' : `${t('unread')} ` })];
    if (priority === 'high' || priority === 'urgent') {
      parts.push(element('span', { class: 'priority', text: t(`priority_${priority}`) }));
    }
    if (title) parts.push(element('strong', { dir: 'auto', text: title }));
    parts.push(element('span', { class: 'what', dir: 'auto', text: content }));
    parts.push(element('span', { class: 'last' }, `${sender_name} · `, when));
    const read = () => is_read || this.#actions.read({ message_ids: [id] });
    return element('button', { type: 'button', data: { id, unread: !is_read, priority }, on: { click: read } }, ...parts);
  }

  #readAll() {
    this.#actions.read({ seq: Math.max(this.#counted.seq, ...[...this.#held.values()].map(({ seq }) => seq)) });
    $('inbox-title').focus();
  }

  async #load(cursor = null) {
    this.#loaded = true;
    const parameters = new URLSearchParams({ limit: PAGE, ...(cursor && { cursor }) });
    const headers = { Authorization: `Bearer ${await this.#actions.token()}` };
    const response = await fetch(`${PATH}?${parameters}`, { headers }).catch(() => null);
    const page = response?.ok ? await response.json().catch(() => null) : null;
    if (!page) {
      this.#loaded = false;
      return;
    }
    for (const message of page.messages) {
      // What came live meanwhile is newer than the page.
      if ((this.#held.get(message.id)?.change_seq ?? 0) <= message.change_seq) this.#held.set(message.id, message);
    }
    this.#next = page.next_cursor;
    this.draw();
  }
}
