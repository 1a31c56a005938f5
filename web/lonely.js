/** What somebody without a conversation sees: how to get one, ready to be copied. */

import { $ } from './dom.js';

export class Lonely {
  #language;

  constructor(language) {
    this.#language = language;
    $('copy').addEventListener('click', () => this.#copy());
  }

  /** Shows or hides it; `me` is the `user_id` that the command names. */
  draw(isLonely, me) {
    $('lonely').hidden = !isLonely;
    if (isLonely) $('make').textContent = command(me);
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText($('make').textContent);
      $('copied').textContent = this.#language.t('copied');
    } catch {
      // Without TLS there is no clipboard but the person's own.
      getSelection().selectAllChildren($('make'));
      $('copied').textContent = this.#language.t('copyYourself');
    }
  }
}

function command(me) {
  const url = new URL('api/v1/conversations', document.baseURI);
  return [
    `TOKEN=$(.venv/bin/python run.py token --user ${me})`,
    `curl ${url} \\`,
    `  -H "Authorization: Bearer $TOKEN" \\`,
    `  -d '{"kind": "group", "title": "Team", "participant_ids": ["bob"]}'`,
  ].join('\n');
}
