// A network: outputs of all layers, gradients, and texts character by character.
import { ACTIVATIONS, activate, backActivation, sigmoid } from './activations.js';
import { softmax } from './attention.js';
import { OPERATIONS } from './operations.js';
import { decode, read } from './weights.js';

/**
 * @typedef {import('./matrix.js').Values} Values
 * @typedef {import('./operations.js').Layer} Layer
 * @typedef {Map<string, any>} State name of a layer that reads steps → its state
 */

/**
 * The outputs of a network for one example.
 *
 * @typedef {object} Trace
 * @property {Map<string, { data: Values, shape: number[] }>} outputs name of a layer → its outputs,
 *   in the order of the layers: [H, W, C], [T, F] or [F]
 * @property {Values} logits outputs of the last layer
 * @property {Values} probabilities see `Network.probabilities`
 * @property {State} state after the last step
 * @property {Map<string, Values>} sums name of a layer → its outputs before the activation
 * @property {Map<string, Record<string, any>>} kept name of a layer → numbers that its gradient
 *   needs: of an LSTM `arrays` with the gates [T, H], of an attention `weights`
 * @property {Values} inputs
 */

/**
 * Reads a network.
 *
 * @param {object} description as `jaxdl/report/network.py` writes it
 * @param {object} [options]
 * @param {Float32ArrayConstructor | Float64ArrayConstructor} [options.Float] type of all arrays
 * @returns {Network}
 * @throws {Error} a layer has an unknown kind or activation
 */
export function load(description, { Float = Float32Array } = {}) {
  const view = decode(description.weights);
  const layers = description.layers.map(layer => {
    const { name, kind, shape, settings, sources } = layer;
    if (!OPERATIONS[kind]) throw new Error(`layer '${name}' has the unknown kind '${kind}'`);
    const { activation } = settings;
    if (activation && !ACTIVATIONS[activation]) {
      throw new Error(`layer '${name}' has the unknown activation '${activation}'`);
    }
    const weights = {};
    for (const [key, stored] of Object.entries(layer.weights)) {
      weights[key] = read(view, stored, Float);
    }
    return { name, kind, shape, outputShape: layer.output_shape, settings, sources, weights };
  });
  return new Network(description, layers, Float);
}

export class Network {
  /**
   * @param {object} description
   * @param {Layer[]} layers in the order of the computation
   * @param {Float32ArrayConstructor | Float64ArrayConstructor} Float
   */
  constructor(description, layers, Float) {
    this.description = description;
    this.layers = layers;
    this.Float = Float;
    this.places = new Map(layers.map((layer, place) => [layer.name, place]));
    this.isText = description.input.kind === 'text';
  }

  /** The name of the last layer. */
  get last() {
    return this.layers.at(-1).name;
  }

  /**
   * The inputs of an example as evaluation has them: scaled, (x / divide_by − mean) / deviation.
   *
   * @param {Uint8Array | Float32Array} pixels [H · W · C]; numbers of a vector or of a sequence
   * @returns {Float32Array}
   * @throws {RangeError} another number of numbers
   */
  prepare(pixels) {
    const { shape, mean, deviation, divide_by: divideBy } = this.description.input;
    const count = shape.reduce((product, size) => product * size, 1);
    if (pixels.length !== count) {
      throw new RangeError(`${pixels.length} numbers for inputs of ${shape.join(' × ')}`);
    }
    const round = Math.fround; // each step in single precision, as in jaxdl
    const [middle, spread] = [mean.map(round), deviation.map(round)];
    return Float32Array.from(pixels, (pixel, index) => {
      const channel = index % mean.length;
      return round(round(pixel / divideBy) - middle[channel]) / spread[channel];
    });
  }

  /**
   * Computes all layers.
   *
   * @param {ArrayLike<number>} inputs as `prepare` returns them; positions in the vocabulary for a
   *   text, [T]
   * @param {State} [state] of a text, to continue from
   * @returns {Trace}
   */
  forward(inputs, state = new Map()) {
    const given = this.isText ? Int32Array.from(inputs) : this.Float.from(inputs);
    return this.#run(this.#trace(given, new Map()), 0, state);
  }

