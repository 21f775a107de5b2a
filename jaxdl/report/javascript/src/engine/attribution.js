// Attribution: which inputs a logit depends on. The definitions are those of jaxdl/analysis.

/**
 * @typedef {import('./matrix.js').Values} Values
 * @typedef {import('./network.js').Network} Network
 */

/** The gradient of one logit. */
function ofLogit(network, trace, target, options) {
  const seed = new network.Float(trace.logits.length);
  if (!(target in seed)) throw new RangeError(`class ${target}: use 0 to ${seed.length - 1}`);
  seed[target] = 1;
  return network.gradient(trace, seed, options);
}

/**
 * Gradient of a logit with respect to the inputs, with its sign (Simonyan et al. 2014).
 *
 * @param {Network} network
 * @param {Values} inputs as `network.prepare` returns them
 * @param {number} target the class
 * @param {'plain' | 'guided'} [rule]
 * @returns {Values} of the size of the inputs
 */
export function saliency(network, inputs, target, rule = 'plain') {
  return ofLogit(network, network.forward(inputs), target, { rule });
}

/**
 * `saliency` times the inputs (Shrikumar et al. 2016).
 *
 * @param {Network} network
 * @param {Values} inputs
 * @param {number} target
 * @returns {Values}
 */
export function gradientTimesInput(network, inputs, target) {
  return saliency(network, inputs, target).map((slope, index) => slope * inputs[index]);
}

/**
 * Inputs minus baseline, times the mean gradient on the straight line between them (Sundararajan et
 * al. 2017). The mean is a Gauss–Legendre quadrature.
 *
 * @param {Network} network
 * @param {Values} inputs
 * @param {number} target
 * @param {object} [options]
 * @param {number} [options.steps] points of the quadrature
 * @param {number | ArrayLike<number>} [options.baseline] a number, or as the inputs
 * @returns {Values}
 */
export function integratedGradients(network, inputs, target, { steps = 64, baseline = 0 } = {}) {
  const start = Float64Array.from(inputs, (_, index) =>
    typeof baseline === 'number' ? baseline : baseline[index],
  );
  const mean = new Float64Array(inputs.length);
  const here = new network.Float(inputs.length);
  for (const { point, weight } of gaussLegendre(steps)) {
    const place = (point + 1) / 2;
    for (let index = 0; index < here.length; index++) {
      here[index] = start[index] + (inputs[index] - start[index]) * place;
    }
    const slope = saliency(network, here, target);
    for (let index = 0; index < mean.length; index++) mean[index] += (weight / 2) * slope[index];
  }
  return network.Float.from(mean, (slope, index) => (inputs[index] - start[index]) * slope);
}

/**
 * Points and weights of the Gauss–Legendre quadrature on −1..1, by Newton's method on the roots of
 * the Legendre polynomial.
 *
 * @param {number} count
 * @returns {{ point: number, weight: number }[]} in the order of the points
 */
export function gaussLegendre(count) {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`steps ${count}: use at least 1`);
  return Array.from({ length: count }, (_, index) => {
    let point = -Math.cos((Math.PI * (index + 0.75)) / (count + 0.5));
    let slope = 0;
    for (let repeat = 0; repeat < 100; repeat++) {
      let [before, value] = [1, point]; // P₀ and P₁
      for (let degree = 2; degree <= count; degree++) {
        const next = ((2 * degree - 1) * point * value - (degree - 1) * before) / degree;
        [before, value] = [value, next];
      }
      slope = (count * (point * value - before)) / (point * point - 1);
      const change = value / slope;
      point -= change;
      if (Math.abs(change) < 1e-15) break;
    }
    return { point, weight: 2 / ((1 - point * point) * slope * slope) };
  });
}

/**
 * Sum of the channels of a layer, each weighted by the mean of its gradient over all positions; only
 * the positive part (Selvaraju et al. 2017).
 *
 * @param {Network} network
 * @param {Values} inputs
 * @param {number} target
 * @param {string} layer a layer with positions, [H, W, C]
 * @returns {{ map: Values, upsampled: Values, shape: number[] }} map [h, w] at the positions of the
 *   layer, `upsampled` [H, W] at the pixels of the inputs (bilinear between the centres of the
 *   positions, constant beyond the outer ones); shape is that of the map
 * @throws {Error} the layer or the inputs have no positions
 */
export function gradCam(network, inputs, target, layer) {
  const trace = network.forward(inputs);
  const { data, shape } = trace.outputs.get(layer) ?? { shape: [] };
  const [height, width] = network.layers[0].shape;
  if (shape.length !== 3 || network.layers[0].shape.length !== 3) {
    throw new Error(`layer '${layer}' has no spatial positions: use another one`);
  }
  const slope = ofLogit(network, trace, target, { at: layer });
  const [rows, columns, channels] = shape;
  const weights = new Float64Array(channels);
  for (let index = 0; index < slope.length; index++) weights[index % channels] += slope[index];
  const map = new network.Float(rows * columns);
  for (let place = 0; place < map.length; place++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += (weights[channel] / map.length) * data[place * channels + channel];
    }
    map[place] = Math.max(0, sum);
  }
  return {
    map,
    upsampled: resize(map, [rows, columns], [height, width]),
    shape: [rows, columns],
  };
}

/**
 * Bilinear resizing, by triangles around the centres of the pixels that are wider where the image
 * becomes smaller (jax.image.resize).
 *
 * @param {Values} image [rows, columns]
 * @param {number[]} from [rows, columns]
 * @param {number[]} to [rows, columns]
 * @returns {Values}
 */
export function resize(image, from, to) {
  const down = triangles(from[0], to[0]);
  const across = triangles(from[1], to[1]);
  const out = new image.constructor(to[0] * to[1]);
  down.forEach((ofRow, row) => {
    across.forEach((ofColumn, column) => {
      let sum = 0;
      for (const [y, share] of ofRow) {
        for (const [x, part] of ofColumn) sum += share * part * image[y * from[1] + x];
      }
      out[row * to[1] + column] = sum;
    });
  });
  return out;
}

/** For each new pixel the old ones under its triangle, as [place, share]. */
function triangles(from, to) {
  const step = from / to;
  const width = Math.max(step, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * step - 0.5;
    const found = [];
    let total = 0;
    for (let place = 0; place < from; place++) {
      const share = Math.max(0, 1 - Math.abs(place - centre) / width);
      if (share > 0) found.push([place, share]);
      total += share;
    }
    return found.map(([place, share]) => [place, share / total]);
  });
}
