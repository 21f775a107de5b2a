// From strokes of a pen to the pixels of an image, as data sets of handwriting are made.
// A stroke is a list of points [x, y] in 0..1, from the left and from the top.

/** Cuts the corners of a stroke (Chaikin 1974), so that few points become a smooth line. */
export function smooth(stroke, times = 2) {
  let points = stroke;
  for (let time = 0; time < times && points.length > 2; time++) {
    const next = [points[0]];
    for (let i = 0; i + 1 < points.length; i++) {
      const [a, b] = [points[i], points[i + 1]];
      next.push(
        [0.75 * a[0] + 0.25 * b[0], 0.75 * a[1] + 0.25 * b[1]],
        [0.25 * a[0] + 0.75 * b[0], 0.25 * a[1] + 0.75 * b[1]],
      );
    }
    next.push(points[points.length - 1]);
    points = next;
  }
  return points;
}

/** Returns the share of ink, in 0..1, of each pixel of an image [height · width]. */
export function raster(strokes, height, width, radius) {
  const ink = new Float32Array(height * width);
  for (const stroke of strokes) {
    for (let i = 0; i < stroke.length; i++) {
      segment(ink, height, width, stroke[i], stroke[Math.min(i + 1, stroke.length - 1)], radius);
    }
  }
  return ink;
}

function segment(ink, height, width, a, b, radius) {
  const reach = radius + 1;
  const left = Math.max(0, Math.floor(Math.min(a[0], b[0]) - reach));
  const right = Math.min(width - 1, Math.ceil(Math.max(a[0], b[0]) + reach));
  const top = Math.max(0, Math.floor(Math.min(a[1], b[1]) - reach));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a[1], b[1]) + reach));
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const [px, py] = [x + 0.5 - a[0], y + 0.5 - a[1]]; // from the centre of the pixel
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const covered = Math.min(1, Math.max(0, radius + 0.5 - distance));
      ink[y * width + x] = Math.max(ink[y * width + x], covered);
    }
  }
}

/**
 * Returns the image of strokes, [height · width] in 0..1.
 *
 * @param {number[][][]} strokes
 * @param {{height: number, width: number, pen: number, fit: boolean, box: number, centre: string}}
 *   settings `pen` is the width of the pen in pixels. With `fit`, the strokes are scaled so that
 *   the longer side of the ink is the share `box` of the image, and centred by their centre of
 *   mass ('mass', as in MNIST) or by their frame ('frame', as in Hoda).
 */
export function image(strokes, settings) {
  const { height, width, pen, fit, box, centre } = settings;
  const lines = strokes.filter(stroke => stroke.length).map(stroke => smooth(stroke));
  if (!lines.length) return new Float32Array(height * width);
  const radius = pen / 2;
  if (!fit) return raster(moved(lines, [width, height], [0, 0]), height, width, radius);
  const points = lines.flat();
  const range = axis => {
    const values = points.map(point => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  };
  const [[left, right], [top, bottom]] = [range(0), range(1)];
  const room = box * Math.min(height, width) - pen;
  const scale = Math.min(room / Math.max(right - left, bottom - top, 1e-6), 12 * width); // a dot stays a dot
  const at = [width / 2 - (scale * (left + right)) / 2, height / 2 - (scale * (top + bottom)) / 2];
  const framed = moved(lines, [scale, scale], at);
  const ink = raster(framed, height, width, radius);
  if (centre !== 'mass') return ink;
  const [x, y] = centreOfMass(ink, width);
  return raster(moved(framed, [1, 1], [width / 2 - x, height / 2 - y]), height, width, radius);
}

function moved(lines, [scaleX, scaleY], [x, y]) {
  return lines.map(line => line.map(point => [scaleX * point[0] + x, scaleY * point[1] + y]));
}

/** Returns [x, y] of the centre of mass of an image. */
export function centreOfMass(ink, width) {
  let [total, x, y] = [0, 0, 0];
  ink.forEach((value, place) => {
    total += value;
    x += value * ((place % width) + 0.5);
    y += value * (Math.floor(place / width) + 0.5);
  });
  return total ? [x / total, y / total] : [width / 2, ink.length / width / 2];
}

/** Returns the pixels [height · width] in 0..255 of ink on a dark or a light background. */
export function pixels(ink, light) {
  return Uint8Array.from(ink, value => Math.round(255 * (light ? 1 - value : value)));
}
