/**
 * What is known of the conversations: messages by `seq`, receipts, presence and who is typing.
 * Plain state without a page; `changed` is called after every change, with what has changed.
 */

const TYPING_FADES_MS = 6_000;

export class Store {
  #changed;

  /** Whether a conversation is muted: what is unread there does not count in `unread`. */
  isQuiet = () => false;

  /** Whether a conversation stands before others, whenever something was said in them. */
  isOnTop = () => false;

  constructor(changed = () => {}) {
    this.#changed = changed;
    this.me = null;
    this.conversations = new Map();
    /** user_id → online | away | busy | dnd; who is not in it is offline. */
    this.presence = new Map();
    this.names = new Map();
  }

  /** Takes from the client what changes nothing but what is known. */
  attend(client) {
    client.on('message_updated', (message) => this.revised(message));
    client.on('message_status_update', (data) => this.marks(data));
    client.on('unread_update', (data) => this.read(data));
    client.on('typing', (data) => this.typing(data));
    client.on('user_status_update', (data) => this.status(data));
    client.on('filled', (data) => this.page(data, false));
    // Without a conversation it is about the inbox.
    client.on('reset', ({ conversation_id: id, from }) => id !== null && this.reset(id, from));
    client.on('restored', ({ conversation_id: id }) => id !== null && this.forget(id));
  }

  get(conversationId) {
    return this.conversations.get(conversationId);
  }

  /** The conversations as they are listed: what is on top, then where something was said last. */
  listed() {
    const latest = (a, b) => (a.updatedAt < b.updatedAt ? 1 : a.updatedAt > b.updatedAt ? -1 : 0);
    const all = [...this.conversations.values()];
    return all.sort((a, b) => this.isOnTop(b.id) - this.isOnTop(a.id) || latest(a, b));
  }

  titleOf(conversation) {
    if (conversation.title) return conversation.title;
    const others = [...conversation.people.keys()].filter((id) => id !== this.me?.user_id);
    return others.map((id) => this.nameOf(id)).join(', ') || conversation.id;
  }

  get unread() {
    let total = 0;
    for (const { id, unread } of this.conversations.values()) {
      if (!this.isQuiet(id)) total += unread;
    }
    return total;
  }

  /** Takes `connection_established`; messages that are held stay. */
  established({ user_id, name, conversations, has_more_conversations, presence }) {
    this.me = { user_id, name };
    this.names.set(user_id, name);
    this.presence = new Map(Object.entries(presence ?? {}));
    this.presence.set(user_id, this.presence.get(user_id) ?? 'online');
    const heads = new Set(conversations.map((head) => head.conversation_id));
    for (const id of this.conversations.keys()) {
      if (!heads.has(id) && !has_more_conversations) this.conversations.delete(id);
    }
    for (const head of conversations) {
      const conversation = this.#ensure(head.conversation_id);
      this.#describe(conversation, head);
      conversation.unread = head.unread;
      conversation.countedSeq = head.last_seq;
      conversation.countedChange = head.change_seq;
      conversation.lastReadSeq = Math.max(conversation.lastReadSeq, head.last_read_seq);
      if ((head.last_message?.seq ?? -1) >= (conversation.latest?.seq ?? 0)) {
        conversation.latest = head.last_message;
      }
    }
    this.#changed('all');
  }

  /** Takes a `conversation_updated`. */
  updated({ conversation_id, removed, conversation, presence }) {
    if (removed) this.conversations.delete(conversation_id);
    else this.#describe(this.#ensure(conversation_id), conversation);
    for (const [id, status] of Object.entries(presence ?? {})) this.presence.set(id, status);
    this.#changed('all');
  }

  /** Takes a `new_message`. */
  received(message) {
    const conversation = this.#ensure(message.conversation_id);
    const isNew = this.#put(conversation, message);
    conversation.typing.delete(message.sender_id);
    if (message.sender_type === 'chat') this.#person(conversation, message.sender_id);
    if (isNew && message.sender_id !== this.me?.user_id && !message.recalled_at) {
      if (message.seq > Math.max(conversation.lastReadSeq, conversation.countedSeq)) {
        conversation.unread += 1;
      }
    }
    this.#changed('messages', message.conversation_id);
    return isNew;
  }