  /**
   * Computes the layers after one, from given outputs of it.
   *
   * @param {string} name
   * @param {ArrayLike<number>} data the outputs of the layer
   * @param {Trace} [trace] has the outputs of layers that are not computed and that a later layer
   *   reads, where the network has branches
   * @returns {Trace} with the outputs of the layer and of those after it
   */
  from(name, data, trace) {
    const place = this.#placeOf(name);
    const { outputShape } = this.layers[place];
    const found = this.#trace(trace?.inputs ?? null, new Map(trace?.outputs ?? []));
    for (const { name: later } of this.layers.slice(place + 1)) found.outputs.delete(later);
    const steps = trace ? stepsOf(trace, this.isText) : data.length / outputShape.at(-1);
    found.outputs.set(name, { data: this.Float.from(data), shape: this.#shape(place, steps) });
    return this.#run(found, place + 1, new Map());
  }

  /**
   * The gradient of a weighted sum of outputs.
   *
   * @param {Trace} trace as `forward` returns it
   * @param {ArrayLike<number>} seed weight of each output of the layer `of`
   * @param {object} [options]
   * @param {string} [options.at] with respect to the outputs of this layer, '' for the inputs
   * @param {string} [options.of] the layer of the outputs; by default the last one
   * @param {'plain' | 'guided'} [options.rule] 'guided' for guided back-propagation
   * @returns {Values} of the size of the outputs of `at`
   * @throws {Error} the layer `of` does not come after `at`; guided back-propagation of a network
   *   with another activation than ReLU
   */
  gradient(trace, seed, { at = '', of = this.last, rule = 'plain' } = {}) {
    const stop = at === '' ? -1 : this.#placeOf(at);
    const start = this.#placeOf(of);
    if (start < stop) throw new Error(`layer '${of}' does not come after layer '${at}'`);
    if (rule === 'guided') this.#checkRectified();
    const size = trace.outputs.get(of).data.length;
    if (seed.length !== size) throw new RangeError(`${seed.length} weights for ${size} outputs`);
    const gradients = new Map([[of, this.Float.from(seed)]]);
    for (let place = start; place > stop; place--) {
      const gradient = gradients.get(this.layers[place].name);
      if (gradient) this.#back(this.layers[place], gradient, trace, gradients, rule);
    }
    const wanted = at === '' ? trace.inputs : trace.outputs.get(at).data;
    return gradients.get(at) ?? new this.Float(wanted.length);
  }

  /**
   * The state before the first character of a text.
   *
   * @returns {State}
   */
  start() {
    return new Map();
  }

  /**
   * Reads one character.
   *
   * @param {State} state is not changed
   * @param {number} index position of the character in the vocabulary
   * @returns {{ state: State, logits: Values, probabilities: Values, outputs: Trace['outputs'] }}
   *   the logits and probabilities of the next character
   */
  step(state, index) {
    const { state: after, logits, probabilities, outputs } = this.forward([index], state);
    return { state: after, logits, probabilities, outputs };
  }

  /**
   * What the task makes of the logits.
   *
   * @param {Values} logits
   * @returns {Values} softmax (of each step of a text), or sigmoid of labels that do not exclude
   *   each other; the values of a regression in their units; the pixels of an image in 0..1
   */
  probabilities(logits) {
    const { task, input, targets, classes } = this.description;
    if (task.name === 'multi_label') return logits.map(sigmoid);
    if (task.name === 'regress') {
      return logits.map((value, index) => value * targets.deviation[index] + targets.mean[index]);
    }
    if (task.name === 'reconstruct') {
      const { mean, deviation } = input;
      return logits.map((value, index) => {
        const channel = index % mean.length;
        return Math.min(1, Math.max(0, value * deviation[channel] + mean[channel]));
      });
    }
    const out = logits.slice();
    for (let start = 0; start < out.length; start += classes.length) {
      out.set(softmax(logits.subarray(start, start + classes.length)), start);
    }
    return out;
  }

  #trace(inputs, outputs) {
    return { inputs, outputs, sums: new Map(), kept: new Map(), state: new Map() };
  }

  #run(trace, first, state) {
    const steps = stepsOf(trace, this.isText);
    for (let place = first; place < this.layers.length; place++) {
      const layer = this.layers[place];
      const ofLayer = { before: state.get(layer.name) };
      const context = { Float: this.Float, kept: {}, state: ofLayer };
      const sums = OPERATIONS[layer.kind].forward(layer, this.#read(layer, trace), context);
      const { activation } = layer.settings;
      const data = activation ? activate(activation, sums) : sums;
      trace.sums.set(layer.name, sums);
      trace.kept.set(layer.name, context.kept);
      if (ofLayer.after !== undefined) trace.state.set(layer.name, ofLayer.after);
      trace.outputs.set(layer.name, { data, shape: this.#shape(place, steps) });
    }
    trace.logits = trace.outputs.get(this.last).data;
    trace.probabilities = this.probabilities(trace.logits);
    return trace;
  }

  #shape(place, steps) {
    const { outputShape } = this.layers[place];
    return this.isText ? [steps, ...outputShape] : outputShape;
  }

  #read(layer, trace) {
    return layer.sources.map(source => {
      const found = source === '' ? trace.inputs : trace.outputs.get(source)?.data;
      if (!found) throw new Error(`layer '${layer.name}' reads '${source}': give a trace with it`);
      return found;
    });
  }

  #back(layer, gradient, trace, gradients, rule) {
    const { activation } = layer.settings;
    const sums = trace.sums.get(layer.name);
    const { data } = trace.outputs.get(layer.name);
    const ofSums = activation ? backActivation(activation, gradient, sums, data, rule) : gradient;
    const context = { Float: this.Float, kept: trace.kept.get(layer.name), state: {} };
    const inputs = this.#read(layer, trace);
    const found = OPERATIONS[layer.kind].backward(layer, ofSums, inputs, context);
    found.forEach((ofInput, number) => {
      const source = layer.sources[number];
      const before = gradients.get(source);
      if (!before) gradients.set(source, ofInput);
      else for (let index = 0; index < before.length; index++) before[index] += ofInput[index];
    });
  }

  #placeOf(name) {
    const place = this.places.get(name);
    if (place === undefined) {
      throw new Error(
        `layer '${name}' is unknown: use one of ${[...this.places.keys()].join(', ')}`,
      );
    }
    return place;
  }

  #checkRectified() {
    const others = this.layers.map(({ settings }) => settings.activation).filter(Boolean);
    const other = others.find(name => name !== 'relu');
    const recurrent = this.layers.some(({ kind }) => ['rnn', 'lstm', 'gru'].includes(kind));
    if (other || recurrent || !others.length) {
      throw new Error('guided back-propagation is for networks with ReLUs alone: use the gradient');
    }
  }
}

/** The number of steps of a text; 1 for other inputs. */
function stepsOf(trace, isText) {
  if (!isText) return 1;
  if (trace.inputs) return trace.inputs.length;
  const [first] = trace.outputs.values();
  return first.shape[0];
}
