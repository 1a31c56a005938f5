/** The messages of one conversation: drawn, scrolled, and paged back through. */

import { linksOf, wordsOf } from './bodies.js';
import { $, avatar, element } from './dom.js';
import { quote, reactions, tools } from './later.js';

const SAME_BREATH_MS = 5 * 60_000;
const NEAR_PX = 80;
const OLDER_PX = 160;
// As they are, these will be refused again.
const FUTILE = new Set(['too_large', 'bad_request', 'unsupported']);

export class Timeline {
  #store;
  #language;
  #actions;
  #conversation = null;
  #drawn = new Map();
  #dividerSeq = null;
  #unseen = 0;
  #follow = true;
  #loading = false;
  #height = 0;
  #openId = null;

  /**
   * `actions`: `older()`, `retry(message)`, `edit(message)`, `seen()`, `isOnline()`, and `attachments`; of messages
   * that were sent `react(message, emoji, on)`, `change(message)` and `recall(message)`.
   */
  constructor(store, language, actions) {
    this.#store = store;
    this.#language = language;
    this.#actions = actions;
    $('scroller').addEventListener('scroll', () => this.#scrolled(), { passive: true });
    $('jump').addEventListener('click', () => this.toEnd());
    $('messages').addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && this.#openId !== null) this.#toggle({ id: this.#openId });
    });
    $('older').addEventListener('click', () => this.#older());
    new ResizeObserver(() => {
      this.#height = $('scroller').clientHeight;
      if (this.#follow) this.toEnd();
    }).observe($('scroller'));
  }

  /** Whether the newest message is in view. */
  get atEnd() {
    return this.#follow;
  }

  show(conversation) {
    this.#conversation = conversation;
    this.#drawn.clear();
    $('messages').replaceChildren();
    this.#dividerSeq = null;
    this.#unseen = 0;
    this.#follow = true;
    this.#openId = null;
    this.draw();
  }

  /** Puts the divider before what came after `seq`, unless one stands already. */
  divide(seq) {
    this.#dividerSeq ??= seq;
  }

  undivide() {
    this.#dividerSeq = null;
  }

  /** Counts a message that came while the end was out of view. */
  missed() {
    this.#unseen += 1;
  }

  /** Brings a message into view and puts the focus on it, where it is drawn. */
  point({ id, client_msg_id: own }) {
    const row = this.#drawn.get(id) ?? this.#drawn.get(`mine ${own}`);
    if (!row) return;
    this.#follow = false;
    for (const old of $('messages').querySelectorAll('.pointed')) old.classList.remove('pointed');
    row.node.classList.add('pointed');
    row.node.tabIndex = -1;
    row.node.focus({ preventScroll: true });
    row.node.scrollIntoView({ block: 'center' });
  }

  toEnd() {
    const scroller = $('scroller');
    scroller.scrollTop = scroller.scrollHeight;
    this.#follow = true;
    this.#unseen = 0;
    this.#drawJump();
  }

  /** Draws again everything that depends on the language. */
  redraw() {
    this.#drawn.clear();
    this.draw();
  }

  draw() {
    const conversation = this.#conversation;
    const rows = conversation ? this.#rows(conversation) : [];
    const list = $('messages');
    const scroller = $('scroller');
    const fromBottom = scroller.scrollHeight - scroller.scrollTop;
    const kept = new Map();
    let next = list.firstChild;
    for (const { key, signature, make } of rows) {
      let row = this.#drawn.get(key);
      if (row?.signature !== signature) {
        const made = make();
        if (row && row.node.parentNode === list) {
          if (next === row.node) next = made;
          const focused = row.node.contains(document.activeElement) && document.activeElement;
          row.node.replaceWith(made);
          if (focused) refocus(made, focused.dataset.focus);
        }
        row = { node: made, signature };
      }
      if (row.node === next) next = next.nextSibling;
      else list.insertBefore(row.node, next);
      kept.set(key, row);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
    this.#drawn = kept;
    const loaded = conversation?.loaded ?? false;
    $('empty').hidden = !loaded || rows.length > 0;
    $('older').hidden = !conversation?.hasOlder;
    const start = loaded && !conversation.hasOlder && rows.length ? 'beginning' : '';
    const words = conversation && !loaded ? 'loading' : start;
    $('top').textContent = words && this.#language.t(words);
    if (this.#follow) this.toEnd();
    else if (this.#loading) scroller.scrollTop = scroller.scrollHeight - fromBottom;
    this.#drawJump();
  }

  // What stands in the list: days, the divider, messages

  #rows(conversation) {
    const rows = [];
    let day = null;
    let before = null;
    let divided = this.#dividerSeq === null;
    for (const message of this.#store.timeline(conversation)) {
      const at = new Date(message.created_at);
      const thisDay = this.#language.day(at);
      if (thisDay !== day) {
        rows.push(this.#row(`day ${at.toDateString()}`, thisDay, () => line('day', thisDay)));
        day = thisDay;
        before = null;
      }
      const isMine = message.state || message.sender_id === this.#store.me?.user_id;
      if (!divided && !isMine && message.seq > this.#dividerSeq) {
        const words = this.#language.t('newMessages');
        rows.push(this.#row('divider', words, () => line('divider', words)));
        divided = true;
        before = null;
      }
      const isFirst =
        !before ||
        isMine !== before.isMine ||
        message.sender_id !== before.message.sender_id && !isMine ||
        at - new Date(before.message.created_at) > SAME_BREATH_MS;
      rows.push(this.#messageRow(conversation, message, isMine, isFirst));
      before = { message, isMine };
    }
    return rows;
  }

  #row(key, signature, make) {
    return { key, signature, make };
  }

  #messageRow(conversation, message, isMine, isFirst) {
    const mark = isMine ? this.#mark(conversation, message) : null;
    const key = isMine && message.client_msg_id ? `mine ${message.client_msg_id}` : message.id;
    const name = message.sender_name || this.#store.nameOf(message.sender_id);
    const isOpen = message.id !== undefined && message.id === this.#openId;
    const quoted = message.reply_to && conversation.messages.find(({ id }) => id === message.reply_to);
    const signature = JSON.stringify([
      isFirst, mark, name, message.change_seq, message.content, message.created_at, message.error?.message,
      isOpen, quoted?.change_seq, message.body,
    ]);
    return this.#row(key, signature, () => {
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
      const carried = this.#actions.attachments.draw(message);
      const words = () => (carried ? message.content : wordsOf(message, (...what) => this.#language.t(...what)));
      const text = message.recalled_at ? this.#language.t('recalled') : words();
      const bubble = element('div', { class: message.recalled_at ? 'bubble gone' : 'bubble' });
      const about = this.#about(conversation, isMine);
      const answered = quote(quoted, about, wordsOf);
      if (answered) bubble.append(answered);
      const origin = message.forwarded_from;
      if (origin) {
        const from = this.#language.t('forwardedFrom', { name: origin.sender_name });
        bubble.append(element('div', { class: 'origin', dir: 'auto', text: from }));
      }
      if (carried) bubble.append(carried);
      bubble.append(element('span', { class: 'text', dir: 'auto', text }), ...linksOf(message), tail);
      const said = element('div', { class: 'said' }, bubble);
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
      const me = this.#store.me?.user_id;
      if (message.mentions?.some((id) => id === me || id === '@all')) states.push('named');
      const item = element('li', {
        class: ['message', ...states.filter(Boolean)].join(' '),
        data: { key, ...(message.id && { id: message.id }) },
      });
      if (!isMine && isFirst) {
        item.append(avatar(message.sender_id, name));
        body.prepend(element('div', { class: 'who', text: name }));
      } else {
        body.prepend(element('span', { class: 'unseen', text: isMine ? this.#language.t('you') : name }));
      }
      if (message.state === 'failed') body.append(this.#failure(message));
      item.append(body);
      return item;
    });
  }

  /** What the parts under a bubble need to know. */
  #about(conversation, isMine) {
    const me = this.#store.me?.user_id;
    return {
      t: (key, values) => this.#language.t(key, values),
      me,
      nameOf: (id) => this.#store.nameOf(id),
      react: this.#actions.react,
      canChange: isMine,
      canRecall: isMine || conversation.ownerId === me,
      actions: {
        ...this.#actions,
        open: (message) => this.#toggle(message),
        react: (message, emoji, on) => {
          this.#toggle(message);
          this.#actions.react(message, emoji, on);
        },
        change: (message) => {
          this.#toggle(message);
          this.#actions.change(message);
        },
      },
    };
  }

  /** Opens the tools of one message, and closes those of any other. */
  #toggle({ id }) {
    this.#openId = this.#openId === id ? null : id;
    this.draw();
    const row = this.#drawn.get(id) ?? [...this.#drawn.values()].find(({ node }) => node.dataset.id === id);
    row?.node.querySelector('.opener')?.focus();
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

  #drawJump() {
    const jump = $('jump');
    jump.hidden = this.#follow;
    jump.textContent = this.#unseen
      ? `↓ ${this.#language.t('jump', { n: this.#unseen })}`
      : `↓ ${this.#language.t('jumpDown')}`;
  }

  #scrolled() {
    const scroller = $('scroller');
    // Not the person but the room has changed: the observer puts it right.
    if (scroller.clientHeight !== this.#height) return;
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    const was = this.#follow;
    this.#follow = below < NEAR_PX;
    if (this.#follow && !was) {
      this.#unseen = 0;
      this.#actions.seen();
    }
    this.#drawJump();
    if (scroller.scrollTop < OLDER_PX && !this.#follow) this.#older();
  }

  async #older() {
    const conversation = this.#conversation;
    if (this.#loading || !conversation?.hasOlder) return;
    this.#loading = true;
    this.#follow = false;
    try {
      await this.#actions.older(conversation);
      this.draw();
    } finally {
      this.#loading = false;
    }
  }
}

/** What had the focus in a row that was drawn anew has it again, or what stands nearest. */
function refocus(row, name) {
  const all = [...row.querySelectorAll('[data-focus]')];
  (all.find((node) => node.dataset.focus === name) ?? all[0])?.focus({ preventScroll: true });
}

function line(names, text) {
  return element('li', { class: names }, element('span', { text }));
}

function tick({ state, sign, label, title }) {
  const made = element('span', { class: 'tick', data: { state }, text: sign });
  if (!label) return made;
  made.setAttribute('role', 'img');
  made.setAttribute('aria-label', label);
  made.title = title || label;
  return made;
}
