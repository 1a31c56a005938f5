/** What is shown of a message of another kind than text, and of the page that it links to. */

import { element } from './dom.js';

/** The words of a message, whatever its kind; `t` translates. */
export function wordsOf({ message_type: kind, content, body }, t) {
  if (!body) return content;
  if (kind === 'card') return [body.title, body.text].filter(Boolean).join('\n');
  if (kind === 'system') return content || body.event;
  const what = {
    image: () => (body.alt ? t('imageOf', { text: body.alt }) : t('image')),
    file: () => t('file', { name: body.name }),
    voice: () => t('voice', { n: Math.ceil(body.duration_ms / 1000) }),
  }[kind]?.();
  return [what, content].filter(Boolean).join('\n');
}

/** Links that stand below the words. */
export function linksOf({ message_type: kind, body, link_preview: preview }) {
  const links = [];
  if (kind === 'card' && body) {
    links.push(link(body.url, hostOf(body.url)));
    for (const { label, url } of body.buttons ?? []) links.push(link(url, label));
  }
  if (preview) links.push(link(preview.url, preview.title, preview.site_name || hostOf(preview.url), preview.description));
  return links.filter(Boolean);
}

/** The page learns nothing of where the reader comes from. */
function link(url, title, ...more) {
  if (!/^https?:\/\//i.test(url ?? '')) return null;
  return element(
    'a',
    { class: 'link', href: url, target: '_blank', rel: 'noopener noreferrer nofollow' },
    element('strong', { dir: 'auto', text: title }),
    ...more.filter(Boolean).map((text) => element('span', { dir: 'auto', text })),
  );
}

function hostOf(url) {
  return URL.canParse(url ?? '') ? new URL(url).host : '';
}
