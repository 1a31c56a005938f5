/** The page: wires the client, what is known, and what is shown to each other. */

import { Attachments } from './attachments.js';
import { wordsOf } from './bodies.js';
import { Bell } from './bell.js';
import { AnmeiClient } from './client.js';
import { Composer } from './composer.js';
import { drawConnection } from './connection.js';
import { $ } from './dom.js';
import { Language } from './i18n.js';
import { Inspector } from './inspector.js';
import { Lonely } from './lonely.js';
import { Notices } from './notices.js';
import { Preferences } from './preferences.js';
import { Search } from './search.js';
import { Session, SignInIsOff } from './session.js';
import { Sidebar } from './sidebar.js';
import { Store } from './store.js';
import { Timeline } from './timeline.js';
import { Uploads } from './uploads.js';

const DRAW_EVERY_MS = 16;
const READ_AFTER_MS = 120;
const PAGE = 50;
const PAGES_BACK = 40;
const LANGUAGE_KEY = 'anmei.language';

class App {
  language = new Language(localStorage.getItem(LANGUAGE_KEY) ?? navigator.language);
  session = new Session();
  inspector = new Inspector(this.language);
  notices = new Notices(this.language);
  lonely = new Lonely(this.language);
  store = new Store(() => this.#drawSoon());
  sidebar = new Sidebar(this.store, this.language, (id) => this.#open(id));
  timeline = new Timeline(this.store, this.language, {
    older: (conversation) => this.#load(conversation, conversation.messages[0]?.seq),
    retry: (message) => this.#send(message),
    edit: (message) => this.#edit(message),
    seen: () => this.#seen(),
    isOnline: () => this.client?.state.state === 'online',
    react: (message, emoji, on) => this.#ask('react', { message_id: message.id, emoji, on }),
    recall: (message) => this.#ask('recall_message', { message_id: message.id }),
    change: (message) => this.composer.change(message),
    attachments: new Attachments(this.language, () => this.session.token({ fresh: false })),
  });
  search = new Search(this.language, {
    token: () => this.session.token({ fresh: false }),
    titleOf: (id) => (this.store.get(id) ? this.sidebar.titleOf(this.store.get(id)) : id),
    nameOf: (message) => message.sender_name || this.store.nameOf(message.sender_id),
    go: (message) => this.#go(message),
  });
  bell = new Bell(this.language, {
    token: () => this.session.token({ fresh: false }),
    read: (what) => this.client.request('mark_read', { conversation_id: null, ...what }).catch(() => {}),
    announce: (text) => this.#announce(text),
  });
  composer = new Composer({
    send: (content) => this.#send({ conversation_id: this.current.id, content }),
    change: ({ id }, content) => this.#ask('edit_message', { message_id: id, content }),
    refusal: (content) => this.#tooLong(content),
    draft: (conversationId, text) => this.preferences.saveDraft(conversationId, text),
    typing: (conversation_id, is_typing) =>
      this.client.notify('typing', { conversation_id, is_typing }),
  });

  uploads = new Uploads(this.language, {
    token: () => this.session.token({ fresh: false }),
    send: (message) => this.#send(message),
  });
  preferences = new Preferences({
    changed: () => this.#drawSoon(),
    draft: (conversationId, text) => this.composer.takeDraft(conversationId, text),
  });

  client = null;
  current = null;
  #drawing = null;
  #reading = null;
  #wasLost = false;
  #restored = false;
  #byToken = false;
  #statusIsUntold = false;

  start() {
    $('name-form').addEventListener('submit', (event) => this.#signIn(event));
    $('token-form').addEventListener('submit', (event) => this.#useToken(event));
    $('other-way').addEventListener('click', () => this.#welcome({ byToken: !this.#byToken }));
    $('sign-out').addEventListener('click', () => this.#signOut());
    $('try-now').addEventListener('click', () => this.client.retryNow());
    $('status').addEventListener('change', () => this.#setStatus());
    $('mute').addEventListener('click', () => {
      const { id } = this.current;
      this.preferences.mute(id, !this.preferences.isMuted(id));
    });
    this.store.isQuiet = (id) => this.preferences.isMuted(id);
    for (const button of document.querySelectorAll('.language')) {
      button.addEventListener('click', () => this.#switchLanguage());
    }
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    addEventListener('online', () => this.client?.wake());
    addEventListener('offline', () => this.#drawConnection());
    setInterval(() => this.#drawConnection(), 500);
    this.language.apply(document);
    if (this.session.current) this.#enter();
    else this.#welcome();
  }

  // Signing in and out

  #welcome({ byToken = false, error = '', name = '' } = {}) {
    this.#byToken = byToken;
    $('chat').hidden = true;
    $('welcome').hidden = false;
    $('name-form').hidden = byToken;
    $('token-form').hidden = !byToken;
    $('token-why').textContent = this.language.t('tokenHow');
    $('other-way').textContent = this.language.t(byToken ? 'haveName' : 'haveToken');
    $('welcome-error').textContent = error;
    if (name) $('name').value = name;
    document.title = 'Anmei';
    $(byToken ? 'token' : 'name').focus();
  }

  async #signIn(event) {
    event.preventDefault();
    const name = $('name').value.trim();
    if (!name) return;
    const button = $('enter');
    button.disabled = true;
    button.textContent = this.language.t('entering');
    $('welcome-error').textContent = '';
    try {
      await this.session.byName(name);
      this.#enter();
    } catch (error) {
      if (error instanceof SignInIsOff) {
        this.#welcome({ byToken: true });
        $('token-why').textContent = this.language.t('tokenWhy');
      } else {
        const reason = error instanceof TypeError ? this.language.t('noServer') : error.message;
        $('welcome-error').textContent = this.language.t('signInFailed', { reason });
      }
    } finally {
      button.disabled = false;
      button.textContent = this.language.t('enter');
    }
  }

  #useToken(event) {
    event.preventDefault();
    if (this.session.byToken($('token').value)) this.#enter();
    else $('welcome-error').textContent = this.language.t('tokenBad');
  }

  #enter() {
    $('welcome').hidden = true;
    $('chat').hidden = false;
    $('token').value = '';
    this.#show(null);
    // A client of somebody who had to sign in again knows nothing of what the one before could not send.
    this.#restored = false;
    const url = new URL('ws/chat', document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.client = new AnmeiClient({
      url,
      getToken: (how) => this.session.token(how),
      deviceId: this.session.deviceId,
    });
    this.#listen(this.client);
    this.client.connect();
    $('text').focus();
  }

  /** A page that was somebody is best begun anew. */
  #signOut() {
    this.client.close();
    this.session.forget();
    this.session.unsent = [];
    location.reload();
  }

  // What the client tells

  #listen(client) {
    const { store } = this;
    client.on('frame', (frame) => this.inspector.frame(frame));
    client.on('problem', (problem) => this.inspector.problem(problem));
    client.on('state', (state) => this.#stateChanged(state));
    client.on('ready', (data) => this.#ready(data));
    client.on('new_message', (message) => this.#received(message));
    client.on('message_updated', (message) => store.revised(message));
    client.on('conversation_updated', (data) => this.#conversationUpdated(data));
    client.on('message_status_update', (data) => store.marks(data));
    client.on('unread_update', (data) => this.#counted(data));
    this.preferences.attend(client);
    client.on('typing', (data) => store.typing(data));
    client.on('user_status_update', (data) => {
      store.status(data);
      if (data.user_id === store.me?.user_id && data.status !== 'offline') $('status').value = data.status;
    });
    client.on('system_notification', (data) => this.notices.add(data));
    client.on('notification', (message) => message.id && this.bell.received(message));
    client.on('notification_updated', (message) => this.bell.received(message));
    client.on('notification_removed', (data) => this.bell.removed(data));
    client.on('inbox_read', (data) => this.bell.readUpto(data));
    client.on('inbox_gap', () => this.bell.forget());
    client.on('filled', (data) => store.page(data, false));
    client.on('reset', ({ conversation_id, from }) => {
      if (conversation_id === null) this.bell.forget();
      else store.reset(conversation_id, from);
    });
    client.on('restored', ({ conversation_id }) => {
      if (conversation_id === null) this.bell.forget(true);
      else store.forget(conversation_id);
    });
    client.on('sent', (data) => {
      store.sent(data);
      this.#keepUnsent();
    });
    client.on('send_failed', (data) => {
      store.failed(data);
      this.#keepUnsent();
    });
  }

  #ready(data) {
    if (this.store.me && this.store.me.user_id !== data.user_id) {
      location.reload();
      return;
    }
    this.store.established(data);
    this.bell.counted(data.inbox);
    this.uploads.wake();
    if (this.current && !this.store.get(this.current.id)) this.#show(null);
    if (!this.current) this.#chooseFirst();
    else {
      this.#look();
      if (!this.current.loaded) this.#load(this.current);
      this.#seen();
    }
    if (!this.#restored) for (const message of this.session.unsent) this.#send(message);
    this.#restored = true;
    if (this.#statusIsUntold) this.#setStatus();
    else $('status').value = data.status;
    if (this.#wasLost) this.#announce(this.language.t('backAgain'));
    this.#wasLost = false;
    this.#drawConnection();
  }

  #counted(data) {
    if (data.conversation_id !== null) this.store.read(data);
    else this.bell.counted({ unread: data.unread, seq: data.last_seq });
  }

  #conversationUpdated(data) {
    this.store.updated(data);
    if (this.current?.id === data.conversation_id && data.removed) this.#show(null);
    if (!this.current) this.#chooseFirst();
  }

  #received(message) {
    const conversation = this.store.get(message.conversation_id);
    const isCurrent = conversation !== undefined && conversation === this.current;
    const before = conversation?.messages.at(-1)?.seq ?? 0;
    const isNew = this.store.received(message);
    if (!isNew || message.sender_id === this.store.me.user_id) return;
    if (isCurrent && (document.hidden || !this.timeline.atEnd)) {
      if (before > 0) this.timeline.divide(before);
      if (!this.timeline.atEnd) this.timeline.missed();
    }
    if (isCurrent) {
      const text = wordsOf(message, (...what) => this.language.t(...what)).slice(0, 300);
      const values = { name: this.store.nameOf(message.sender_id), text };
      this.#announce(this.language.t('someone', values));
    }
    this.#drawTitle();
    this.#seen();
  }

  #stateChanged({ state, code, reason }) {
    if (state === 'stopped' && code === 4001) {
      const isByName = this.session.current?.signedInAs !== undefined;
      const name = this.session.forget();
      this.#welcome({ byToken: !isByName, name, error: this.language.t('again', { reason }) });
      return;
    }
    if (state === 'waiting' && !this.#wasLost) {
      this.#wasLost = true;
      this.#announce(this.language.t('reconnectingNow'));
    }
    this.#drawConnection();
    this.timeline.draw();
  }

  // What the person does

  #chooseFirst() {
    const wanted = this.store.get(this.session.current?.conversation_id);
    const first = wanted ?? this.store.conversations.values().next().value;
    if (first) this.#open(first.id);
  }

  #open(conversationId) {
    if (this.current) this.client.notify('leave_session', { conversation_id: this.current.id });
    this.#show(this.store.get(conversationId));
    this.sidebar.toggle(false);
    const { current } = this;
    if (current.unread > 0 && current.lastReadSeq > 0) this.timeline.divide(current.lastReadSeq);
    this.#look();
    if (!current.loaded) this.#load(current);
    this.#seen();
    $('text').focus();
  }

  /** Shows a message that was found, however far back it is. */
  async #go(message) {
    if (!this.store.get(message.conversation_id)) return;
    if (this.current?.id !== message.conversation_id) this.#open(message.conversation_id);
    else this.sidebar.toggle(false);
    const { current } = this;
    for (let pages = 0; pages < PAGES_BACK; pages++) {
      if (current.messages.some(({ id }) => id === message.id)) break;
      if (current.loaded && !current.hasOlder) break;
      await this.#load(current, current.messages[0]?.seq);
    }
    if (this.current !== current) return;
    this.#draw();
    this.timeline.point(message);
  }

  #show(conversation) {
    this.current = conversation;
    this.composer.show(conversation?.id ?? null);
    this.uploads.show(conversation?.id ?? null);
    this.timeline.show(conversation);
    this.#drawSoon();
  }

  async #load(conversation, before) {
    const data = { conversation_id: conversation.id, limit: PAGE };
    if (before !== undefined) data.before_seq = before;
    try {
      const page = await this.client.request('history', data);
      this.store.page({ ...page, conversation_id: conversation.id });
      const newest = conversation.messages.at(-1);
      if (newest && before === undefined) this.client.delivered(conversation.id, newest.seq);
      this.#seen();
    } catch (error) {
      if (error.code === 'disconnected') return;
      const reason = this.language.error(error);
      this.inspector.problem({ kind: 'history', message: this.language.t('loadFailed', { reason }) });
    }
  }

  /** Sends a new message, or one that failed under the id that it had. */
  #send({ conversation_id, content, client_msg_id, message_type, body }) {
    const message = {
      conversation_id,
      content,
      ...(client_msg_id && { client_msg_id }),
      ...(body && { message_type, body }),
    };
    this.timeline.undivide();
    this.store.sending({ ...message, client_msg_id: this.client.send(message) });
    this.#keepUnsent();
    this.timeline.draw();
    this.timeline.toEnd();
  }

  /** Changes a message; what is refused is said, since nothing on the page would show it. */
  async #ask(type, data) {
    try {
      await this.client.request(type, data);
    } catch (error) {
      const message = this.language.error(error);
      this.notices.add({ id: type, type: 'error', message: this.language.t('notDone', { reason: message }) });
    }
  }

  /** In words why a text is longer than the server takes it, or ''. */
  #tooLong(content) {
    const most = this.client.session?.limits?.content_bytes ?? Infinity;
    const size = new TextEncoder().encode(content).length;
    if (size <= most) return '';
    const number = (value) => value.toLocaleString(this.language.tag);
    return this.language.t('tooLong', { size: number(size), most: number(most) });
  }

