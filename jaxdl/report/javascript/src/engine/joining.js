// Layers that keep or reorder numbers, and layers that join branches.

/** @typedef {import('./operations.js').Operation} Operation */

/**
 * Dropout in evaluation, flatten, reshape and activations: the same numbers.
 *
 * @type {Operation}
 */
export const identity = {
  forward: (_, [inputs]) => inputs.slice(),
  backward: (_, gradient) => [gradient.slice()],
};

/** The sum of branches. */
const add = {
  forward(_, inputs) {
    const out = inputs[0].slice();
    for (const branch of inputs.slice(1)) {
      for (let index = 0; index < out.length; index++) out[index] += branch[index];
    }
    return out;
  },
  backward: (_, gradient, inputs) => inputs.map(() => gradient.slice()),
};

/** The channels of branches one after another. */
const concatenate = {
  forward(layer, inputs, { Float }) {
    const { widths, positions } = branches(layer, inputs);
    const out = new Float(inputs.reduce((sum, branch) => sum + branch.length, 0));
    let to = 0;
    for (let position = 0; position < positions; position++) {
      inputs.forEach((branch, number) => {
        const width = widths[number];
        out.set(branch.subarray(position * width, (position + 1) * width), to);
        to += width;
      });
    }
    return out;
  },

  backward(layer, gradient, inputs, { Float }) {
    const { widths, positions } = branches(layer, inputs);
    const ofInputs = inputs.map(branch => new Float(branch.length));
    let from = 0;
    for (let position = 0; position < positions; position++) {
      widths.forEach((width, number) => {
        ofInputs[number].set(gradient.subarray(from, from + width), position * width);
        from += width;
      });
    }
    return ofInputs;
  },
};

/** The number of positions of all branches, and the channels of each. */
function branches(layer, inputs) {
  const positions = layer.outputShape.slice(0, -1).reduce((product, size) => product * size, 1);
  return { positions, widths: inputs.map(branch => branch.length / positions) };
}

/**
 * Joins branches: the sum, or the channels one after another.
 *
 * @type {Operation}
 */
export const join = {
  forward: (layer, inputs, context) => joinOf(layer).forward(layer, inputs, context),
  backward: (layer, gradient, inputs, context) =>
    joinOf(layer).backward(layer, gradient, inputs, context),
};

const joinOf = layer => (layer.settings.join === 'add' ? add : concatenate);

/**
 * One step of each sequence: [T, F] of each source → [sum of F]. `settings.steps` has the step of
 * each source: −1 for the last one, 0 for the first one, where a layer that reads backward ends.
 *
 * @type {Operation}
 */
export const last = {
  forward(layer, inputs, { Float }) {
    const out = new Float(layer.outputShape[0]);
    let to = 0;
    for (const { sequence, start, width } of ends(layer, inputs)) {
      out.set(sequence.subarray(start, start + width), to);
      to += width;
    }
    return out;
  },

  backward(layer, gradient, inputs, { Float }) {
    let from = 0;
    return ends(layer, inputs).map(({ sequence, start, width }) => {
      const ofSequence = new Float(sequence.length);
      ofSequence.set(gradient.subarray(from, from + width), start);
      from += width;
      return ofSequence;
    });
  },
};

function ends(layer, inputs) {
  const width = layer.outputShape[0] / inputs.length;
  return inputs.map((sequence, number) => {
    const start = layer.settings.steps[number] === 0 ? 0 : sequence.length - width;
    return { sequence, start, width };
  });
}
