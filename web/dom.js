/** Small helpers for building the page. Whatever comes from people goes in as text, never as markup. */

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `text`, `data`, `aria-…`, `on…`) and children. */
export function element(tag, { class: names, text, data, on, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (names) made.className = names;
  if (text !== undefined) made.textContent = text;
  Object.assign(made.dataset, data);
  for (const [type, listener] of Object.entries(on ?? {})) made.addEventListener(type, listener);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Puts text where it is another: what stands is left as it is, or it would be read out again. */
export function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

/** The first letter of a name on a colour that is always the same for the same user. */
export function dressAvatar(avatar, userId, name) {
  let sum = 0;
  for (const letter of userId) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  avatar.dataset.hue = sum % 8;
  avatar.textContent = [...name.trim()][0]?.toUpperCase() ?? '?';
  return avatar;
}

export function avatar(userId, name, names = 'avatar') {
  return dressAvatar(element('span', { class: names, 'aria-hidden': 'true' }), userId, name);
}
