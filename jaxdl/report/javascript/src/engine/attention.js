// Causal attention of a transformer and learned positions: [T, E] → [T, E].
import { multiply, multiplyTransposed } from './matrix.js';

/**
 * @typedef {import('./matrix.js').Values} Values
 * @typedef {import('./operations.js').Operation} Operation
 */

/**
 * Keys and values of earlier characters, before their rotation: those that the next one may see.
 *
 * @typedef {object} Cache
 * @property {Values} keys [P, E]
 * @property {Values} values [P, E]
 */

/** A dense layer of the attention: 'query', 'key', 'value' or 'output'. */
function part(layer, name, inputs, Float) {
  const kernel = layer.weights[`${name}_kernel`];
  const [inner, columns] = kernel.shape;
  const rows = inputs.length / inner;
  const out = new Float(rows * columns);
  const bias = layer.weights[`${name}_bias`].data;
  multiply(inputs, kernel.data, bias, out, [rows, inner, columns]);
  return out;
}

/** Adds the gradient of the inputs of a dense layer of the attention. */
function addBack(layer, name, gradient, ofInputs, Float) {
  const kernel = layer.weights[`${name}_kernel`];
  const [inner, columns] = kernel.shape;
  const found = new Float(ofInputs.length);
  multiplyTransposed(gradient, kernel.data, found, [gradient.length / columns, columns, inner]);
  for (let index = 0; index < found.length; index++) ofInputs[index] += found[index];
}

/**
 * Rotates the pairs (p, p + D / 2) of each head by angles proportional to the position (Su et al.
 * 2021): pair p by 10000^(−2 p / D) radians for each position.
 *
 * @param {Values} vectors [N, E]
 * @param {number} first position of the first vector
 * @param {number} heads
 * @param {number} features E
 * @param {number} [sign] −1 to rotate backward
 * @returns {Values} a new array
 */
export function rotate(vectors, first, heads, features, sign = 1) {
  const out = vectors.slice();
  const size = features / heads;
  const half = size / 2;
  for (let row = 0; row < vectors.length / features; row++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = sign * (first + row) * 10000 ** (-pair / half);
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let head = 0; head < heads; head++) {
        const at = row * features + head * size + pair;
        out[at] = vectors[at] * cosine - vectors[at + half] * sine;
        out[at + half] = vectors[at + half] * cosine + vectors[at] * sine;
      }
    }
  }
  return out;
}

/** The first character that the one at a place may see; places are counted with the cache. */
function firstSeen(place, { context, rotary }) {
  return rotary ? Math.max(0, place - context + 1) : Math.floor(place / context) * context;
}

function joined(before, after, Float) {
  const out = new Float(before.length + after.length);
  out.set(before);
  out.set(after, before.length);
  return out;
}

/** What the next characters may see of all characters so far. */
function cacheAfter(keys, values, layer, features) {
  const count = keys.length / features;
  const { context, rotary } = layer.settings;
  const first = rotary ? Math.max(0, count - context + 1) : firstSeen(count, layer.settings);
  return { keys: keys.slice(first * features), values: values.slice(first * features) };
}

const dot = (a, atA, b, atB, size) => {
  let sum = 0;
  for (let index = 0; index < size; index++) sum += a[atA + index] * b[atB + index];
  return sum;
};

