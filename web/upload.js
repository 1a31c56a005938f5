/**
 * One upload by tus 1.0: it goes on where it stopped, after a lost connection and, in the same tab,
 * when the same file is chosen again after a reload.
 */

const CHUNK_BYTES = 8 * 1024 * 1024;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const PATH = 'api/v1/files';
const TUS = { 'Tus-Resumable': '1.0.0' };

/** The server refused the file; trying again would not help. */
export class Refused extends Error {
  constructor({ code = 'other', message = '' } = {}) {
    super(message);
    this.code = code;
  }
}

export class Upload {
  #file;
  #name;
  #token;
  #progressed;
  #stop = new AbortController();
  #wake = null;

  /** `token()` gives the token to send, `progressed(bytes)` hears how much the server has. */
  constructor(file, name, { token, progressed }) {
    this.#file = file;
    this.#name = name;
    this.#token = token;
    this.#progressed = progressed;
  }

  /** Sends the file; the id that a message names it by. Throws Refused, or an AbortError. */
  async run() {
    const key = `anmei.upload ${this.#name} ${this.#file.size} ${this.#file.lastModified}`;
    let url = sessionStorage.getItem(key);
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        const before = url;
        url ??= await this.#create();
        sessionStorage.setItem(key, url);
        await this.#send(url, before === null ? 0 : undefined, () => {
          pause = FIRST_PAUSE_MS;
        });
        sessionStorage.removeItem(key);
        return url.slice(url.lastIndexOf('/') + 1);
      } catch (error) {
        if (error.name === 'AbortError') {
          sessionStorage.removeItem(key);
          if (url) this.#fetch('DELETE', url, {}, null, { signal: null }).catch(() => {});
          throw error;
        }
        if (error instanceof Refused) {
          sessionStorage.removeItem(key);
          // One that is gone, as an old one may be, is begun anew.
          if (error.code !== 'not_found' || url === null) throw error;
          url = null;
        } else {
          await this.#rest(pause);
          pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
        }
      }
    }
  }

  /** Ends it, here and at the server. */
  cancel() {
    this.#stop.abort();
    this.#wake?.();
  }

  /** Tries again at once, where it rests. */
  wake() {
    this.#wake?.();
  }

  async #create() {
    const metadata = [`filename ${base64(this.#name)}`, `filetype ${base64(this.#file.type)}`];
    const response = await this.#fetch('POST', PATH, {
      'Upload-Length': this.#file.size,
      'Upload-Metadata': metadata.join(','),
    });
    return response.headers.get('Location');
  }

  async #send(url, known, went) {
    let offset = known ?? Number((await this.#fetch('HEAD', url)).headers.get('Upload-Offset'));
    this.#progressed(offset);
    while (offset < this.#file.size) {
      const body = this.#file.slice(offset, offset + CHUNK_BYTES);
      const response = await this.#fetch('PATCH', url, {
        'Upload-Offset': offset,
        'Content-Type': 'application/offset+octet-stream',
      }, body);
      offset = Number(response.headers.get('Upload-Offset'));
      went();
      this.#progressed(offset);
    }
  }

  async #fetch(method, url, headers = {}, body = null, { signal } = { signal: this.#stop.signal }) {
    const token = await this.#token();
    const response = await fetch(new URL(url, document.baseURI), {
      method,
      body,
      signal,
      headers: { ...TUS, ...headers, Authorization: `Bearer ${token}` },
    });
    if (response.ok) return response;
    const error = (await response.json().catch(() => ({}))).error ?? {};
    if (response.status === 404) error.code = 'not_found';
    // A conflict is an offset that we got wrong: asking where it stopped mends it.
    if (error.retryable || response.status >= 500 || response.status === 409) {
      throw new Error(error.message);
    }
    throw new Refused(error);
  }

  #rest(ms) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        if (this.#stop.signal.aborted) reject(new DOMException('', 'AbortError'));
        else resolve();
      };
    });
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
