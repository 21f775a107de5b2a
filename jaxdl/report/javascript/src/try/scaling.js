// Images of other sizes, made as jaxdl.data.preprocess and `jaxdl predict` make them.
// An image is {pixels: Uint8Array [H · W · C], height, width, channels}.

const LUMA = [19595, 38470, 7471]; // of 65536: red, green and blue of ITU-R 601

/** Crops an image to the largest square in its centre. */
export function square(image) {
  const side = Math.min(image.height, image.width);
  return cropped(image, side);
}

/** Crops the centre; an odd margin leaves its spare pixel at the bottom right. */
export function cropped({ pixels, height, width, channels }, side) {
  const [top, left] = [(height - side) >> 1, (width - side) >> 1];
  const found = new Uint8Array(side * side * channels);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * width + left) * channels;
    found.set(pixels.subarray(from, from + side * channels), y * side * channels);
  }
  return { pixels: found, height: side, width: side, channels };
}

/** Scales a square image: each new pixel is the rounded mean of the area that it covers. */
export function area({ pixels, height, width, channels }, size) {
  const rows = shares(height, size);
  const columns = shares(width, size);
  const found = new Uint8Array(size * size * channels);
  const part = new Float64Array(size * width * channels);
  rows.forEach((row, y) => {
    for (const [place, share] of row) {
      for (let i = 0; i < width * channels; i++) {
        part[y * width * channels + i] += share * pixels[place * width * channels + i];
      }
    }
  });
  for (let y = 0; y < size; y++) {
    columns.forEach((column, x) => {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (const [place, share] of column) {
          sum += share * part[(y * width + place) * channels + channel];
        }
        found[(y * size + x) * channels + channel] = rounded(sum);
      }
    });
  }
  return { pixels: found, height: size, width: size, channels };
}

// Half to even, as numpy.rint.
function rounded(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}

// For each new pixel, the old ones that lie in it with their shares, which sum to 1.
function shares(old, size) {
  return Array.from({ length: size }, (_, index) => {
    const [first, last] = [(index * old) / size, ((index + 1) * old) / size];
    const found = [];
    for (let place = Math.floor(first); place < Math.min(old, Math.ceil(last)); place++) {
      const share = ((Math.min(last, place + 1) - Math.max(first, place)) * size) / old;
      if (share > 0) found.push([place, share]);
    }
    return found;
  });
}

/** Luma of a colour image; a gray image is repeated if the network takes colours. */
export function withChannels(image, channels) {
  const { pixels, height, width } = image;
  if (image.channels === channels) return image;
  const found = new Uint8Array(height * width * channels);
  for (let place = 0; place < height * width; place++) {
    if (channels === 1) {
      const [red, green, blue] = pixels.subarray(3 * place, 3 * place + 3);
      found[place] = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 0x8000) >> 16;
    } else {
      found.fill(pixels[place], place * channels, (place + 1) * channels);
    }
  }
  return { pixels: found, height, width, channels };
}

/** Puts RGBA pixels on white; returns an image of three channels. */
export function onWhite(rgba, height, width) {
  const pixels = new Uint8Array(height * width * 3);
  for (let place = 0; place < height * width; place++) {
    const alpha = rgba[4 * place + 3] / 255;
    for (let channel = 0; channel < 3; channel++) {
      const value = rgba[4 * place + channel];
      pixels[3 * place + channel] = Math.round(value * alpha + 255 * (1 - alpha));
    }
  }
  return { pixels, height, width, channels: 3 };
}

/**
 * Makes an image of a network's size and channels.
 *
 * @param {string} fit 'area' or 'crop', as in the config's data section.
 */
export function fitted(image, { height, width, channels, fit }) {
  let found = image;
  if (found.height !== height || found.width !== width) found = square(found);
  found = withChannels(found, channels);
  if (found.height === height && found.width === width) return found;
  return fit === 'crop' && found.height >= height ? cropped(found, height) : area(found, height);
}

/** Turns an image counter-clockwise about its centre: bilinear, 0 outside, as data.augment does. */
export function rotated(pixels, height, width, channels, degrees) {
  const found = new Float32Array(pixels.length);
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [y, x] = [row - middleY, column - middleX];
      const fromY = cos * y + sin * x + middleY;
      const fromX = cos * x - sin * y + middleX;
      const [top, left] = [Math.floor(fromY), Math.floor(fromX)];
      for (const [atY, shareY] of [
        [top, 1 - (fromY - top)],
        [top + 1, fromY - top],
      ]) {
        for (const [atX, shareX] of [
          [left, 1 - (fromX - left)],
          [left + 1, fromX - left],
        ]) {
          if (atY < 0 || atY >= height || atX < 0 || atX >= width) continue;
          for (let channel = 0; channel < channels; channel++) {
            found[(row * width + column) * channels + channel] +=
              shareY * shareX * pixels[(atY * width + atX) * channels + channel];
          }
        }
      }
    }
  }
  return found;
}
