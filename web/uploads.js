/** Files on their way: chosen, pasted or dropped, shown while they go up, and sent when they are there. */

import { $, element } from './dom.js';
import { prepare } from './pictures.js';
import { Refused, Upload } from './upload.js';

export class Uploads {
  #language;
  #actions;
  #conversation = null;
  #running = new Map();

  /** `actions`: `token()`, `answers()`, and `send({ conversation_id, message_type, content, body, reply_to })`. */
  constructor(language, actions) {
    this.#language = language;
    this.#actions = actions;
    $('attach').addEventListener('click', () => $('file').click());
    $('file').addEventListener('change', () => {
      this.#take($('file').files);
      $('file').value = '';
    });
    $('text').addEventListener('paste', (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.#take(event.clipboardData.files);
    });
    const room = $('room');
    const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
    room.addEventListener('dragover', (event) => {
      if (!carriesFiles(event) || this.#conversation === null) return;
      event.preventDefault();
      room.classList.add('dropping');
    });
    for (const type of ['dragleave', 'drop']) {
      room.addEventListener(type, () => room.classList.remove('dropping'));
    }
    room.addEventListener('drop', (event) => {
      if (!carriesFiles(event) || this.#conversation === null) return;
      event.preventDefault();
      this.#take(event.dataTransfer.files);
    });
    addEventListener('online', () => this.wake());
  }

  show(conversationId) {
    this.#conversation = conversationId;
  }

  /** Goes on with what rests: there is a connection again. */
  wake() {
    for (const upload of this.#running.keys()) upload.wake();
  }

  draw() {
    for (const { draw } of this.#running.values()) draw();
  }

  #take(files) {
    for (const file of files) this.#upload(file, this.#conversation, this.#actions.answers());
  }

  async #upload(file, conversation_id, reply_to) {
    const row = this.#row(file.name);
    const picture = await prepare(file);
    const data = picture?.blob ?? file;
    const upload = new Upload(data, file.name, {
      token: this.#actions.token,
      progressed: (bytes) => row.progress(bytes, data.size),
    });
    this.#running.set(upload, row);
    row.onCancel(() => upload.cancel());
    try {
      const attachment_id = await upload.run();
      const body = picture
        ? { attachment_id, width: picture.width, height: picture.height, alt: file.name.slice(0, 1_000) }
        : { attachment_id, name: file.name.slice(0, 255) || 'file', size: file.size };
      this.#actions.send({
        conversation_id,
        content: '',
        message_type: picture ? 'image' : 'file',
        body,
        reply_to,
      });
      row.end();
    } catch (error) {
      if (error instanceof Refused) row.fail(this.#language.error(error));
      else row.end();
    } finally {
      this.#running.delete(upload);
    }
  }

  #row(name) {
    const t = (key, values) => this.#language.t(key, values);
    const bar = element('progress', { max: 1, value: 0, 'aria-label': name });
    const state = element('span', { class: 'soft' });
    const button = element('button', { type: 'button', class: 'quiet' });
    const row = element('li', {}, element('span', { class: 'file-name', dir: 'auto', text: name }), bar, state, button);
    let failure = '';
    const draw = () => {
      button.textContent = t(failure ? 'dismiss' : 'cancel');
      button.setAttribute('aria-label', `${button.textContent}: ${name}`);
      state.textContent = failure ? t('uploadFailed', { reason: failure }) : `${Math.floor(bar.value * 100)} %`;
    };
    draw();
    $('uploads').append(row);
    const end = () => {
      const had = row.contains(document.activeElement);
      row.remove();
      if (had) $('text').focus();
    };
    let cancel = () => {};
    button.addEventListener('click', () => (failure ? end() : cancel()));
    return {
      draw,
      onCancel: (call) => (cancel = call),
      progress: (bytes, size) => {
        bar.value = size ? bytes / size : 1;
        draw();
      },
      end,
      fail: (reason) => {
        failure = reason;
        row.classList.add('failed');
        row.setAttribute('role', 'alert');
        bar.hidden = true;
        draw();
      },
    };
  }
}
