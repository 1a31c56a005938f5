/** The conversations, and who is in the one that is shown. */

import { wordsOf } from './bodies.js';
import { $, avatar, dressAvatar, element } from './dom.js';

const SHOWN_PEOPLE = 50;
const ORDER = { online: 0, away: 1, busy: 2, dnd: 3, offline: 4 };

export class Sidebar {
  #store;
  #language;
  #open;

  /** `open(conversationId)` is called when one is chosen. */
  constructor(store, language, open) {
    this.#store = store;
    this.#language = language;
    this.#open = open;
    $('menu').addEventListener('click', () => this.toggle());
    $('shade').addEventListener('click', () => this.toggle(false));
    // Whoever goes on by keyboard does not stay behind what lies over the room.
    $('side').addEventListener('focusout', ({ relatedTarget: next }) => {
      if (next && !$('side').contains(next)) this.toggle(false);
    });
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && $('side').classList.contains('open')) this.toggle(false);
    });
  }

  /** On a narrow page the sidebar lies over the room, and goes away again. */
  toggle(open = !$('side').classList.contains('open')) {
    const had = $('side').contains(document.activeElement);
    $('side').classList.toggle('open', open);
    $('shade').hidden = !open;
    $('menu').setAttribute('aria-expanded', String(open));
    if (open) $('side').querySelector($('found').hidden ? 'nav button' : 'input')?.focus();
    else if (had && $('menu').offsetParent) $('menu').focus();
  }

  statusOf(userId) {
    return this.#store.presence.get(userId) ?? 'offline';
  }

  /** Draws everything; `current` is the conversation that is shown, or undefined. */
  draw(current) {
    this.#drawConversations(current);
    this.#drawPeople(current);
    const { user_id: id, name } = this.#store.me ?? { user_id: '', name: '' };
    dressAvatar($('self-avatar'), id, name);
    $('self-name').textContent = name;
    const here = current && !this.#store.isQuiet(current.id) ? current.unread : 0;
    const elsewhere = this.#store.unread - here;
    $('menu-unread').hidden = elsewhere <= 0;
    $('menu-unread').textContent = elsewhere;
  }

  #drawConversations(current) {
    const focused = document.activeElement?.dataset?.conversation;
    const items = this.#store.listed().map((conversation) => {
      const { latest } = conversation;
      const who = latest && this.#store.nameOf(latest.sender_id);
      const words = (message) => wordsOf(message, (...what) => this.#language.t(...what)).slice(0, 120);
      const said = latest?.recalled_at ? this.#language.t('recalled') : latest && words(latest);
      const text = latest ? `${who}: ${said}` : '';
      const button = element(
        'button',
        {
          type: 'button',
          data: { conversation: conversation.id },
          on: { click: () => this.#open(conversation.id) },
        },
        element('span', { class: 'title', text: this.#store.titleOf(conversation) }),
      );
      if (conversation === current) button.setAttribute('aria-current', 'true');
      if (conversation.unread > 0) {
        button.append(element('span', { class: 'count', text: conversation.unread }));
      }
      const isQuiet = this.#store.isQuiet(conversation.id);
      if (isQuiet) button.classList.add('quieted');
      const set = [isQuiet && 'muted', this.#store.isOnTop(conversation.id) && 'onTop'].filter(Boolean);
      if (set.length > 0) {
        const text = set.map((key) => this.#language.t(key)).join(' · ');
        button.append(element('span', { class: 'set', text }));
      }
      button.append(element('span', { class: 'last', text }));
      return element('li', {}, button);
    });
    if (!items.length && this.#store.me) {
      items.push(element('li', { class: 'none', text: this.#language.t('noConversations') }));
    }
    $('conversations').replaceChildren(...items);
    if (focused) $('conversations').querySelector(`[data-conversation="${CSS.escape(focused)}"]`)?.focus();
  }

  #drawPeople(current) {
    const t = (key, values) => this.#language.t(key, values);
    const me = this.#store.me?.user_id;
    const people = [...(current?.people.keys() ?? [])].map((id) => ({
      id,
      name: this.#store.nameOf(id),
      status: this.statusOf(id),
    }));
    people.sort(
      (a, b) => ORDER[a.status] - ORDER[b.status] || a.name.localeCompare(b.name, this.#language.tag),
    );
    const row = ({ id, name, status }) =>
      element(
        'li',
        { data: { status, user: id } },
        avatar(id, name, 'avatar small'),
        element('span', { class: 'name', text: id === me ? `${name} (${t('you')})` : name }),
        element('span', { class: 'status', text: t(status) }),
      );
    const shown = people.slice(0, SHOWN_PEOPLE);
    const offline = shown.filter(({ status }) => status === 'offline');
    $('people').replaceChildren(...shown.filter(({ status }) => status !== 'offline').map(row));
    const more = (current?.participantCount ?? 0) - shown.length;
    const items = offline.map(row);
    if (more > 0) items.push(element('li', { class: 'soft', text: t('moreMembers', { n: more }) }));
    const fold = $('offline');
    fold.hidden = items.length === 0;
    fold.querySelector('summary').textContent = t('offlineCount', { n: offline.length + Math.max(0, more) });
    fold.querySelector('ul').replaceChildren(...items);
  }
}
