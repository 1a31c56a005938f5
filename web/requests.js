/** Requests that wait for their answer, and the errors that they may get instead. */

/** The `error` of a frame, or the same shape for what failed on this side. */
export class AnmeiError extends Error {
  constructor({ code, message, retryable = false, retry_after_ms = null }) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retry_after_ms;
  }
}

export function disconnected() {
  const message = 'there is no connection';
  return new AnmeiError({ code: 'disconnected', message, retryable: true });
}

export class Requests {
  #last = 0;
  #waiting = new Map();

  /** The id of a new request. */
  next() {
    return `r${++this.#last}`;
  }

  /** The answer to `id`, to be awaited; a timeout is an answer too. */
  wait(id, timeoutMs) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        const message = `no answer in ${timeoutMs} ms`;
        reject(new AnmeiError({ code: 'timeout', message, retryable: true }));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Takes an `ack`, a `pong` or an `error` frame; one that nobody waits for is passed over. */
  answer({ type, id, data, error }) {
    const asked = this.#waiting.get(id);
    if (!asked) return;
    this.#waiting.delete(id);
    clearTimeout(asked.timer);
    if (type === 'error') asked.reject(new AnmeiError(error));
    else asked.resolve(data);
  }

  /** The connection is gone, and with it every answer. */
  abandon() {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject, timer } of waiting) {
      clearTimeout(timer);
      reject(disconnected());
    }
  }
}
