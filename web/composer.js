/** The message box: what is written, when it is sent, and telling the others that one is writing. */

import { $ } from './dom.js';

const TYPING_EVERY_MS = 2_000;
const TYPING_STOPS_MS = 4_000;
const DRAFT_AFTER_MS = 1_000;

export class Composer {
  #actions;
  #conversation = null;
  #drafts = new Map();
  #isTyping = false;
  #toldAt = 0;
  #timer = null;
  #telling = null;
  #changing = null;
  #saving = null;

  /**
   * `actions`: `send(text)`, `change(message, text)`, `cancel()`, `typing(conversationId, isTyping)`,
   * `draft(conversationId, text)` with what is to be kept for other devices, and `refusal(text)`,
   * which says in words why it cannot be sent, or ''. What cannot be sent stays in the box.
   */
  constructor(actions) {
    this.#actions = actions;
    const text = $('text');
    text.addEventListener('input', () => this.#changed());
    text.addEventListener('keydown', (event) => {
      // While an input method composes, Enter chooses a candidate. Some browsers end the
      // composition before this event and say so by the key code alone.
      const composes = event.isComposing || event.keyCode === 229;
      if (event.key === 'Escape' && !composes) {
        this.keep();
        this.#actions.cancel();
      }
      if (event.key !== 'Enter' || event.shiftKey || composes) return;
      event.preventDefault();
      this.#submit();
    });
    $('keep').addEventListener('click', () => {
      this.keep();
      text.focus();
    });
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
      text.focus();
    });
  }

  show(conversationId) {
    this.#stop();
    this.keep();
    this.#save();
    if (this.#conversation !== null) this.#drafts.set(this.#conversation, $('text').value);
    this.#conversation = conversationId;
    $('refusal').textContent = '';
    this.#put(this.#drafts.get(conversationId) ?? '');
    $('composer').hidden = conversationId === null;
    $('keys').hidden = conversationId === null;
  }

  /** What is sent next replaces this message, which is put into the box in place of the draft. */
  change(message) {
    this.keep();
    this.#changing = { message, draft: $('text').value };
    $('changing').hidden = false;
    this.#put(message.content);
    $('text').focus();
  }

  /** Leaves the message as it is, and goes on with the draft. */
  keep() {
    if (!this.#changing) return;
    const { draft } = this.#changing;
    this.#changing = null;
    $('changing').hidden = true;
    $('refusal').textContent = '';
    this.#put(draft);
  }

  /** What another device has left; what is being written here stays, and is kept after it. */
  takeDraft(conversationId, text) {
    if (conversationId !== this.#conversation) this.#drafts.set(conversationId, text);
    else if (this.#saving !== null) return;
    else if (this.#changing) this.#changing.draft = text;
    else if ($('text').value !== text) this.#put(text);
  }

  /** Has the draft kept, where it was changed or `always`. */
  #save(always = false) {
    if (this.#conversation === null || (this.#saving === null && !always)) return;
    clearTimeout(this.#saving);
    this.#saving = null;
    this.#actions.draft(this.#conversation, this.#changing?.draft ?? $('text').value);
  }

  /** Puts `content` back into the box, before what stands there. */
  takeBack(content) {
    const rest = $('text').value;
    this.#put(rest ? `${content}\n${rest}` : content);
    $('text').focus();
  }

  #put(value) {
    $('text').value = value;
    this.#grow();
  }

  #grow() {
    const text = $('text');
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight + 2}px`;
  }

  #submit() {
    const value = $('text').value.trim();
    if (!value) return;
    const problem = this.#actions.refusal(value);
    $('refusal').textContent = problem;
    if (problem) return;
    if (this.#changing) {
      const { message } = this.#changing;
      this.keep();
      this.#stop();
      this.#actions.change(message, value);
      return;
    }
    this.#put('');
    this.#stop();
    this.#save(true);
    // The message has ended the typing for whoever saw it: what is typed next is news again.
    this.#toldAt = 0;
    this.#actions.send(value);
  }

  #changed() {
    this.#grow();
    $('refusal').textContent = '';
    if (!this.#changing) this.#saving ??= setTimeout(() => this.#save(), DRAFT_AFTER_MS);
    if (!$('text').value.trim()) {
      this.#stop();
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stop(), TYPING_STOPS_MS);
    const wait = Math.max(0, this.#toldAt + TYPING_EVERY_MS - Date.now());
    this.#telling ??= setTimeout(() => this.#tell(), wait);
  }

  #tell() {
    this.#telling = null;
    this.#toldAt = Date.now();
    this.#isTyping = true;
    this.#actions.typing(this.#conversation, true);
  }

  #stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#telling);
    this.#telling = null;
    if (this.#isTyping) this.#actions.typing(this.#conversation, false);
    this.#isTyping = false;
  }
}
