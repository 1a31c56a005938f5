/** The page: wires the client, what is known, and what is shown to each other. */

import { Attachments } from './attachments.js';
import { Bell } from './bell.js';
import { Changes } from './changes.js';
import { AnmeiClient } from './client.js';
import { Composer } from './composer.js';
import { Connection } from './connection.js';
import { $ } from './dom.js';
import { Forward } from './forward.js';
import { Head } from './head.js';
import { Language } from './i18n.js';
import { Inspector } from './inspector.js';
import { Lonely } from './lonely.js';
import { Notices } from './notices.js';
import { Outgoing } from './outgoing.js';
import { Preferences } from './preferences.js';
import { Reply } from './reply.js';
import { Room } from './room.js';
import { Search } from './search.js';
import { Session } from './session.js';
import { Sidebar } from './sidebar.js';
import { Status } from './status.js';
import { Store } from './store.js';
import { Uploads } from './uploads.js';
import { Welcome } from './welcome.js';

const DRAW_EVERY_MS = 16;
const LANGUAGE_KEY = 'anmei.language';

class App {
  language = new Language(localStorage.getItem(LANGUAGE_KEY) ?? navigator.language);
  session = new Session();
  welcome = new Welcome(this.language, this.session, () => this.#enter());
  inspector = new Inspector(this.language);
  notices = new Notices(this.language);
  lonely = new Lonely(this.language);
  connection = new Connection(this.language, (text) => this.#announce(text));
  store = new Store(() => this.#drawSoon());
  status = new Status(this.store, this.inspector);
  changes = new Changes(this.language, this.notices);
  outgoing = new Outgoing(this.store, this.session, this.language, () => this.room.toEnd());
  sidebar = new Sidebar(this.store, this.language, (id) => this.room.open(id));
  room = new Room(this.store, this.language, this.inspector, {
    shown: (conversation) => this.#shown(conversation),
    opened: () => this.sidebar.toggle(false),
    announce: (text) => this.#announce(text),
    token: () => this.#token(),
    retry: (message) => this.outgoing.send(message),
    edit: (message) => this.#takeBack(message),
    react: (message, emoji, on) => this.changes.react(message, emoji, on),
    recall: (message) => this.changes.recall(message),
    pin: (message, on) => this.changes.pin(message, on),
    forward: (message) => this.forward.open(message),
    reply: (message) => this.#answer(message),
    change: (message) => this.#change(message),
    attachments: new Attachments(this.language, () => this.#token()),
  });
  reply = new Reply(this.store, this.language);
  forward = new Forward(this.store, this.language, {
    send: (message, conversationId, key) => this.changes.forward(message, conversationId, key),
    sent: (conversationId) => this.#forwarded(conversationId),
  });
  search = new Search(this.language, {
    token: () => this.#token(),
    titleOf: (id) => (this.store.get(id) ? this.store.titleOf(this.store.get(id)) : id),
    nameOf: (message) => message.sender_name || this.store.nameOf(message.sender_id),
    go: (message) => this.room.go(message),
  });
  bell = new Bell(this.language, {
    token: () => this.#token(),
    read: (what) => this.client.request('mark_read', { conversation_id: null, ...what }).catch(() => {}),
    announce: (text) => this.#announce(text),
  });
  composer = new Composer({
    send: (content) =>
      this.outgoing.send({ conversation_id: this.room.current.id, content, reply_to: this.reply.take() }),
    cancel: () => this.reply.cancel(),
    change: (message, content) => this.changes.edit(message, content),
    refusal: (content) => this.outgoing.refusal(content),
    draft: (conversationId, text) => this.preferences.saveDraft(conversationId, text),
    typing: (conversation_id, is_typing) =>
      this.client.notify('typing', { conversation_id, is_typing }),
  });
  uploads = new Uploads(this.language, {
    token: () => this.#token(),
    answers: () => this.reply.take(),
    send: (message) => this.outgoing.send(message),
  });
  preferences = new Preferences({
    changed: () => this.#drawSoon(),
    draft: (conversationId, text) => this.composer.takeDraft(conversationId, text),
  });
  head = new Head(this.store, this.language, this.preferences);

  client = null;
  #drawing = null;

  start() {
    $('sign-out').addEventListener('click', () => this.#signOut());
    this.store.isQuiet = (id) => this.preferences.isMuted(id);
    this.store.isOnTop = (id) => this.preferences.isPinned(id);
    for (const button of document.querySelectorAll('.language')) {
      button.addEventListener('click', () => this.#switchLanguage());
    }
    this.language.apply(document);
    if (this.session.current) this.#enter();
    else this.welcome.show();
  }

  #enter() {
    this.welcome.hide();
    this.room.show(null);
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
    const { store, bell, room, outgoing, changes, status, preferences, connection, inspector, search } = this;
    const parts = [store, bell, room, outgoing, changes, status, preferences, connection, inspector, search];
    for (const part of parts) part.attend(client);
    client.on('state', (state) => this.#stateChanged(state));
    client.on('ready', (data) => this.#ready(data));
    client.on('new_message', (message) => {
      room.received(message);
      this.#drawTitle();
    });
    client.on('conversation_updated', (data) => this.#conversationUpdated(data));
    client.on('system_notification', (data) => this.notices.add(data));
  }

  #ready(data) {
    if (this.store.me && this.store.me.user_id !== data.user_id) {
      location.reload();
      return;
    }
    this.store.established(data);
    this.bell.counted(data.inbox);
    this.uploads.wake();
    this.room.ready(this.session.current?.conversation_id);
    this.outgoing.restore();
    this.status.ready(data.status);
    this.connection.ready();
  }

  #conversationUpdated(data) {
    this.store.updated(data);
    if (this.room.current?.id === data.conversation_id && data.removed) this.room.show(null);
    if (!this.room.current) this.room.openFirst(this.session.current?.conversation_id);
  }

  #stateChanged(changed) {
    const { state, code, reason } = changed;
    if (state === 'stopped' && code === 4001) {
      const isByName = this.session.current?.signedInAs !== undefined;
      const name = this.session.forget();
      this.forward.close();
      this.welcome.show({ byToken: !isByName, name, error: this.language.t('again', { reason }) });
      return;
    }
    this.connection.changed(changed);
    this.room.draw();
  }

  // What the parts tell each other

  #token() {
    return this.session.token({ fresh: false });
  }

  #shown(conversation) {
    this.composer.show(conversation?.id ?? null);
    this.uploads.show(conversation?.id ?? null);
    this.reply.show(conversation);
    this.#drawSoon();
  }

  #answer(message) {
    this.composer.keep();
    this.reply.to(message);
  }

  #change(message) {
    this.reply.cancel();
    this.composer.change(message);
  }

  #forwarded(conversationId) {
    if (conversationId === this.room.current?.id) this.room.toEnd();
    else this.room.open(conversationId);
  }

