// Recurrent layers: [T, I] → [T, H], all hidden states.
//
// The gates are side by side in the kernels, in jaxdl's order: input, forget, candidate, output for
// an LSTM, and update, reset, candidate for a GRU. A layer continues from a state if there is one,
// and starts with zeros otherwise.
import { sigmoid } from './activations.js';
import { multiply, multiplyTransposed } from './matrix.js';

/**
 * @typedef {import('./matrix.js').Values} Values
 * @typedef {import('./operations.js').Operation} Operation
 */

/**
 * The equations of a cell. `sums` [G] of a step are x · W + b + h · U, or for a cell with a
 * recurrent bias the two parts one after another, [2 G].
 *
 * @typedef {object} Cell
 * @property {number} gates
 * @property {string[]} kept names of the numbers [H] of a step that the gradient needs
 * @property {(sums: Values, before: State, after: State, kept: Record<string, Values>) => void} step
 * @property {(before: State, kept: Record<string, Values>, ofHidden: Values, ofMemory: Values,
 *   ofSums: Values, direct: Values) => void} back writes the gradient of the sums, and in `direct`
 *   and `ofMemory` the part of that of the previous state that does not come through the sums
 *
 * @typedef {object} State
 * @property {Values} hidden [H]
 * @property {Values} [memory] [H], of an LSTM
 */

/** @type {Cell} */
const rnn = {
  gates: 1,
  kept: ['hidden'],
  step(sums, _, after, kept) {
    for (let unit = 0; unit < after.hidden.length; unit++) {
      kept.hidden[unit] = after.hidden[unit] = Math.tanh(sums[unit]);
    }
  },
  back(_, kept, ofHidden, __, ofSums, direct) {
    for (let unit = 0; unit < direct.length; unit++) {
      ofSums[unit] = ofHidden[unit] * (1 - kept.hidden[unit] ** 2);
      direct[unit] = 0;
    }
  },
};

/** @type {Cell} */
const lstm = {
  gates: 4,
  kept: ['input', 'forget', 'candidate', 'output', 'memory'],
  step(sums, before, after, { input, forget, candidate, output, memory }) {
    const units = after.hidden.length;
    for (let unit = 0; unit < units; unit++) {
      input[unit] = sigmoid(sums[unit]);
      forget[unit] = sigmoid(sums[units + unit]);
      candidate[unit] = Math.tanh(sums[2 * units + unit]);
      output[unit] = sigmoid(sums[3 * units + unit]);
      memory[unit] = forget[unit] * before.memory[unit] + input[unit] * candidate[unit];
      after.memory[unit] = memory[unit];
      after.hidden[unit] = output[unit] * Math.tanh(memory[unit]);
    }
  },
  back(before, kept, ofHidden, ofMemory, ofSums, direct) {
    const units = direct.length;
    for (let unit = 0; unit < units; unit++) {
      const [input, forget] = [kept.input[unit], kept.forget[unit]];
      const [candidate, output] = [kept.candidate[unit], kept.output[unit]];
      const squashed = Math.tanh(kept.memory[unit]);
      const signal = ofMemory[unit] + ofHidden[unit] * output * (1 - squashed ** 2);
      ofSums[unit] = signal * candidate * input * (1 - input);
      ofSums[units + unit] = signal * before.memory[unit] * forget * (1 - forget);
      ofSums[2 * units + unit] = signal * input * (1 - candidate ** 2);
      ofSums[3 * units + unit] = ofHidden[unit] * squashed * output * (1 - output);
      ofMemory[unit] = signal * forget;
      direct[unit] = 0;
    }
  },
};

/** @type {Cell} */
const gru = {
  gates: 3,
  kept: ['update', 'reset', 'candidate', 'recurrent'],
  step(sums, before, after, { update, reset, candidate, recurrent }) {
    const units = after.hidden.length;
    const ofHidden = 3 * units; // the sums of the hidden state follow those of the inputs
    for (let unit = 0; unit < units; unit++) {
      update[unit] = sigmoid(sums[unit] + sums[ofHidden + unit]);
      reset[unit] = sigmoid(sums[units + unit] + sums[ofHidden + units + unit]);
      recurrent[unit] = sums[ofHidden + 2 * units + unit];
      candidate[unit] = Math.tanh(sums[2 * units + unit] + reset[unit] * recurrent[unit]);
      after.hidden[unit] =
        update[unit] * before.hidden[unit] + (1 - update[unit]) * candidate[unit];
    }
  },
  back(before, kept, ofHidden, _, ofSums, direct) {
    const units = direct.length;
    const second = 3 * units;
    for (let unit = 0; unit < units; unit++) {
      const [update, reset] = [kept.update[unit], kept.reset[unit]];
      const [candidate, recurrent] = [kept.candidate[unit], kept.recurrent[unit]];
      const ofCandidate = ofHidden[unit] * (1 - update) * (1 - candidate ** 2);
      const ofReset = ofCandidate * recurrent * reset * (1 - reset);
      const ofUpdate = ofHidden[unit] * (before.hidden[unit] - candidate) * update * (1 - update);
      ofSums[unit] = ofSums[second + unit] = ofUpdate;
      ofSums[units + unit] = ofSums[second + units + unit] = ofReset;
      ofSums[2 * units + unit] = ofCandidate;
      ofSums[second + 2 * units + unit] = ofCandidate * reset;
      direct[unit] = ofHidden[unit] * update;
    }
  },
};

