/** What becomes of a message under its bubble: reactions, and what can be done with it. */

import { element } from './dom.js';

/** What is offered at once; whatever else somebody put there can be joined in. */
const EMOJIS = ['👍', '❤️', '😂', '🎉'];

/**
 * The reactions to a message as buttons that add and take away one's own; null where there are
 * none. `about`: `t`, `me` (an id), `nameOf(id)` and `react(message, emoji, on)`.
 */
export function reactions(message, about) {
  const entries = message.reactions ?? [];
  if (entries.length === 0) return null;
  return element(
    'div',
    { class: 'reactions', role: 'group', 'aria-label': about.t('reactions') },
    ...entries.map((entry) => chip(message, entry, about)),
  );
}

function chip(message, { emoji, count, user_ids: ids }, { t, me, nameOf, react }) {
  const own = ids.includes(me);
  const names = ids.slice(0, 8).map((id) => (id === me ? t('you') : nameOf(id)));
  const more = count - names.length;
  const who = names.join(', ') + (more > 0 ? ` ${t('andMore', { n: more })}` : '');
  return element(
    'button',
    {
      type: 'button',
      class: 'reaction',
      'aria-pressed': String(own),
      'aria-label': `${emoji} ${who}`,
      title: who,
      data: { focus: `reaction ${emoji}` },
      on: { click: () => react(message, emoji, !own) },
    },
    element('span', { class: 'emoji', text: emoji }),
    element('span', { text: String(count) }),
  );
}

/** The button that opens the tools of a message, and the tools where they are open. */
export function tools(message, isOpen, { t, me, canChange, canRecall, actions }) {
  const opener = element('button', {
    type: 'button',
    class: 'quiet opener',
    text: '⋯',
    'aria-label': t('actions'),
    'aria-expanded': String(isOpen),
    title: t('actions'),
    data: { focus: 'opener' },
    on: { click: () => actions.open(message) },
  });
  if (!isOpen) return [opener];
  const button = (text, label, action, more = {}) =>
    element('button', {
      type: 'button',
      class: 'quiet',
      text,
      ...(label && { 'aria-label': label, title: label }),
      ...more,
      on: { click: action },
    });
  const own = new Set();
  for (const { emoji, user_ids: ids } of message.reactions ?? []) if (ids.includes(me)) own.add(emoji);
  const bar = element(
    'div',
    { class: 'tools', role: 'group', 'aria-label': t('actions') },
    ...EMOJIS.map((emoji) =>
      button(emoji, t('reactWith', { emoji }), () => actions.react(message, emoji, !own.has(emoji)), {
        'aria-pressed': String(own.has(emoji)),
      }),
    ),
    ...(canChange ? [button(t('edit'), '', () => actions.change(message))] : []),
    ...(canRecall ? [button(t('takeBack'), '', () => actions.recall(message))] : []),
  );
  return [opener, bar];
}

/** What a message answers, as it is now, put by `wordsOf`; null where it answers nothing. */
export function quote(quoted, { t, nameOf }, wordsOf) {
  if (!quoted) return null;
  const said = quoted.recalled_at ? t('recalled') : wordsOf(quoted, t);
  return element(
    'div',
    { class: 'quote' },
    element('strong', { text: quoted.sender_name || nameOf(quoted.sender_id) }),
    element('span', { dir: 'auto', text: said.slice(0, 200) }),
  );
}
