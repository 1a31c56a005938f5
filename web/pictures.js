/** Pictures before they are sent: how large they are, and without where and by whom they were taken. */

const MOST_PIXELS = 50_000_000;
const SHOWN = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);
const QUALITY = 0.92;

/**
 * `{ blob, width, height }` of a picture as it is to be sent, or null for a file that is none. What
 * a camera notes beside the picture goes: it is drawn anew, upright.
 */
export async function prepare(file) {
  if (!SHOWN.has(file.type)) return null;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return null;
  }
  const { width, height } = bitmap;
  try {
    if (width * height > MOST_PIXELS) return null;
    if (file.type !== 'image/jpeg') return { blob: file, width, height };
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: file.type, quality: QUALITY });
    return { blob, width, height };
  } finally {
    bitmap.close();
  }
}