  /** What has no ack yet outlives a reload of the tab; its id makes it safe to send it again. */
  #keepUnsent() {
    const unsent = [];
    for (const { pending } of this.store.conversations.values()) {
      for (const { state, error, created_at, ...message } of pending.values()) {
        if (state === 'sending') unsent.push(message);
      }
    }
    this.session.unsent = unsent;
  }

  #edit(message) {
    this.store.discard(message);
    this.composer.takeBack(message.content);
  }

  /** Tells that this device is looking at the conversation, or not any more. */
  #look() {
    if (!this.current) return;
    const type = document.hidden ? 'leave_session' : 'join_session';
    this.client.notify(type, { conversation_id: this.current.id });
  }

  #visibilityChanged() {
    if (!this.client) return;
    if (document.hidden) this.timeline.undivide();
    else this.client.wake();
    this.#look();
    this.#seen();
  }

  /** Marks as read what can be seen: the page is visible and scrolled to its end. */
  #seen() {
    clearTimeout(this.#reading);
    this.#reading = setTimeout(async () => {
      const conversation = this.current;
      if (!conversation || document.hidden || !this.timeline.atEnd) return;
      const me = this.store.me?.user_id;
      const newest = conversation.messages.findLast((message) => message.sender_id !== me);
      if (!newest || newest.seq <= conversation.lastReadSeq) return;
      try {
        const { seq, ...counts } = await this.client.markRead(conversation.id, newest.seq);
        this.store.read({ ...counts, conversation_id: conversation.id, last_read_seq: seq });
      } catch (error) {
        if (!error.retryable) this.inspector.problem({ kind: 'mark_read', message: error.message });
      }
    }, READ_AFTER_MS);
  }

  async #setStatus() {
    const status = $('status').value;
    this.#statusIsUntold = true;
    try {
      await this.client.request('set_status', { status });
      this.#statusIsUntold = false;
      this.store.status({ user_id: this.store.me.user_id, status });
    } catch (error) {
      if (!error.retryable) this.inspector.problem({ kind: 'set_status', message: error.message });
    }
  }

  #switchLanguage() {
    this.language.set(this.language.code === 'zh' ? 'en' : 'zh');
    localStorage.setItem(LANGUAGE_KEY, this.language.tag);
    this.language.apply(document);
    if (!$('welcome').hidden) this.#welcome({ byToken: this.#byToken });
    this.timeline.redraw();
    this.inspector.draw();
    this.notices.draw();
    this.search.draw();
    this.bell.draw();
    this.uploads.draw();
    this.#drawConnection();
    this.#draw();
  }

  // Drawing

  /** A timer and not an animation frame, which a hidden tab would never get. */
  #drawSoon() {
    this.#drawing ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw() {
    clearTimeout(this.#drawing);
    this.#drawing = null;
    this.sidebar.draw(this.current ?? undefined);
    this.timeline.draw();
    const { me, conversations } = this.store;
    this.lonely.draw(me !== null && conversations.size === 0, me?.user_id);
    this.#drawTyping();
    this.#drawTitle();
  }

  #drawTitle() {
    if ($('chat').hidden) return;
    const { unread } = this.store;
    const title = this.current ? `${this.sidebar.titleOf(this.current)} · Anmei` : 'Anmei';
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  }

  #drawTyping() {
    const [a, b, ...more] = [...(this.current?.typing.keys() ?? [])].map((id) => this.store.nameOf(id));
    const key = more.length ? 'typingMany' : b ? 'typing2' : 'typing1';
    const text = a ? this.language.t(key, { a, b }) : '';
    if ($('typing').textContent !== text) $('typing').textContent = text;
  }

  #drawConnection() {
    if (!this.client || $('chat').hidden) return;
    drawConnection(this.language, this.client.state, this.#wasLost);
  }

  #announce(text) {
    $('announcer').textContent = text;
  }
}

new App().start();
