/** How the connection is, in words: a light in the bar, and a banner where it needs attention. */

import { $ } from './dom.js';

/**
 * Draws `state` (see the client's `state` event). `wasLost` says that there was a connection before
 * or that the first did not come about, so that a first connect shows no banner.
 */
export function drawConnection(language, { state, retryAt, code, reason }, wasLost) {
  const t = (key, values) => language.t(key, values);
  const seconds = Math.ceil((retryAt - Date.now()) / 1000);
  const words = {
    online: () => t('connected'),
    waiting: () => (seconds > 0 ? t('reconnecting', { n: seconds }) : t('reconnectingNow')),
    connecting: () => t(wasLost ? 'reconnectingNow' : 'connecting'),
    stopped: () => t('disconnected'),
  };
  const text = navigator.onLine || state === 'online' ? words[state]?.() : t('youAreOffline');
  $('chat').dataset.state = $('connection').dataset.state = state;
  if ($('connection-text').textContent !== text) $('connection-text').textContent = text ?? '';

  const banner = $('banner');
  const stands = !banner.hidden;
  banner.dataset.state = state;
  // A reconnect that takes no time is not worth a banner; one that stands stays until it is over.
  banner.hidden = !(state === 'stopped' || (wasLost && (stands || seconds > 0)));
  const stopped = code === null ? t('gaveUp') : t('stoppedNote', { code, reason });
  $('banner-text').textContent = state === 'stopped' ? stopped : t('waitingNote');
  $('try-now').disabled = state === 'connecting';
}
