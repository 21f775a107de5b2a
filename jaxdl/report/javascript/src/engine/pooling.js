// Pooling of images [H, W, C] and of sequences [T, C].
import { asImage } from './convolution.js';

/** @typedef {import('./operations.js').Operation} Operation */

/**
 * Calls a function for each output with the inputs in its window, in row-major order.
 *
 * @param {import('./operations.js').Layer} layer
 * @param {(to: number, from: number[]) => void} visit (place of channel 0 of the output, places of
 *   channel 0 of the inputs)
 */
function everyWindow(layer, visit) {
  const { window, strides, pads } = layer.settings;
  const [height, width, channels] = asImage(layer.shape);
  const [rows, columns] = asImage(layer.outputShape);
  for (let row = 0; row < rows; row++) {
    const top = row * strides[0] - pads[0][0];
    for (let column = 0; column < columns; column++) {
      const left = column * strides[1] - pads[1][0];
      const inside = [];
      for (let y = Math.max(top, 0); y < Math.min(top + window[0], height); y++) {
        for (let x = Math.max(left, 0); x < Math.min(left + window[1], width); x++) {
          inside.push((y * width + x) * channels);
        }
      }
      visit((row * columns + column) * channels, inside);
    }
  }
}

const count = shape => shape.reduce((product, size) => product * size, 1);

/**
 * The maximum of each window. The gradient goes to the first of equal numbers.
 *
 * @type {Operation}
 */
export const maxPool = {
  forward(layer, [inputs], { Float, kept }) {
    const channels = layer.shape.at(-1);
    const out = new Float(count(layer.outputShape));
    kept.winners = new Int32Array(out.length);
    everyWindow(layer, (to, from) => {
      for (let channel = 0; channel < channels; channel++) {
        let best = from[0] + channel;
        for (const place of from)
          if (inputs[place + channel] > inputs[best]) best = place + channel;
        out[to + channel] = inputs[best];
        kept.winners[to + channel] = best;
      }
    });
    return out;
  },

  backward(_, gradient, [inputs], { Float, kept }) {
    const ofInputs = new Float(inputs.length);
    kept.winners.forEach((winner, index) => {
      ofInputs[winner] += gradient[index];
    });
    return [ofInputs];
  },
};

/**
 * The mean of each window over the positions inside the image.
 *
 * @type {Operation}
 */
export const averagePool = {
  forward(layer, [inputs], { Float }) {
    const channels = layer.shape.at(-1);
    const out = new Float(count(layer.outputShape));
    everyWindow(layer, (to, from) => {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (const place of from) sum += inputs[place + channel];
        out[to + channel] = sum / from.length;
      }
    });
    return out;
  },

  backward(layer, gradient, [inputs], { Float }) {
    const channels = layer.shape.at(-1);
    const ofInputs = new Float(inputs.length);
    everyWindow(layer, (to, from) => {
      for (const place of from) {
        for (let channel = 0; channel < channels; channel++) {
          ofInputs[place + channel] += gradient[to + channel] / from.length;
        }
      }
    });
    return [ofInputs];
  },
};

/**
 * The maximum over all positions: […, C] → [C]. The gradient goes to the first of equal numbers.
 *
 * @type {Operation}
 */
export const globalMaxPool = {
  forward(layer, [inputs], { Float, kept }) {
    const channels = layer.shape.at(-1);
    kept.winners = Int32Array.from({ length: channels }, (_, channel) => channel);
    for (let place = channels; place < inputs.length; place++) {
      const channel = place % channels;
      if (inputs[place] > inputs[kept.winners[channel]]) kept.winners[channel] = place;
    }
    return Float.from(kept.winners, place => inputs[place]);
  },
  backward: maxPool.backward,
};

/**
 * The mean over all positions: […, C] → [C].
 *
 * @type {Operation}
 */
export const globalAveragePool = {
  forward(layer, [inputs], { Float }) {
    const channels = layer.shape.at(-1);
    const sums = new Float64Array(channels);
    for (let place = 0; place < inputs.length; place++) sums[place % channels] += inputs[place];
    return Float.from(sums, sum => (sum * channels) / inputs.length);
  },

  backward(layer, gradient, [inputs], { Float }) {
    const channels = layer.shape.at(-1);
    const ofInputs = new Float(inputs.length);
    for (let place = 0; place < inputs.length; place++) {
      ofInputs[place] = (gradient[place % channels] * channels) / inputs.length;
    }
    return [ofInputs];
  },
};
