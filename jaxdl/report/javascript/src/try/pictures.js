// Numbers as pictures: images in their own colours, and maps of signed numbers in three colours.

let ramp = null;
const listeners = [];

/** Calls a function when the page changes between light and dark. */
export function onColours(listener) {
  listeners.push(listener);
}

export function watchColours() {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    ramp = null;
    cache.clear();
    for (const listener of listeners) listener();
  });
}

// Red, green and blue of a colour of the style sheet.
function colour(name) {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)];
}

const mixed = (a, b, share) => a.map((value, i) => value + share * (b[i] - value));

// 511 colours: negative, 0, positive. Both sides run from the plain colour to the ink.
function colours() {
  if (ramp) return ramp;
  const [plain, ink] = [colour('--raised'), colour('--ink')];
  const side = hue => share =>
    share < 0.65 ? mixed(plain, hue, share / 0.65) : mixed(hue, ink, (share - 0.65) * 1.3);
  const [above, below] = [side(colour('--c0')), side(colour('--c1'))];
  ramp = new Uint32Array(511);
  for (let i = -255; i <= 255; i++) {
    const [red, green, blue] = (i < 0 ? below : above)(Math.abs(i) / 255).map(Math.round);
    ramp[i + 255] = 0xff000000 | (blue << 16) | (green << 8) | red;
  }
  return ramp;
}

/** A background for text: a signed number as a pale colour, on which the ink is readable. */
export function tint(value, scale) {
  const [paper, above, below] = ['--paper', '--c0', '--c1'].map(known);
  const share = 0.5 * Math.min(1, Math.abs(value) / scale);
  return `rgb(${mixed(paper, value < 0 ? below : above, share)
    .map(Math.round)
    .join(' ')})`;
}

const cache = new Map();
function known(name) {
  if (!cache.has(name)) cache.set(name, colour(name));
  return cache.get(name);
}

/** The greatest absolute value; 1e-12 if all are 0. */
export function greatest(values) {
  let found = 1e-12;
  for (const value of values) if (Math.abs(value) > found) found = Math.abs(value);
  return found;
}

/** The absolute value that the greatest hundredth exceeds; the greatest one if that is 0. */
export function strong(values) {
  const step = Math.max(1, Math.floor(values.length / 5000));
  const some = [];
  for (let i = 0; i < values.length; i += step) some.push(Math.abs(values[i]));
  some.sort((a, b) => a - b);
  return some[Math.floor(0.99 * (some.length - 1))] || greatest(values);
}

/**
 * Draws signed numbers, one pixel each.
 *
 * @param {(row: number, column: number) => number} at the numbers; NaN is transparent.
 * @param {number} scale the absolute value that gets the strongest colour.
 */
export function drawMap(canvas, height, width, at, scale) {
  const data = new ImageData(width, height);
  const words = new Uint32Array(data.data.buffer);
  const table = colours();
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = at(row, column);
      if (Number.isNaN(value)) continue; // transparent
      const level = Math.round((255 * value) / scale);
      words[row * width + column] = table[Math.max(-255, Math.min(255, level)) + 255];
    }
  }
  put(canvas, data);
}

/** Draws an image [H · W · C] in 0..255 or, with `unit`, in 0..1. */
export function drawImage(canvas, pixels, { height, width, channels }, unit = false) {
  const data = new ImageData(width, height);
  for (let place = 0; place < height * width; place++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = pixels[place * channels + (channels === 3 ? channel : 0)];
      data.data[4 * place + channel] = unit ? 255 * value : value;
    }
    data.data[4 * place + 3] = 255;
  }
  put(canvas, data);
}

function put(canvas, data) {
  if (canvas.width !== data.width) canvas.width = data.width;
  if (canvas.height !== data.height) canvas.height = data.height;
  canvas.getContext('2d').putImageData(data, 0, 0);
}

const CONTEXT = 0.4; // share of the ink where the image differs most from its median

function grays(pixels, count, channels) {
  const found = new Float32Array(count);
  for (let i = 0; i < count * channels; i++)
    found[Math.floor(i / channels)] += pixels[i] / channels;
  return found;
}

/**
 * Draws a map of signed numbers [H · W] over an image: over the shadow of a drawing, and over the
 * gray of a photograph.
 */
export function drawOver(canvas, pixels, shape, map, scale) {
  const { height, width, channels } = shape;
  const gray = grays(pixels, height * width, channels);
  const middle = gray.slice().sort()[gray.length >> 1];
  const ink = known('--ink');
  const table = colours();
  const [above, below] = [known('--c0'), known('--c1')];
  const data = new ImageData(width, height);
  for (let place = 0; place < height * width; place++) {
    const value = Math.max(-1, Math.min(1, map[place] / scale));
    let found;
    if (channels === 3) {
      const base = 50 + 0.75 * gray[place];
      found = mixed([base, base, base], value < 0 ? below : above, 0.7 * Math.abs(value));
    } else {
      const word = table[Math.round(255 * value) + 255];
      const plain = [word & 255, (word >> 8) & 255, (word >> 16) & 255];
      found = mixed(plain, ink, (CONTEXT * Math.abs(gray[place] - middle)) / 255);
    }
    data.data.set([...found, 255], 4 * place);
  }
  put(canvas, data);
}

/** Draws numbers over time as a line, with a thin line at 0. */
export function drawLine(canvas, values) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth || 300, canvas.clientHeight || 80];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const scale = greatest(values);
  const y = value => height / 2 - (value / scale) * (height / 2 - 3);
  const x = place => 2 + (place / Math.max(1, values.length - 1)) * (width - 4);
  context.strokeStyle = style.getPropertyValue('--rule');
  context.beginPath();
  context.moveTo(0, height / 2);
  context.lineTo(width, height / 2);
  context.stroke();
  context.strokeStyle = style.getPropertyValue('--c0');
  context.lineWidth = 1.8;
  context.beginPath();
  values.forEach((value, place) => {
    if (place) context.lineTo(x(place), y(value));
    else context.moveTo(x(place), y(value));
  });
  context.stroke();
}
