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
export function tools(message, isOpen, { t, me, can, actions }) {
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
  const isPinned = Boolean(message.pinned_at);
  const bar = element(
    'div',
    { class: 'tools', role: 'group', 'aria-label': t('actions') },
    ...EMOJIS.map((emoji) =>
      button(emoji, t('reactWith', { emoji }), () => actions.react(message, emoji, !own.has(emoji)), {
        'aria-pressed': String(own.has(emoji)),
      }),
    ),
    ...(can.reply ? [button(t('reply'), '', () => actions.reply(message))] : []),
    ...(can.forward ? [button(t('forward'), '', () => actions.forward(message))] : []),
    ...(can.pin ? [button(t(isPinned ? 'unpin' : 'pin'), '', () => actions.pin(message, !isPinned))] : []),
    ...(can.change ? [button(t('edit'), '', () => actions.change(message))] : []),
    ...(can.recall ? [button(t('takeBack'), '', () => actions.recall(message))] : []),
  );
  return [opener, bar];
}

/**
 * What a message answers, as it is now, put by `wordsOf`, and leading to it; null where it answers
 * nothing. `quoted` is undefined where it is older than what was loaded.
 */
export function quote(message, quoted, { t, nameOf, actions }, wordsOf) {
  if (!message.reply_to || message.recalled_at) return null;
  const go = () => actions.go({ id: message.reply_to, conversation_id: message.conversation_id });
  const said = quoted?.recalled_at ? t('recalled') : quoted && wordsOf(quoted, t);
  return element(
    'button',
    { type: 'button', class: 'quote', data: { focus: 'quote' }, on: { click: go } },
    element('strong', { text: quoted ? quoted.sender_name || nameOf(quoted.sender_id) : t('earlier') }),
    ...(said ? [element('span', { dir: 'auto', text: said.slice(0, 200) })] : []),
  );
}
