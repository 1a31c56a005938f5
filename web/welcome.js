/** The door of the page: signing in by a name, or with a token. */

import { $ } from './dom.js';
import { SignInIsOff } from './session.js';

export class Welcome {
  #language;
  #session;
  #entered;
  #byToken = false;

  /** `entered()` is called when somebody is signed in. */
  constructor(language, session, entered) {
    this.#language = language;
    this.#session = session;
    this.#entered = entered;
    $('name-form').addEventListener('submit', (event) => this.#signIn(event));
    $('token-form').addEventListener('submit', (event) => this.#useToken(event));
    $('other-way').addEventListener('click', () => this.show({ byToken: !this.#byToken }));
  }

  show({ byToken = false, error = '', name = '' } = {}) {
    this.#byToken = byToken;
    $('chat').hidden = true;
    $('welcome').hidden = false;
    $('name-form').hidden = byToken;
    $('token-form').hidden = !byToken;
    $('token-why').textContent = this.#language.t('tokenHow');
    $('other-way').textContent = this.#language.t(byToken ? 'haveName' : 'haveToken');
    $('welcome-error').textContent = error;
    if (name) $('name').value = name;
    document.title = 'Anmei';
    $(byToken ? 'token' : 'name').focus();
  }

  hide() {
    $('welcome').hidden = true;
    $('chat').hidden = false;
    $('token').value = '';
  }

  /** Draws again what depends on the language. */
  draw() {
    if (!$('welcome').hidden) this.show({ byToken: this.#byToken });
  }

  async #signIn(event) {
    event.preventDefault();
    const name = $('name').value.trim();
    if (!name) return;
    const button = $('enter');
    button.disabled = true;
    button.textContent = this.#language.t('entering');
    $('welcome-error').textContent = '';
    try {
      await this.#session.byName(name);
      this.#entered();
    } catch (error) {
      if (error instanceof SignInIsOff) {
        this.show({ byToken: true });
        $('token-why').textContent = this.#language.t('tokenWhy');
      } else {
        const reason = error instanceof TypeError ? this.#language.t('noServer') : error.message;
        $('welcome-error').textContent = this.#language.t('signInFailed', { reason });
      }
    } finally {
      button.disabled = false;
      button.textContent = this.#language.t('enter');
    }
  }

  #useToken(event) {
    event.preventDefault();
    if (this.#session.byToken($('token').value)) this.#entered();
    else $('welcome-error').textContent = this.#language.t('tokenBad');
  }
}