/** The sizes of a layer and the order of its steps. */
function sizes(layer, inputs) {
  const [inner, width] = layer.weights.input_kernel.shape;
  const units = layer.weights.recurrent_kernel.shape[0];
  const steps = inputs.length / inner;
  const order = Array.from({ length: steps }, (_, step) => step);
  if (layer.settings.reverse) order.reverse();
  return { inner, width, units, steps, order };
}

/** The arrays of each step: name → [H], views of arrays [T, H]. */
function atStep(arrays, step, units) {
  const found = {};
  for (const [name, values] of Object.entries(arrays)) {
    found[name] = values.subarray(step * units, (step + 1) * units);
  }
  return found;
}

/**
 * @param {Cell} cell
 * @returns {Operation}
 */
function recurrent(cell) {
  return {
    forward(layer, [inputs], { Float, kept, state }) {
      const { input_kernel, recurrent_kernel, bias, recurrent_bias } = layer.weights;
      const { inner, width, units, steps, order } = sizes(layer, inputs);
      const ofInputs = new Float(steps * width);
      multiply(inputs, input_kernel.data, bias.data, ofInputs, [steps, inner, width]);
      const out = new Float(steps * units);
      const ofHidden = new Float(width);
      const sums = new Float(recurrent_bias ? 2 * width : width);
      kept.arrays = Object.fromEntries(cell.kept.map(name => [name, new Float(steps * units)]));
      const zeros = { hidden: new Float(units), memory: new Float(units) };
      kept.first = state.before ?? zeros;
      let before = kept.first;
      for (const step of order) {
        const size = [1, units, width];
        multiply(
          before.hidden,
          recurrent_kernel.data,
          recurrent_bias?.data ?? null,
          ofHidden,
          size,
        );
        sums.set(ofInputs.subarray(step * width, (step + 1) * width));
        if (recurrent_bias) sums.set(ofHidden, width);
        else for (let gate = 0; gate < width; gate++) sums[gate] += ofHidden[gate];
        const after = { hidden: new Float(units), memory: new Float(units) };
        cell.step(sums, before, after, atStep(kept.arrays, step, units));
        out.set(after.hidden, step * units);
        before = after;
      }
      state.after = before;
      kept.out = out;
      return out;
    },

    backward(layer, gradient, [inputs], { Float, kept }) {
      const { input_kernel, recurrent_kernel, recurrent_bias } = layer.weights;
      const { inner, width, units, steps, order } = sizes(layer, inputs);
      const ofInputSums = new Float(steps * width);
      const ofSums = new Float(recurrent_bias ? 2 * width : width);
      const ofHiddenSums = recurrent_bias ? ofSums.subarray(width) : ofSums;
      const [ofHidden, ofMemory] = [new Float(units), new Float(units)];
      const [direct, throughSums] = [new Float(units), new Float(units)];
      for (let place = steps - 1; place >= 0; place--) {
        const step = order[place];
        for (let unit = 0; unit < units; unit++) {
          ofHidden[unit] = direct[unit] + throughSums[unit] + gradient[step * units + unit];
        }
        const before = place ? stateAfter(kept, order[place - 1], units) : kept.first;
        const ofStep = atStep(kept.arrays, step, units);
        cell.back(before, ofStep, ofHidden, ofMemory, ofSums, direct);
        ofInputSums.set(ofSums.subarray(0, width), step * width);
        multiplyTransposed(ofHiddenSums, recurrent_kernel.data, throughSums, [1, width, units]);
      }
      const ofInputs = new Float(inputs.length);
      multiplyTransposed(ofInputSums, input_kernel.data, ofInputs, [steps, width, inner]);
      return [ofInputs];
    },
  };
}

function stateAfter(kept, step, units) {
  return atStep({ hidden: kept.out, memory: kept.arrays.memory ?? kept.out }, step, units);
}

/** @type {Record<string, Operation>} */
export const CELLS = { rnn: recurrent(rnn), lstm: recurrent(lstm), gru: recurrent(gru) };
