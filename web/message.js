/** A message as it stands in the list: who said what and when, how far it has come, and its tools. */

import { linksOf, wordsOf } from './bodies.js';
import { avatar, element } from './dom.js';
import { quote, reactions, tools } from './later.js';

// As they are, these will be refused again.
const FUTILE = new Set(['too_large', 'bad_request', 'unsupported']);

export class MessageRows {
  #store;
  #language;
  #actions;

  /** `actions` are those of the timeline, with `open(message)`, which opens the tools of one or closes them. */
  constructor(store, language, actions) {
    this.#store = store;
    this.#language = language;
    this.#actions = actions;
  }

  /** `{key, signature, make}`: what tells it from others, what it is drawn from, and what draws it. */
  row(conversation, message, { isMine, isFirst, isOpen }) {
    const mark = isMine ? this.#mark(conversation, message) : null;
    const key = isMine && message.client_msg_id ? `mine ${message.client_msg_id}` : message.id;
    const name = message.sender_name || this.#store.nameOf(message.sender_id);
    const quoted = message.reply_to && conversation.messages.find(({ id }) => id === message.reply_to);
    const signature = JSON.stringify([
      isFirst, mark, name, message.change_seq, message.content, message.created_at, message.error?.message,
      isOpen, quoted?.change_seq, message.body,
    ]);
    const make = () => {
      const about = this.#about(conversation, message, isMine);
      return this.#draw(message, { key, mark, name, quoted, isMine, isFirst, isOpen, about });
    };
    return { key, signature, make };
  }

  #draw(message, { key, mark, name, quoted, isMine, isFirst, isOpen, about }) {
    const said = element('div', { class: 'said' }, this.#bubble(message, mark, quoted, about));
    const body = element('div', { class: 'body' }, said);
    if (message.id && !message.recalled_at) {
      const [opener, bar] = tools(message, isOpen, about);
      said.append(opener);
      if (bar) body.append(bar);
    }
    const given = reactions(message, about);
    if (given) body.append(given);
    const states = [isMine && 'mine', isFirst && 'first', message.state === 'failed' && 'failed'];
    if (message.state === 'sending') states.push('pending');
    if (message.mentions?.some((id) => id === about.me || id === '@all')) states.push('named');
    const item = element('li', {
      class: ['message', ...states.filter(Boolean)].join(' '),
      data: { key, ...(message.id && { id: message.id }) },
    });
    if (!isMine && isFirst) {
      item.append(avatar(message.sender_id, name));
      body.prepend(element('div', { class: 'who', text: name }));
    } else {
      body.prepend(element('span', { class: 'unseen', text: isMine ? about.t('you') : name }));
    }
    if (message.state === 'failed') body.append(this.#failure(message));
    item.append(body);
    return item;
  }

  #bubble(message, mark, quoted, about) {
    const { t } = about;
    const bubble = element('div', { class: message.recalled_at ? 'bubble gone' : 'bubble' });
    const answered = quote(message, quoted, about, wordsOf);
    if (answered) bubble.append(answered);
    const origin = message.forwarded_from;
    if (origin) {
      const text = t('forwardedFrom', { name: origin.sender_name });
      bubble.append(element('div', { class: 'origin', dir: 'auto', text }));
    }
    const carried = this.#actions.attachments.draw(message);
    if (carried) bubble.append(carried);
    const words = carried ? message.content : wordsOf(message, t);
    const text = message.recalled_at ? t('recalled') : words;
    bubble.append(element('span', { class: 'text', dir: 'auto', text }), ...linksOf(message), this.#tail(message, mark));
    return bubble;
  }

  #tail(message, mark) {
    const at = new Date(message.created_at);
    const time = element('time', {
      datetime: message.created_at,
      title: this.#language.stamp.format(at),
      text: this.#language.time.format(at),
    });
    const tail = element('span', { class: 'tail' }, time);
    if (message.edited_at && !message.recalled_at) tail.prepend(`${this.#language.t('edited')} `);
    if (message.pinned_at) tail.prepend(`${this.#language.t('pinned')} · `);
    if (mark) tail.append(tick(mark));
    return tail;
  }

  /** What the parts of a message need to know. */
  #about({ kind, ownerId }, message, isMine) {
    const me = this.#store.me?.user_id;
    const actions = { ...this.#actions };
    // What is chosen from the tools closes them.
    for (const name of ['react', 'change', 'reply', 'forward', 'pin']) {
      actions[name] = (...what) => {
        this.#actions.open(message);
        this.#actions[name](...what);
      };
    }
    return {
      t: (key, values) => this.#language.t(key, values),
      me,
      nameOf: (id) => this.#store.nameOf(id),
      react: this.#actions.react,
      can: {
        // Services alone send into a `system` conversation, and send `system` messages on.
        reply: kind !== 'system',
        forward: message.message_type !== 'system',
        pin: kind !== 'system' || ownerId === me,
        change: isMine,
        recall: isMine || ownerId === me,
      },
      actions,
    };
  }

  #mark(conversation, message) {
    const t = (key, values) => this.#language.t(key, values);
    if (message.state === 'failed') return { state: 'failed', sign: '!', label: '' };
    if (message.state) {
      const key = this.#actions.isOnline() ? 'sending' : 'queued';
      return { state: key, sign: '◷', label: t(key) };
    }
    const { state, reached, others, names } = this.#store.receipt(conversation, message);
    const label = t(state, { n: reached, all: others });
    const shown = names.slice(0, 8).join(', ');
    return { state, sign: state === 'sent' ? '✓' : '✓✓', label, title: shown && `${label}: ${shown}` };
  }

  #failure(message) {
    const reason = this.#language.error(message.error);
    const button = (key, action) =>
      element('button', { type: 'button', class: 'quiet', text: this.#language.t(key), on: { click: action } });
    return element(
      'div',
      { class: 'problem', role: 'alert' },
      element('span', { text: this.#language.t('failed', { reason }) }),
      ...(FUTILE.has(message.error.code) ? [] : [button('retry', () => this.#actions.retry(message))]),
      button('edit', () => this.#actions.edit(message)),
    );
  }
}

function tick({ state, sign, label, title }) {
  const made = element('span', { class: 'tick', data: { state }, text: sign });
  if (!label) return made;
  made.setAttribute('role', 'img');
  made.setAttribute('aria-label', label);
  made.title = title || label;
  return made;
}
