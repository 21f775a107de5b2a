// Dense layers and vectors of characters.
import { multiply, multiplyTransposed } from './matrix.js';

/** @typedef {import('./operations.js').Operation} Operation */

/**
 * Matrix product and bias at each position: […, C] → […, F].
 *
 * @type {Operation}
 */
export const dense = {
  forward(layer, [inputs], { Float }) {
    const { kernel, bias } = layer.weights;
    const [inner, features] = kernel.shape;
    const rows = inputs.length / inner;
    const out = new Float(rows * features);
    multiply(inputs, kernel.data, bias.data, out, [rows, inner, features]);
    return out;
  },

  backward(layer, gradient, [inputs], { Float }) {
    const { kernel } = layer.weights;
    const [inner, features] = kernel.shape;
    const ofInputs = new Float(inputs.length);
    multiplyTransposed(gradient, kernel.data, ofInputs, [inputs.length / inner, features, inner]);
    return [ofInputs];
  },
};

/**
 * A dense layer whose kernel is that of the embedding, transposed: [T, E] → [T, V].
 *
 * @type {Operation}
 */
export const tiedDense = {
  forward(layer, [inputs], { Float }) {
    const { kernel, bias } = layer.weights;
    const [classes, inner] = kernel.shape;
    const rows = inputs.length / inner;
    const out = new Float(rows * classes);
    multiplyTransposed(inputs, kernel.data, out, [rows, inner, classes]);
    for (let index = 0; index < out.length; index++) out[index] += bias.data[index % classes];
    return out;
  },

  backward(layer, gradient, [inputs], { Float }) {
    const { kernel } = layer.weights;
    const [classes, inner] = kernel.shape;
    const ofInputs = new Float(inputs.length);
    multiply(gradient, kernel.data, null, ofInputs, [inputs.length / inner, classes, inner]);
    return [ofInputs];
  },
};

/**
 * A dense layer at some positions of a shortcut, those of its strides: [H, W, C] → [h, w, F].
 *
 * @type {Operation}
 */
export const project = {
  forward(layer, [inputs], context) {
    const channels = layer.shape.at(-1);
    const places = keptPlaces(layer);
    const chosen = new context.Float(places.length * channels);
    places.forEach((place, index) => {
      chosen.set(inputs.subarray(place * channels, (place + 1) * channels), index * channels);
    });
    return dense.forward(layer, [chosen], context);
  },

  backward(layer, gradient, [inputs], context) {
    const channels = layer.shape.at(-1);
    const places = keptPlaces(layer);
    const chosen = new context.Float(places.length * channels);
    const [ofChosen] = dense.backward(layer, gradient, [chosen], context);
    const ofInputs = new context.Float(inputs.length);
    places.forEach((place, index) => {
      ofInputs.set(ofChosen.subarray(index * channels, (index + 1) * channels), place * channels);
    });
    return [ofInputs]; // it reads only the shape of its second source
  },
};

/** The numbers of the positions that strides keep, in row-major order. */
function keptPlaces(layer) {
  let places = [0];
  layer.shape.slice(0, -1).forEach((size, axis) => {
    const stride = layer.settings.strides[axis];
    const along = [];
    for (let place = 0; place < size; place += stride) along.push(place);
    places = places.flatMap(before => along.map(place => before * size + place));
  });
  return places;
}

/**
 * The vector of each character: [T] → [T, E]. Its inputs are positions in the vocabulary.
 *
 * @type {Operation}
 */
export const embedding = {
  forward(layer, [characters], { Float }) {
    const { kernel } = layer.weights;
    const [classes, features] = kernel ? kernel.shape : [layer.settings.classes, undefined];
    const out = new Float(characters.length * (features ?? classes));
    characters.forEach((character, step) => {
      if (!(Number.isInteger(character) && character >= 0 && character < classes)) {
        throw new RangeError(`character ${character} is not in the vocabulary of ${classes}`);
      }
      if (kernel) {
        const start = character * features;
        out.set(kernel.data.subarray(start, start + features), step * features);
      } else out[step * classes + character] = 1;
    });
    return out;
  },

  backward(layer) {
    throw new Error(`characters have no gradient: use that at the layer '${layer.name}'`);
  },
};
