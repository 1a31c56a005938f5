/** The messages of one conversation: drawn, scrolled, and paged back through. */

import { $, element } from './dom.js';
import { MessageRows } from './message.js';

const SAME_BREATH_MS = 5 * 60_000;
const NEAR_PX = 80;
const OLDER_PX = 160;

export class Timeline {
  #store;
  #language;
  #actions;
  #messages;
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
   * that were sent `react(message, emoji, on)`, `reply(message)`, `forward(message)`, `pin(message, on)`,
   * `change(message)`, `recall(message)`, and `go(message)`, which leads to what a message answers.
   */
  constructor(store, language, actions) {
    this.#store = store;
    this.#language = language;
    this.#actions = actions;
    this.#messages = new MessageRows(store, language, { ...actions, open: (message) => this.#toggle(message) });
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
  point({ id }) {
    const row = this.#rowOf(id);
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
        rows.push(separator('day', `day ${at.toDateString()}`, thisDay));
        day = thisDay;
        before = null;
      }
      const isMine = message.state || message.sender_id === this.#store.me?.user_id;
      if (!divided && !isMine && message.seq > this.#dividerSeq) {
        rows.push(separator('divider', 'divider', this.#language.t('newMessages')));
        divided = true;
        before = null;
      }
      const isFirst =
        !before ||
        isMine !== before.isMine ||
        message.sender_id !== before.message.sender_id && !isMine ||
        at - new Date(before.message.created_at) > SAME_BREATH_MS;
      const isOpen = message.id !== undefined && message.id === this.#openId;
      rows.push(this.#messages.row(conversation, message, { isMine, isFirst, isOpen }));
      before = { message, isMine };
    }
    return rows;
  }

  /** Opens the tools of one message, and closes those of any other. */
  #toggle({ id }) {
    this.#openId = this.#openId === id ? null : id;
    this.draw();
    this.#rowOf(id)?.node.querySelector('.opener')?.focus();
  }

  /** The row of a message that is drawn. Those of one's own go by another id there. */
  #rowOf(id) {
    return this.#drawn.get(id) ?? [...this.#drawn.values()].find(({ node }) => node.dataset.id === id);
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

/** What had the focus in a row that was drawn anew has it again, or what stands nearest, or the row itself. */
function refocus(row, name) {
  const all = [...row.querySelectorAll('[data-focus]')];
  if (all.length === 0) row.tabIndex = -1;
  (all.find((node) => node.dataset.focus === name) ?? all[0] ?? row).focus({ preventScroll: true });
}

function separator(kind, key, text) {
  const make = () => element('li', { class: kind }, element('span', { text }));
  return { key, signature: text, make };
}