  /** Takes a `message_updated`. One that is older than all that is held comes with its page. */
  revised(message) {
    const conversation = this.#ensure(message.conversation_id);
    const { messages } = conversation;
    const held = messages.find(({ id }) => id === message.id);
    if (held || message.seq > (messages[0]?.seq ?? Infinity)) this.#put(conversation, message);
    else if (conversation.latest?.id === message.id) conversation.latest = message;
    const unread = message.seq > conversation.lastReadSeq && message.sender_id !== this.me?.user_id;
    // A recalled message changes no more, so this is the one time that it says so.
    if (unread && message.recalled_at && message.change_seq > conversation.countedChange) {
      conversation.unread = Math.max(0, conversation.unread - 1);
    }
    this.#changed('messages', message.conversation_id);
  }

  /** Takes a page of `history`; `older` when it was asked for with `before_seq` or with nothing. */
  page({ conversation_id, messages, has_more }, older = true) {
    const conversation = this.#ensure(conversation_id);
    for (const message of messages) this.#put(conversation, message);
    if (older) {
      conversation.hasOlder = has_more;
      conversation.loaded = true;
    }
    this.#changed('messages', conversation_id);
  }

  /** Forgets what lies before `from`: between it and the page that came there is a hole. */
  reset(conversationId, from) {
    const conversation = this.#ensure(conversationId);
    conversation.messages = conversation.messages.filter((message) => message.seq >= from);
    conversation.hasOlder = true;
    this.#changed('messages', conversationId);
  }

