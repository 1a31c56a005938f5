/**
 * A client of Anmei's WebSocket protocol, version 1. It needs no page: everything it knows of the
 * world comes in through its constructor.
 *
 *     const client = new AnmeiClient({ url: 'ws://127.0.0.1:8000/ws/chat', getToken: () => token });
 *     client.on('new_message', (message) => console.log(message.content));
 *     client.connect();
 *     client.send({ conversation_id: 'lobby', content: 'Hello' });
 *
 * Besides every event of the server under its own name (`new_message`, `typing`, …) it emits
 *
 *     state        {state, retryAt, code, reason}   see `STATES`
 *     ready        data of `connection_established`, after every connect
 *     sent         {client_msg_id, message, ack}    the server has committed it
 *     send_failed  {client_msg_id, message, error}  and will not take it as it is
 *     filled       {conversation_id, messages}      what a gap had swallowed
 *     reset        {conversation_id, from}          too much was missed: held is the newest page
 *     restored     {conversation_id}               the server has an older state: forget what is held
 *     problem      {kind, message}                  something a correct server never does
 *     frame        {direction, frame, at}           every frame, for looking at
 */

import { Delivered } from './delivered.js';
import { newId } from './ids.js';
import { Outbox } from './outbox.js';
import { AnmeiError, Requests, disconnected } from './requests.js';
import { Sequence } from './sequence.js';
import { Timers } from './timers.js';

/** `waiting` has a `retryAt`; `stopped` does not come back by itself; `closed` is our own doing. */
export const STATES = ['idle', 'connecting', 'online', 'waiting', 'stopped', 'closed'];

const REQUEST_TIMEOUT_MS = 20_000;
const PROBE_TIMEOUT_MS = 4_000;
const CONNECT_TIMEOUT_MS = 15_000;
const STABLE_MS = 5_000;
const DELIVERED_DELAY_MS = 250;
const INBOX = ['notification', 'notification_updated', 'notification_removed', 'inbox_read'];
const SEQUENCED = new Set(['new_message', 'message_updated', 'conversation_updated', ...INBOX]);

export { AnmeiError };

export class AnmeiClient {
  #url;
  #getToken;
  #WebSocket;
  #random;
  #listeners = new Map();

  #state = { state: 'idle', retryAt: null, code: null, reason: '' };
  #socket = null;
  #attempt = 0;
  #tokenIsStale = false;
  #lastWords = null;
  #timers = new Timers();
  #heardAt = 0;
  #pingAt = null;

