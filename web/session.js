/**
 * Who this tab is. It is kept in the tab's own storage, so two tabs can be two people. A tab with a
 * name can renew its token by itself as long as it holds; a tab with a pasted token cannot.
 */

import { newId } from './ids.js';

const KEY = 'anmei.session';
const UNSENT_KEY = 'anmei.unsent';
const SIGN_IN = 'demo/sign-in';
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Signing in by name is off on this server. */
export class SignInIsOff extends Error {}

export class Session {
  #kept = read(KEY);

  /** The name, user id, token and first conversation, or null when nobody is signed in. */
  get current() {
    return this.#kept;
  }

  get deviceId() {
    return this.#kept.device_id;
  }

  /** Signs in by name. Throws SignInIsOff, or an Error with the reason. */
  async byName(name) {
    const { status, answer } = await signIn(name);
    if (status === 404) throw new SignInIsOff();
    if (status >= 400) throw refused(status, answer);
    this.#keep({ ...answer, signedInAs: name });
  }

  /** Takes a pasted token; false when it cannot be one. */
  byToken(text) {
    const token = text.trim();
    if (!TOKEN.test(token)) return false;
    this.#keep({ token });
    return true;
  }

  /** For the client: the token, a newer one where it has to be, or null where there is none. */
  async token({ fresh }) {
    if (!this.#kept) return null;
    const { signedInAs, token, expires_at } = this.#kept;
    const hasEnded = Date.parse(expires_at) <= Date.now();
    if (!fresh && !hasEnded) return token;
    if (signedInAs === undefined || hasEnded) return null;
    return this.#renewed();
  }

  /** A newer token of the same user, or null where the old one is not good for that any more. */
  async #renewed() {
    const { token, user_id, signedInAs } = this.#kept;
    const { status, answer } = await signIn(signedInAs, { Authorization: `Bearer ${token}` });
    if (status === 401 || status === 404) return null;
    if (status >= 400) throw refused(status, answer);
    // Another user's token would leave what this one wrote behind.
    if (answer.user_id !== user_id) return null;
    this.#keep({ ...answer, signedInAs });
    return answer.token;
  }

  /** Forgets the token; the name stays for the form, and what is unsent for whoever signs in. */
  forget() {
    const name = this.#kept?.signedInAs ?? '';
    this.#kept = null;
    sessionStorage.removeItem(KEY);
    return name;
  }

  /** Messages that the server has not acknowledged. */
  get unsent() {
    return read(UNSENT_KEY) ?? [];
  }

  set unsent(messages) {
    sessionStorage.setItem(UNSENT_KEY, JSON.stringify(messages));
  }

  #keep(session) {
    this.#kept = { device_id: this.#kept?.device_id ?? newId('tab'), ...session };
    sessionStorage.setItem(KEY, JSON.stringify(this.#kept));
  }
}

async function signIn(name, headers = {}) {
  const response = await fetch(SIGN_IN, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ name }),
  });
  return { status: response.status, answer: await response.json().catch(() => ({})) };
}

function refused(status, answer) {
  return new Error(answer.error?.message ?? `HTTP ${status}`);
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}
