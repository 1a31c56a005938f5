/** The room: the conversation that is shown, what is loaded of it, who types there, and what is read. */

import { wordsOf } from './bodies.js';
import { $ } from './dom.js';
import { Pins } from './pins.js';
import { Timeline } from './timeline.js';

const READ_AFTER_MS = 120;
const PAGE = 50;
const PAGES_BACK = 40;

export class Room {
  #store;
  #language;
  #inspector;
  #timeline;
  #pins;
  #actions;
  #client = null;
  #reading = null;

  /** The conversation that is shown, or null. */
  current = null;

  /**
   * `actions`: `shown(conversation)`, when it is another one or none, `opened()`, when the person has chosen it,
   * `announce(text)` and `token()`; and those of the timeline that concern a single message.
   */
  constructor(store, language, inspector, { shown, opened, announce, token, ...ofMessages }) {
    this.#store = store;
    this.#language = language;
    this.#inspector = inspector;
    this.#actions = { shown, opened, announce };
    this.#timeline = new Timeline(store, language, {
      ...ofMessages,
      go: (message) => this.go(message),
      older: (conversation) => this.#load(conversation, conversation.messages[0]?.seq),
      seen: () => this.#seen(),
      isOnline: () => this.#client?.state.state === 'online',
    });
    this.#pins = new Pins(store, language, {
      token,
      go: (message) => this.go(message),
      unpin: (message) => ofMessages.pin(message, false),
    });
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
  }

  attend(client) {
    this.#client = client;
    this.#pins.attend(client);
    // What was read out last may be what was taken back.
    client.on('message_updated', ({ recalled_at }) => recalled_at && this.#actions.announce(''));
  }

  /** There is a connection: what is shown is looked at again, or the conversation `wanted` is. */
  ready(wanted) {
    if (this.current && !this.#store.get(this.current.id)) this.show(null);
    if (!this.current) this.openFirst(wanted);
    else {
      this.#look();
      if (!this.current.loaded) this.#load(this.current);
      this.#pins.load();
      this.#seen();
    }
  }

  show(conversation) {
    this.current = conversation;
    this.#timeline.show(conversation);
    this.#pins.show(conversation);
    this.#actions.shown(conversation);
  }

  open(conversationId) {
    if (this.current) this.#client.notify('leave_session', { conversation_id: this.current.id });
    this.show(this.#store.get(conversationId));
    this.#actions.opened();
    const { current } = this;
    if (current.unread > 0 && current.lastReadSeq > 0) this.#timeline.divide(current.lastReadSeq);
    this.#look();
    if (!current.loaded) this.#load(current);
    this.#seen();
    $('text').focus();
  }

  /** Opens the conversation `wanted`, or else the first that there is. */
  openFirst(wanted) {
    const first = this.#store.get(wanted) ?? this.#store.conversations.values().next().value;
    if (first) this.open(first.id);
  }

  /** Shows a message that was found, however far back it is. */
  async go(message) {
    if (!this.#store.get(message.conversation_id)) return;
    if (this.current?.id !== message.conversation_id) this.open(message.conversation_id);
    else this.#actions.opened();
    const { current } = this;
    for (let pages = 0; pages < PAGES_BACK; pages++) {
      if (current.messages.some(({ id }) => id === message.id)) break;
      if (current.loaded && !current.hasOlder) break;
      await this.#load(current, current.messages[0]?.seq);
    }
    if (this.current !== current) return;
    this.#timeline.draw();
    this.#timeline.point(message);
  }

  /** Takes a `new_message` of any conversation. */
  received(message) {
    const conversation = this.#store.get(message.conversation_id);
    const isCurrent = conversation !== undefined && conversation === this.current;
    const before = conversation?.messages.at(-1)?.seq ?? 0;
    const isNew = this.#store.received(message);
    if (!isNew || message.sender_id === this.#store.me.user_id) return;
    if (isCurrent && (document.hidden || !this.#timeline.atEnd)) {
      if (before > 0) this.#timeline.divide(before);
      if (!this.#timeline.atEnd) this.#timeline.missed();
    }
    if (isCurrent) {
      const text = wordsOf(message, (...what) => this.#language.t(...what)).slice(0, 300);
      const values = { name: this.#store.nameOf(message.sender_id), text };
      this.#actions.announce(this.#language.t('someone', values));
    }
    this.#seen();
  }

  /** Shows what the person has just sent. */
  toEnd() {
    this.#timeline.undivide();
    this.#timeline.draw();
    this.#timeline.toEnd();
  }

  draw() {
    this.#timeline.draw();
    this.#drawTyping();
  }

  /** Draws again everything that depends on the language. */
  redraw() {
    this.#timeline.redraw();
    this.#pins.draw();
    this.#drawTyping();
  }

  async #load(conversation, before) {
    const data = { conversation_id: conversation.id, limit: PAGE };
    if (before !== undefined) data.before_seq = before;
    try {
      const page = await this.#client.request('history', data);
      this.#store.page({ ...page, conversation_id: conversation.id });
      const newest = conversation.messages.at(-1);
      if (newest && before === undefined) this.#client.delivered(conversation.id, newest.seq);
      this.#seen();
    } catch (error) {
      if (error.code === 'disconnected') return;
      const reason = this.#language.error(error);
      this.#inspector.problem({ kind: 'history', message: this.#language.t('loadFailed', { reason }) });
    }
  }

  /** Tells that this device is looking at the conversation, or not any more. */
  #look() {
    if (!this.current) return;
    const type = document.hidden ? 'leave_session' : 'join_session';
    this.#client.notify(type, { conversation_id: this.current.id });
  }

  #visibilityChanged() {
    if (!this.#client) return;
    if (document.hidden) this.#timeline.undivide();
    else this.#client.wake();
    this.#look();
    this.#seen();
  }

  /** Marks as read what can be seen: the page is visible and scrolled to its end. */
  #seen() {
    clearTimeout(this.#reading);
    this.#reading = setTimeout(async () => {
      const conversation = this.current;
      if (!conversation || document.hidden || !this.#timeline.atEnd) return;
      const me = this.#store.me?.user_id;
      const newest = conversation.messages.findLast((message) => message.sender_id !== me);
      if (!newest || newest.seq <= conversation.lastReadSeq) return;
      try {
        const { seq, ...counts } = await this.#client.markRead(conversation.id, newest.seq);
        this.#store.read({ ...counts, conversation_id: conversation.id, last_read_seq: seq });
      } catch (error) {
        if (!error.retryable) this.#inspector.problem({ kind: 'mark_read', message: error.message });
      }
    }, READ_AFTER_MS);
  }

  #drawTyping() {
    const [a, b, ...more] = [...(this.current?.typing.keys() ?? [])].map((id) => this.#store.nameOf(id));
    const key = more.length ? 'typingMany' : b ? 'typing2' : 'typing1';
    const text = a ? this.#language.t(key, { a, b }) : '';
    if ($('typing').textContent !== text) $('typing').textContent = text;
  }
}
