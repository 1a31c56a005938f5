/** What messages carry: pictures and sounds in their place, anything else to be saved. */

import { element } from './dom.js';

const KEPT = 100;
const WIDEST_PX = 360;
const HIGHEST_PX = 320;

export class Attachments {
  #language;
  #token;
  #urls = new Map();

  constructor(language, token) {
    this.#language = language;
    this.#token = token;
  }

  /** How the body of a message is shown, or null where there is nothing to show. */
  draw({ message_type: kind, body }) {
    if (!body?.attachment_id) return null;
    if (kind === 'image') return this.#picture(body);
    if (kind === 'voice') return this.#voice(body);
    return this.#file(body.attachment_id, body.name, body.size);
  }

  #picture({ attachment_id, width, height, alt }) {
    // Its room is there before it is, or what stands below would jump.
    const scale = Math.min(1, WIDEST_PX / width, HIGHEST_PX / height);
    const image = element('img', {
      class: 'picture',
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
      alt: alt ?? this.#language.t('picture'),
    });
    this.#show(image, attachment_id);
    const frame = element('button', {
      type: 'button',
      class: 'picture-frame',
      title: `${this.#language.t('save')}: ${image.alt}`,
      on: { click: () => this.#save(attachment_id, image.alt, frame) },
    }, image);
    return frame;
  }

  #voice({ attachment_id }) {
    const player = element('audio', { controls: '', preload: 'none', class: 'voice' });
    this.#show(player, attachment_id);
    return player;
  }

  #file(id, name, size) {
    const label = element('span', { class: 'file-name', dir: 'auto', text: name });
    const about = element('span', { class: 'soft', text: this.#language.bytes(size) });
    const button = element('button', {
      type: 'button',
      class: 'file',
      'aria-label': `${this.#language.t('save')}: ${name}, ${about.textContent}`,
      on: { click: () => this.#save(id, name, button) },
    }, element('span', { class: 'file-sign', 'aria-hidden': 'true', text: '⤓' }), label, about);
    return button;
  }

  async #show(media, id) {
    try {
      media.src = await this.#url(id);
    } catch {
      media.classList.add('gone');
    }
  }

  async #save(id, name, button) {
    button.disabled = true;
    try {
      const href = await this.#url(id);
      element('a', { href, download: name }).click();
    } catch {
      button.classList.add('gone');
    } finally {
      button.disabled = false;
    }
  }

  /** An address of the file's bytes in this page; the same again for the same file. */
  #url(id) {
    let url = this.#urls.get(id);
    this.#urls.delete(id);
    url ??= this.#fetch(id).catch((error) => {
      this.#urls.delete(id);
      throw error;
    });
    this.#urls.set(id, url);
    if (this.#urls.size > KEPT) {
      const [oldest, gone] = this.#urls.entries().next().value;
      this.#urls.delete(oldest);
      gone.then((address) => URL.revokeObjectURL(address), () => {});
    }
    return url;
  }

  async #fetch(id) {
    const response = await fetch(new URL(`api/v1/files/${encodeURIComponent(id)}`, document.baseURI), {
      headers: { Authorization: `Bearer ${await this.#token()}` },
    });
    if (!response.ok) throw new Error(response.status);
    return URL.createObjectURL(await response.blob());
  }
}
