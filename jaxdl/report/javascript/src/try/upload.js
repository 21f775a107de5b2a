// Images of the user's own: opened, dropped or pasted.
import { onWhite } from './scaling.js';

const MOST_PIXELS = 1 << 26; // as in `jaxdl predict`
const MOST_BYTES = 1 << 26;
const LARGEST = 2048; // pixels of a side: larger images are scaled down first

/** Decodes an image file; returns {image, note}. Throws an Error with a message for the page. */
export async function decode(file) {
  if (file.size > MOST_BYTES) {
    throw new Error(
      `${file.name} has ${Math.round(file.size / 1e6)} MB: open an image of at most 64 MB.`,
    );
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    throw new Error(`${file.name} is not an image that this browser can open: try PNG or JPEG.`);
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(
      `${file.name} has ${width} × ${height} pixels: open an image of at most 64 million pixels.`,
    );
  }
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const canvas = new OffscreenCanvas(...size);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, ...size);
  bitmap.close();
  const image = onWhite(context.getImageData(0, 0, ...size).data, size[1], size[0]);
  const note =
    scale < 1
      ? `${file.name}: ${width} × ${height} pixels, scaled to ${size.join(' × ')} first.`
      : '';
  return { image, note };
}

/** Listens for opened, dropped and pasted images. */
export function listen(section, input, opened) {
  input.addEventListener('change', () => {
    if (input.files.length) opened(input.files[0]);
    input.value = '';
  });
  section.addEventListener('dragover', event => {
    event.preventDefault();
    section.classList.add('dropping');
  });
  for (const name of ['dragleave', 'drop', 'dragend']) {
    section.addEventListener(name, () => section.classList.remove('dropping'));
  }
  section.addEventListener('drop', event => {
    event.preventDefault();
    if (event.dataTransfer.files.length) opened(event.dataTransfer.files[0]);
  });
  section.addEventListener('paste', event => {
    const file = [...event.clipboardData.files].find(found => found.type.startsWith('image/'));
    if (!file) return;
    event.preventDefault();
    opened(file);
  });
}
