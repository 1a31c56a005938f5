/** Timers by name: of each there is one at a time. */

export class Timers {
  #running = new Map();

  has(name) {
    return this.#running.has(name);
  }

  /** Calls `callback` after `delay` ms, instead of what was to be called by this name before. */
  after(name, delay, callback) {
    this.cancel(name);
    const run = () => {
      this.#running.delete(name);
      callback();
    };
    this.#running.set(name, setTimeout(run, delay));
  }

  cancel(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  cancelAll() {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
}
