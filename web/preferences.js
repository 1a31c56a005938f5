/** What the person has set for conversations, the same on all devices: mutes, what is on top, and drafts. */

const MOST_DRAFT_BYTES = 4_096;

export class Preferences {
  #client = null;
  #held = new Map();
  #actions;

  /** `actions`: `changed()`, and `draft(conversationId, text)`, which another device has left. */
  constructor(actions) {
    this.#actions = actions;
  }

  attend(client) {
    this.#client = client;
    client.on('preference_update', ({ preferences }) => preferences.forEach((one) => this.#take(one)));
  }

  isMuted(conversationId) {
    const { muted = false, muted_until: until = null } = this.#held.get(conversationId) ?? {};
    return muted && (until === null || Date.parse(until) > Date.now());
  }

  mute(conversationId, on) {
    return this.#set('mute_conversation', { conversation_id: conversationId, on });
  }

  isPinned(conversationId) {
    return Boolean(this.#held.get(conversationId)?.pinned_at);
  }

  pin(conversationId, on) {
    return this.#set('pin_conversation', { conversation_id: conversationId, on });
  }

  /** Keeps what is written for the other devices; one that is too long stays here alone. */
  saveDraft(conversationId, text) {
    if (text === (this.#held.get(conversationId)?.draft ?? '')) return;
    if (new TextEncoder().encode(text).length > MOST_DRAFT_BYTES) return;
    this.#set('save_draft', { conversation_id: conversationId, text });
  }

  async #set(type, data) {
    try {
      this.#take(await this.#client.request(type, data));
    } catch {
      // Not told now: what is set stays as it is on the server, and a draft stays in the box.
    }
  }

  #take(preference) {
    const { conversation_id: id } = preference;
    const before = this.#held.get(id);
    if (before && before.seq >= preference.seq) return;
    this.#held.set(id, preference);
    if (preference.draft !== (before?.draft ?? '')) this.#actions.draft(id, preference.draft);
    this.#actions.changed();
  }
}
