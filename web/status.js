/** The status that the person has chosen: told to the server, also when it had to wait for that. */

import { $ } from './dom.js';

export class Status {
  #store;
  #inspector;
  #client = null;
  #isUntold = false;

  constructor(store, inspector) {
    this.#store = store;
    this.#inspector = inspector;
    $('status').addEventListener('change', () => this.#tell());
  }

  attend(client) {
    this.#client = client;
    client.on('user_status_update', ({ user_id, status }) => {
      if (user_id === this.#store.me?.user_id && status !== 'offline') $('status').value = status;
    });
  }

  /** There is a connection, and by it the server says which status it has. */
  ready(status) {
    if (this.#isUntold) this.#tell();
    else $('status').value = status;
  }

  async #tell() {
    const status = $('status').value;
    this.#isUntold = true;
    try {
      await this.#client.request('set_status', { status });
      this.#isUntold = false;
      this.#store.status({ user_id: this.#store.me.user_id, status });
    } catch (error) {
      if (!error.retryable) this.#inspector.problem({ kind: 'set_status', message: error.message });
    }
  }
}
