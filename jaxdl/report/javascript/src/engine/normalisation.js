// Batch, layer and group normalisation.

/** @typedef {import('./operations.js').Operation} Operation */

/** The factor by which batch normalisation multiplies each channel in evaluation. */
function factors(layer) {
  const { scale, var: variance } = layer.weights;
  const { epsilon } = layer.settings;
  return Float64Array.from(
    scale.data,
    (s, channel) => s / Math.sqrt(variance.data[channel] + epsilon),
  );
}

/**
 * Batch normalisation with the running averages.
 *
 * @type {Operation}
 */
export const batchNorm = {
  forward(layer, [inputs]) {
    const { mean, bias } = layer.weights;
    const factor = factors(layer);
    const out = inputs.slice();
    for (let index = 0; index < out.length; index++) {
      const channel = index % factor.length;
      out[index] = (inputs[index] - mean.data[channel]) * factor[channel] + bias.data[channel];
    }
    return out;
  },

  backward(layer, gradient) {
    const factor = factors(layer);
    const ofInputs = gradient.slice();
    for (let index = 0; index < ofInputs.length; index++) {
      ofInputs[index] *= factor[index % factor.length];
    }
    return [ofInputs];
  },
};

/**
 * Normalises sets of numbers to mean 0 and variance 1, then scales each channel.
 *
 * @param {(layer: import('./operations.js').Layer, count: number) => (index: number) => number}
 *   setsOf returns the function place → number of its set
 * @returns {Operation}
 */
function normalisation(setsOf) {
  return {
    forward(layer, [inputs], { kept }) {
      const { scale, bias } = layer.weights;
      const channels = scale.data.length;
      const setOf = setsOf(layer, inputs.length);
      const mean = meanOf(setOf, inputs.length, index => inputs[index]);
      const variance = meanOf(
        setOf,
        inputs.length,
        index => (inputs[index] - mean[setOf(index)]) ** 2,
      );
      const inverse = variance.map(value => 1 / Math.sqrt(value + layer.settings.epsilon));
      const out = inputs.slice();
      kept.normed = inputs.slice();
      kept.inverse = inverse;
      for (let index = 0; index < out.length; index++) {
        const set = setOf(index);
        const normed = (inputs[index] - mean[set]) * inverse[set];
        kept.normed[index] = normed;
        out[index] = normed * scale.data[index % channels] + bias.data[index % channels];
      }
      return out;
    },

    backward(layer, gradient, _, { kept }) {
      const { scale } = layer.weights;
      const channels = scale.data.length;
      const setOf = setsOf(layer, gradient.length);
      const ofNormed = index => gradient[index] * scale.data[index % channels];
      const mean = meanOf(setOf, gradient.length, ofNormed);
      const along = meanOf(setOf, gradient.length, index => ofNormed(index) * kept.normed[index]);
      const ofInputs = gradient.slice();
      for (let index = 0; index < ofInputs.length; index++) {
        const set = setOf(index);
        ofInputs[index] =
          kept.inverse[set] * (ofNormed(index) - mean[set] - kept.normed[index] * along[set]);
      }
      return [ofInputs];
    },
  };
}

/** The mean of a function over each set. */
function meanOf(setOf, length, of) {
  const [sums, counts] = [[], []];
  for (let index = 0; index < length; index++) {
    const set = setOf(index);
    sums[set] = (sums[set] ?? 0) + of(index);
    counts[set] = (counts[set] ?? 0) + 1;
  }
  return sums.map((sum, set) => sum / counts[set]);
}

/** Over the channels of each position. */
export const layerNorm = normalisation(layer => {
  const channels = layer.weights.scale.data.length;
  return index => Math.floor(index / channels);
});

/** Over all positions and the channels of a group. */
export const groupNorm = normalisation(layer => {
  const channels = layer.weights.scale.data.length;
  const inGroup = channels / layer.settings.groups;
  return index => Math.floor((index % channels) / inGroup);
});
