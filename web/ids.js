/** Ids that the page makes. */

/** An unguessable id; `crypto.randomUUID` would be missing on pages without TLS. */
export function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(15));
  return `${prefix}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