  /** Forgets what was said and read; what waits to be sent stays. */
  forget(conversationId) {
    Object.assign(this.#ensure(conversationId), {
      messages: [],
      people: new Map(),
      lastReadSeq: 0,
      loaded: false,
      hasOlder: false,
      latest: null,
    });
    this.#changed('messages', conversationId);
  }

  /** Shows a message before the server has it. */
  sending(message) {
    const conversation = this.#ensure(message.conversation_id);
    const pending = { ...message, state: 'sending', error: null, created_at: new Date().toISOString() };
    conversation.pending.set(message.client_msg_id, pending);
    this.#changed('messages', message.conversation_id);
  }

  sent({ message, ack }) {
    this.#put(this.#ensure(message.conversation_id), {
      message_type: 'text',
      sender_id: this.me.user_id,
      sender_name: this.me.name,
      ...message,
      id: ack.message_id,
      seq: ack.seq,
      change_seq: ack.change_seq,
      created_at: ack.created_at,
    });
    this.#changed('messages', message.conversation_id);
  }

  failed({ message, error }) {
    const pending = this.get(message.conversation_id)?.pending.get(message.client_msg_id);
    if (pending) Object.assign(pending, { state: 'failed', error });
    this.#changed('messages', message.conversation_id);
  }

  discard({ conversation_id, client_msg_id }) {
    this.get(conversation_id)?.pending.delete(client_msg_id);
    this.#changed('messages', conversation_id);
  }

  /** Takes a `message_status_update`; marks only ever move forward. */
  marks({ conversation_id, user_id, last_delivered_seq, last_read_seq }) {
    const conversation = this.#ensure(conversation_id);
    const person = this.#person(conversation, user_id);
    person.delivered = Math.max(person.delivered, last_delivered_seq ?? 0, last_read_seq ?? 0);
    person.read = Math.max(person.read, last_read_seq ?? 0);
    this.#changed('messages', conversation_id);
  }

  /** Takes an `unread_update`, or what `mark_read` was answered with. */
  read({ conversation_id, unread, last_read_seq, last_seq, counted_to = Infinity }) {
    const conversation = this.get(conversation_id);
    if (!conversation) return;
    // The server counted up to `last_seq`, as of `counted_to`: what came here since is on top of
    // that, and what was recalled since is taken off.
    const others = conversation.messages.filter((message) => message.sender_id !== this.me?.user_id);
    const since = others.filter((message) => message.seq > last_seq && !message.recalled_at);
    const recalled = others.filter(
      (message) =>
        message.recalled_at &&
        message.change_seq > counted_to &&
        message.seq > (last_read_seq ?? 0) &&
        message.seq <= last_seq,
    );
    conversation.unread = Math.max(0, unread + since.length - recalled.length);
    conversation.countedSeq = Math.max(conversation.countedSeq, last_seq);
    if (counted_to < Infinity) {
      conversation.countedChange = Math.max(conversation.countedChange, counted_to);
    }
    conversation.lastReadSeq = Math.max(conversation.lastReadSeq, last_read_seq ?? 0);
    this.#changed('unread', conversation_id);
  }

  typing({ conversation_id, user_id, name, is_typing }) {
    if (user_id === this.me?.user_id) return;
    const conversation = this.#ensure(conversation_id);
    clearTimeout(conversation.typing.get(user_id)?.timer);
    conversation.typing.delete(user_id);
    if (is_typing) {
      if (name) this.names.set(user_id, name);
      // A tab that died says no more; its last word must not stand for ever.
      const stop = () => this.typing({ conversation_id, user_id, is_typing: false });
      conversation.typing.set(user_id, { timer: setTimeout(stop, TYPING_FADES_MS) });
    }
    this.#changed('typing', conversation_id);
  }

  /** Takes a `user_status_update`. */
  status({ user_id, name, status }) {
    if (name) this.names.set(user_id, name);
    if (status === 'offline') this.presence.delete(user_id);
    else this.presence.set(user_id, status);
    this.#changed('presence');
  }

  /**
   * How far one of my messages has come: `{state, reached, others, names}`, where `state` is
   * sent, delivered or read as soon as one other person has it so, and `names` are theirs.
   */
  receipt(conversation, message) {
    const others = [...conversation.people.values()].filter(
      (person) => person.user_id !== this.me?.user_id,
    );
    const read = others.filter((person) => person.read >= message.seq);
    const reached = others.filter((person) => person.delivered >= message.seq);
    const who = read.length ? read : reached;
    return {
      state: read.length ? 'read' : reached.length ? 'delivered' : 'sent',
      reached: who.length,
      others: Math.max(conversation.participantCount - 1, others.length),
      names: who.map((person) => this.nameOf(person.user_id)),
    };
  }

  nameOf(userId) {
    return this.names.get(userId) ?? userId;
  }

  /** Messages that the server has, then those that it does not have yet. */
  timeline(conversation) {
    return [...conversation.messages, ...conversation.pending.values()];
  }

  #ensure(id) {
    if (!this.conversations.has(id)) {
      this.conversations.set(id, {
        id,
        title: null,
        kind: 'group',
        people: new Map(),
        participantCount: 0,
        messages: [],
        pending: new Map(),
        typing: new Map(),
        unread: 0,
        lastReadSeq: 0,
        /** Up to here `unread` was counted by the server. */
        countedSeq: 0,
        /** And as of this number. */
        countedChange: 0,
        ownerId: null,
        loaded: false,
        hasOlder: false,
        latest: null,
        updatedAt: '',
      });
    }
    return this.conversations.get(id);
  }

  /** Takes a head. Who is in it is what it says; marks that came later than it are kept. */
  #describe(conversation, head) {
    conversation.title = head.title;
    conversation.kind = head.kind;
    conversation.ownerId = head.owner_id;
    conversation.updatedAt = head.updated_at;
    conversation.participantCount = head.participant_count;
    const before = conversation.people;
    conversation.people = new Map();
    for (const { user_id, name, last_read_seq = 0, last_delivered_seq = 0 } of head.participants) {
      if (name) this.names.set(user_id, name);
      const person = before.get(user_id) ?? { user_id, delivered: 0, read: 0 };
      person.delivered = Math.max(person.delivered, last_delivered_seq, last_read_seq);
      person.read = Math.max(person.read, last_read_seq);
      conversation.people.set(user_id, person);
    }
    // Heads name the first participants only; whoever else was met here is kept as well.
    if (head.participant_count <= head.participants.length) return;
    if (this.me) this.#person(conversation, this.me.user_id);
    for (const [user_id, person] of before) {
      if (!conversation.people.has(user_id)) conversation.people.set(user_id, person);
    }
  }

  #person(conversation, user_id) {
    if (!conversation.people.has(user_id)) {
      conversation.people.set(user_id, { user_id, delivered: 0, read: 0 });
    }
    return conversation.people.get(user_id);
  }

  /** Puts a message in its place by `seq`; whether it was not there before. */
  #put(conversation, message) {
    if (message.sender_name) this.names.set(message.sender_id, message.sender_name);
    if (message.sender_id === this.me?.user_id && message.client_msg_id) {
      conversation.pending.delete(message.client_msg_id);
    }
    const { messages } = conversation;
    let at = messages.length;
    while (at > 0 && messages[at - 1].seq >= message.seq) at -= 1;
    const isNew = messages[at]?.seq !== message.seq;
    if (isNew) messages.splice(at, 0, message);
    else if ((messages[at].change_seq ?? 0) <= message.change_seq) messages[at] = message;
    if (!conversation.latest || conversation.latest.seq <= message.seq) {
      conversation.latest = message;
      conversation.updatedAt = message.created_at;
    }
    return isNew;
  }
}