  /** Puts the words of a message that cannot be sent as it is back into the box. */
  #takeBack(message) {
    this.store.discard(message);
    this.composer.takeBack(message.content);
    const answered = this.room.current.messages.find(({ id }) => id === message.reply_to);
    if (answered) this.reply.to(answered);
  }

  // Drawing

  #switchLanguage() {
    this.language.set(this.language.code === 'zh' ? 'en' : 'zh');
    localStorage.setItem(LANGUAGE_KEY, this.language.tag);
    this.language.apply(document);
    this.welcome.draw();
    this.room.redraw();
    const { inspector, notices, search, bell, uploads, connection } = this;
    for (const part of [inspector, notices, search, bell, uploads, connection]) part.draw();
    this.#draw();
  }

  /** A timer and not an animation frame, which a hidden tab would never get. */
  #drawSoon() {
    this.#drawing ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw() {
    clearTimeout(this.#drawing);
    this.#drawing = null;
    this.sidebar.draw(this.room.current ?? undefined);
    this.head.draw(this.room.current);
    this.room.draw();
    this.reply.draw();
    const { me, conversations } = this.store;
    this.lonely.draw(me !== null && conversations.size === 0, me?.user_id);
    this.#drawTitle();
  }

  #drawTitle() {
    if ($('chat').hidden) return;
    const { unread } = this.store;
    const { current } = this.room;
    const title = current ? `${this.store.titleOf(current)} · Anmei` : 'Anmei';
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  }

  #announce(text) {
    $('announcer').textContent = text;
  }
}

new App().start();