  #requests = new Requests();
  #outbox = new Outbox({
    transmit: (message) => this.request('send_message', message),
    settled: (type, detail) => this.#emit(type, detail),
    backoff: (tries) => this.#backoff(tries),
  });
  #delivered = new Delivered((data) => this.notify('delivered', data));
  /** The number of the person's preferences that is held. */
  #preferences = 0;
  #sequence = new Sequence();
  #reconnect = { max_attempts: 15, base_delay_ms: 500, max_delay_ms: 30_000 };

  /**
   * `getToken({fresh})` gives a token, a promise of one, or null when there is none; `fresh` asks
   * for another than last time. `random` and `WebSocket` are there to be replaced.
   */
  constructor({
    url,
    getToken,
    deviceId = newId('dev'),
    deviceType = 'web',
    WebSocket = globalThis.WebSocket,
    random = Math.random,
  }) {
    const full = new URL(url);
    full.searchParams.set('device_id', deviceId);
    full.searchParams.set('device_type', deviceType);
    full.searchParams.set('resume', 'client');
    this.#url = full.href;
    this.#getToken = getToken;
    this.#WebSocket = WebSocket;
    this.#random = random;
    /** The data of the latest `connection_established`. */
    this.session = null;
  }

  get state() {
    return this.#state;
  }

  /** Calls `listener(detail)` on every `type`; what is returned takes it off again. */
  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(listener);
    return () => this.#listeners.get(type).delete(listener);
  }

  connect() {
    if (!['connecting', 'online'].includes(this.#state.state)) this.#open();
  }

  /** Leaves for good; `connect` comes back. What was not acknowledged stays in the outbox. */
  close() {
    this.#drop(1000, 'bye');
    this.#setState('closed');
  }

  /** Connects now instead of after the wait, and forgets how often it failed before. */
  retryNow() {
    if (['connecting', 'online', 'closed', 'idle'].includes(this.#state.state)) return;
    this.#attempt = 0;
    this.#open();
  }

  /** For when the device woke up or its network changed: is the connection still one? */
  wake() {
    const { state, code } = this.#state;
    if (state === 'waiting' || (state === 'stopped' && code === null)) this.retryNow();
    else if (state === 'online') this.#ping(PROBE_TIMEOUT_MS);
  }

  /** Sends a frame that wants no answer; false when there is no connection to send it on. */
  notify(type, data) {
    return this.#write({ type, data });
  }

  /** Sends a frame and gives its ack's data, or throws an AnmeiError. */
  async request(type, data, timeoutMs = REQUEST_TIMEOUT_MS) {
    const id = this.#requests.next();
    const frame = { type, id, data };
    const limit = this.session?.limits?.frame_bytes ?? Infinity;
    const size = new TextEncoder().encode(JSON.stringify(frame)).length;
    if (size > limit) {
      const message = `a frame of ${size} bytes; at most ${limit} are allowed`;
      throw new AnmeiError({ code: 'too_large', message });
    }
    if (!this.#write(frame)) throw disconnected();
    return this.#requests.wait(id, timeoutMs);
  }

  /**
   * Sends a message, now or as soon as there is a connection, and again until the server says that
   * it has it: the same `client_msg_id` is the same message however often it arrives. Gives that id.
   */
  send(message) {
    const data = { client_msg_id: newId('c'), ...message };
    this.#outbox.add(data);
    if (this.#state.state === 'online') this.#outbox.flush();
    return data.client_msg_id;
  }

  /** Says that this device holds everything up to `seq`: soon, and once for many. */
  delivered(conversationId, seq) {
    this.#delivered.add(conversationId, seq);
    if (!this.#timers.has('delivered')) {
      this.#timers.after('delivered', DELIVERED_DELAY_MS, () => this.#delivered.flush());
    }
  }

  markRead(conversationId, seq) {
    this.#delivered.read(conversationId, seq);
    return this.request('mark_read', { conversation_id: conversationId, seq });
  }

  /** Has the connection outlive its token by a newer one; done by itself before the token ends. */
  async refreshToken() {
    try {
      const token = await this.#getToken({ fresh: true });
      if (token) await this.request('refresh_token', { token });
    } catch (error) {
      this.#problem('token', error.message);
    }
  }

  // The connection

  async #open() {
    this.#timers.cancel('retry');
    this.#setState('connecting');
    const marker = {};
    this.#socket = marker;
    let token = null;
    try {
      token = await this.#getToken({ fresh: this.#tokenIsStale });
    } catch {
      if (this.#socket === marker) this.#lost(1006, '');
      return;
    }
    if (this.#socket !== marker) return;
    let socket;
    try {
      if (!token) throw new SyntaxError();
      socket = new this.#WebSocket(this.#url, ['anmei.v1', `bearer.${token}`]);
    } catch (error) {
      this.#socket = null;
      this.#setState('stopped', { code: 4001, reason: error.message }); // '' where there is no token
      return;
    }
    this.#tokenIsStale = false;
    this.#lastWords = null;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#timers.after('connect', CONNECT_TIMEOUT_MS, () => this.#lost(1006, 'no answer'));
  }

  /** Lets go of the socket without waiting for its close: a dead link would take minutes. */
  #drop(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    this.#timers.cancelAll();
    this.#pingAt = null;
    this.#sequence.interrupt();
    if (socket?.close) {
      socket.onmessage = socket.onclose = null;
      socket.close(code, reason);
    }
    this.#requests.abandon();
  }

  #lost(closeCode, closeReason) {
    const known = this.#lastWords;
    const code = closeCode >= 4000 || !known ? closeCode : known.code;
    const reason = closeReason || known?.reason || '';
    const retryAfter = known?.retry_after_ms ?? null;
    this.#drop(1000, '');
    if (code >= 4000 && code <= 4099) {
      this.#setState('stopped', { code, reason });
      return;
    }
    if (this.#attempt >= this.#reconnect.max_attempts) {
      this.#setState('stopped', { reason });
      return;
    }
    if (code === 4202) this.#tokenIsStale = true;
    let delay = this.#backoff(this.#attempt);
    if (code >= 4100 && code <= 4199 && retryAfter !== null) delay = retryAfter;
    // "At once" holds for the first time only: a server that closes every connection with such a
    // code would otherwise be asked without end.
    if (code >= 4200 && code <= 4299 && this.#attempt === 0) delay = 0;
    this.#attempt += 1;
    this.#setState('waiting', { retryAt: Date.now() + delay, code, reason });
    this.#timers.after('retry', delay, () => this.#open());
  }

  /** Full jitter: anywhere between nothing and the doubled delay, so that crowds spread. */
  #backoff(attempt) {
    const { base_delay_ms: base, max_delay_ms: max } = this.#reconnect;
    return Math.round(this.#random() * Math.min(max, base * 2 ** attempt));
  }

  #ping(timeoutMs) {
    if (this.#pingAt !== null) return;
    this.#pingAt = Date.now();
    this.#write({ type: 'ping', data: {} });
    this.#timers.after('pong', timeoutMs, () => this.#lost(1006, 'no heartbeat'));
  }

  /** The browser hides the server's pings, so silence alone proves nothing: ask, then judge. */
  #watch() {
    const { interval_ms: interval, timeout_ms: timeout } = this.session.heartbeat;
    const silent = Date.now() - this.#heardAt;
    if (silent >= interval) this.#ping(Math.max(1_000, timeout - silent));
    this.#timers.after('watch', Math.min(interval, 5_000), () => this.#watch());
  }

  // What comes in

  #heard(text) {
    this.#heardAt = Date.now();
    if (this.#pingAt !== null) {
      this.#pingAt = null;
      this.#timers.cancel('pong');
    }
    let frame;
    try {
      frame = JSON.parse(text);
    } catch (error) {
      this.#problem('frame', `unreadable: ${error.message}`);
      return;
    }
    this.#emit('frame', { direction: 'in', frame, at: this.#heardAt });
    if (frame.type === 'ack' || (frame.type === 'error' && frame.id) || frame.type === 'pong') {
      this.#requests.answer(frame);
    } else if (frame.type === 'error') {
      this.#problem('error', `${frame.error.code}: ${frame.error.message}`);
    } else {
      this.#event(frame.type, frame.data);
    }
  }

  #event(type, data) {
    if (type === 'connection_established') this.#established(data);
    else if (type === 'disconnect') this.#lastWords = data;
    else if (type === 'sync_complete') this.#synced(data);
    else if (type === 'token_expiring') this.refreshToken();
    // What a backend publishes by itself has no number.
    if (SEQUENCED.has(type) && data.change_seq !== undefined && !this.#isNext(data)) {
      // Sent again: that it is held was said once, and may have been lost.
      if (data.resent && data.seq) this.delivered(data.conversation_id, data.seq);
      return;
    }
    this.#emit(type, data);
    if (type === 'new_message' && data.sender_id !== this.session?.user_id) {
      this.delivered(data.conversation_id, data.seq);
    }
    if (type === 'notification' && data.change_seq !== undefined) this.delivered(null, data.change_seq);
  }

  #established(data) {
    this.#timers.cancel('connect');
    this.session = data;
    this.#reconnect = data.reconnect;
    const { conversations, has_more_conversations: more, inbox: box } = data;
    for (const conversation_id of this.#sequence.begin(conversations, !more, box?.seq ?? 0)) {
      this.#emit('restored', { conversation_id });
    }
    this.#setState('online');
    this.#timers.after('stable', STABLE_MS, () => (this.#attempt = 0));
    this.#watch();
    const { positions, inbox } = this.#sequence;
    const preferences = this.#preferences;
    this.request('sync', { positions, inbox, preferences }).catch((error) => {
      if (error.code !== 'disconnected') this.#problem('sync', error.message);
    });
    this.#emit('ready', data);
    this.#outbox.flush();
    this.#delivered.flush();
  }

  /** Whether a numbered event is to be applied; what is out of turn is reported. */
  #isNext(data) {
    const { apply, problem, after } = this.#sequence.take(data);
    if (problem) this.#emit('problem', problem);
    if (after !== undefined) this.#fill(data.conversation_id, after);
    return apply;
  }

  #synced({ conversations, inbox, preferences }) {
    this.#preferences = preferences ?? this.#preferences;
    for (const { id, problem, after, resetFrom } of this.#sequence.complete(conversations, inbox)) {
      if (problem) this.#emit('problem', problem);
      if (after !== undefined) this.#fill(id, after);
      if (resetFrom !== undefined) this.#emit('reset', { conversation_id: id, from: resetFrom });
    }
  }

  async #fill(id, place) {
    if (id === null) return this.#emit('inbox_gap', {});
    try {
      let page = { has_more: true };
      // A page of long messages is shorter than asked for.
      for (let after = place, left = 200; page.has_more && left > 0; ) {
        page = await this.request('history', { conversation_id: id, after_seq: after, limit: left });
        this.#emit('filled', page);
        if (page.messages.length === 0) break;
        after = page.messages.at(-1).seq;
        left -= page.messages.length;
      }
    } catch (error) {
      this.#problem('gap', `${id}: what is missing did not come: ${error.message}`);
    }
  }

  // What goes out

  #write(frame) {
    if (this.#state.state !== 'online' || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    this.#emit('frame', { direction: 'out', frame, at: Date.now() });
    return true;
  }

  // Small things

  #setState(state, { retryAt = null, code = null, reason = '' } = {}) {
    this.#state = { state, retryAt, code, reason };
    this.#emit('state', this.#state);
  }

  #problem(kind, message) {
    this.#emit('problem', { kind, message });
  }

  #emit(type, detail) {
    for (const listener of this.#listeners.get(type) ?? []) listener(detail);
  }
}