/** @type {Operation} */
export const attention = {
  forward(layer, [inputs], { Float, kept, state }) {
    const { heads, rotary } = layer.settings;
    const features = layer.weights.query_kernel.shape[1];
    const size = features / heads;
    const before = state.before ?? { keys: new Float(0), values: new Float(0) };
    const keys = joined(before.keys, part(layer, 'key', inputs, Float), Float);
    const values = joined(before.values, part(layer, 'value', inputs, Float), Float);
    let queries = part(layer, 'query', inputs, Float);
    state.after = cacheAfter(keys, values, layer, features);
    const past = before.keys.length / features;
    let turned = keys;
    if (rotary) {
      queries = rotate(queries, past, heads, features);
      turned = rotate(keys, 0, heads, features);
    }
    const steps = queries.length / features;
    const means = new Float(steps * features);
    const weights = []; // [T][heads] → weights of the characters from `firstSeen` on
    for (let step = 0; step < steps; step++) {
      const first = firstSeen(past + step, layer.settings);
      const ofStep = [];
      for (let head = 0; head < heads; head++) {
        const at = step * features + head * size;
        const products = new Float(past + step - first + 1);
        for (let seen = 0; seen < products.length; seen++) {
          const key = (first + seen) * features + head * size;
          products[seen] = dot(queries, at, turned, key, size) / Math.sqrt(size);
        }
        const shares = softmax(products);
        for (let seen = 0; seen < shares.length; seen++) {
          const value = (first + seen) * features + head * size;
          for (let d = 0; d < size; d++) means[at + d] += shares[seen] * values[value + d];
        }
        ofStep.push(shares);
      }
      weights.push(ofStep);
    }
    Object.assign(kept, { queries, turned, values, weights, past });
    return part(layer, 'output', means, Float);
  },

  backward(layer, gradient, [inputs], { Float, kept }) {
    const { heads, rotary } = layer.settings;
    const features = layer.weights.query_kernel.shape[1];
    const size = features / heads;
    const { queries, turned, values, weights, past } = kept;
    const ofMeans = new Float(queries.length);
    addBack(layer, 'output', gradient, ofMeans, Float);
    let ofQueries = new Float(queries.length);
    let ofKeys = new Float(turned.length);
    const ofValues = new Float(values.length);
    for (let step = 0; step < weights.length; step++) {
      const first = firstSeen(past + step, layer.settings);
      for (let head = 0; head < heads; head++) {
        const at = step * features + head * size;
        const shares = weights[step][head];
        const ofShares = new Float64Array(shares.length);
        let mean = 0;
        for (let seen = 0; seen < shares.length; seen++) {
          const value = (first + seen) * features + head * size;
          ofShares[seen] = dot(ofMeans, at, values, value, size);
          mean += shares[seen] * ofShares[seen];
          for (let d = 0; d < size; d++) ofValues[value + d] += shares[seen] * ofMeans[at + d];
        }
        for (let seen = 0; seen < shares.length; seen++) {
          const key = (first + seen) * features + head * size;
          const ofProduct = (shares[seen] * (ofShares[seen] - mean)) / Math.sqrt(size);
          for (let d = 0; d < size; d++) {
            ofQueries[at + d] += ofProduct * turned[key + d];
            ofKeys[key + d] += ofProduct * queries[at + d];
          }
        }
      }
    }
    if (rotary) {
      ofQueries = rotate(ofQueries, past, heads, features, -1);
      ofKeys = rotate(ofKeys, 0, heads, features, -1);
    }
    const ofInputs = new Float(inputs.length);
    addBack(layer, 'query', ofQueries, ofInputs, Float);
    addBack(layer, 'key', ofKeys.subarray(past * features), ofInputs, Float);
    addBack(layer, 'value', ofValues.subarray(past * features), ofInputs, Float);
    return [ofInputs];
  },
};

/**
 * exp(x) / sum of exp(x).
 *
 * @param {Values} logits
 * @returns {Values} a new array
 */
export function softmax(logits) {
  const out = logits.slice();
  const greatest = out.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (let index = 0; index < out.length; index++) {
    out[index] = Math.exp(logits[index] - greatest);
    sum += out[index];
  }
  for (let index = 0; index < out.length; index++) out[index] /= sum;
  return out;
}

/**
 * Adds the learned vector of the position of each character in its block.
 *
 * @type {Operation}
 */
export const positions = {
  forward(layer, [inputs], { state }) {
    const { kernel } = layer.weights;
    const [context, features] = kernel.shape;
    const before = state.before?.count ?? 0;
    state.after = { count: (before + inputs.length / features) % context };
    const out = inputs.slice();
    for (let index = 0; index < out.length; index++) {
      const place = (before + Math.floor(index / features)) % context;
      out[index] += kernel.data[place * features + (index % features)];
    }
    return out;
  },
  backward: (_, gradient) => [gradient.slice()],
};
