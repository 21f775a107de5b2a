// A network of several layers with branches, and a text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  gaussLegendre,
  gradCam,
  gradientTimesInput,
  integratedGradients,
  resize,
  saliency,
} from '../src/engine/attribution.js';
import { load } from '../src/engine/network.js';
import { close, differences, dot, draw, size } from './helpers.js';

/** A description whose weights are drawn: a layer's 'weights' are shapes. */
function described(layers, input, task = 'classify', classes = ['a', 'b']) {
  const numbers = [];
  const withPlaces = layers.map(layer => {
    const weights = {};
    for (const [name, shape] of Object.entries(layer.weights ?? {})) {
      weights[name] = { offset: 4 * numbers.length, shape, type: 'float32' };
      numbers.push(...draw(size(shape), numbers.length + 1));
    }
    return { settings: {}, sources: [''], ...layer, weights };
  });
  const bytes = Buffer.from(Float32Array.from(numbers).buffer);
  const shared = { mean: [0.5], deviation: [0.25], divide_by: 255, ...input };
  return {
    task: { name: task },
    classes,
    input: shared,
    layers: withPlaces,
    weights: bytes.toString('base64'),
  };
}

const WINDOW = {
  window: [2, 2],
  strides: [1, 1],
  pads: [
    [0, 1],
    [0, 1],
  ],
  groups: 1,
};
const LAYERS = [
  {
    name: 'conv1',
    kind: 'conv',
    shape: [3, 4, 1],
    output_shape: [3, 4, 2],
    settings: { ...WINDOW, activation: 'relu' },
    weights: { kernel: [2, 2, 1, 2], bias: [2] },
  },
  {
    name: 'branch',
    kind: 'conv',
    shape: [3, 4, 2],
    output_shape: [3, 4, 2],
    sources: ['conv1'],
    settings: { ...WINDOW, activation: 'relu' },
    weights: { kernel: [2, 2, 2, 2], bias: [2] },
  },
  {
    name: 'sum',
    kind: 'residual',
    shape: [3, 4, 2],
    output_shape: [3, 4, 2],
    sources: ['branch', 'conv1'],
    settings: { join: 'add' },
  },
  { name: 'flatten', kind: 'flatten', shape: [3, 4, 2], output_shape: [24], sources: ['sum'] },
  {
    name: 'logits',
    kind: 'dense',
    shape: [24],
    output_shape: [2],
    sources: ['flatten'],
    settings: { activation: null },
    weights: { kernel: [24, 2], bias: [2] },
  },
];
const IMAGE = { kind: 'image', shape: [3, 4, 1] };
const image = () => load(described(LAYERS, IMAGE), { Float: Float64Array });

test('outputs of all layers have their shapes, and probabilities sum to 1', () => {
  const trace = image().forward(draw(12, 5));
  assert.deepEqual(
    [...trace.outputs.keys()],
    LAYERS.map(({ name }) => name),
  );
  for (const { name, output_shape: shape } of LAYERS) {
    const found = trace.outputs.get(name);
    assert.deepEqual(found.shape, shape);
    assert.equal(found.data.length, size(shape));
  }
  const [first, second] = trace.logits;
  close(trace.probabilities, [
    1 / (1 + Math.exp(second - first)),
    1 / (1 + Math.exp(first - second)),
  ]);
});

test('the gradient at the inputs and at a layer inside, through branches', () => {
  const network = image();
  const inputs = draw(12, 5);
  const seed = Float64Array.of(0.3, -2);
  const trace = network.forward(inputs);
  const logits = given => dot(seed, network.forward(given).logits);
  close(network.gradient(trace, seed), differences(logits, inputs), 1e-7);
  const { data } = trace.outputs.get('conv1');
  const later = given => dot(seed, network.from('conv1', given, trace).logits);
  close(network.gradient(trace, seed, { at: 'conv1' }), differences(later, data), 1e-7);
});

test('the gradient of a unit of a layer inside', () => {
  const network = image();
  const inputs = draw(12, 5);
  const seed = draw(24, 8);
  const outputs = given => dot(seed, network.forward(given).outputs.get('branch').data);
  const found = network.gradient(network.forward(inputs), seed, { of: 'branch' });
  close(found, differences(outputs, inputs), 1e-7);
});

test('layers after a layer from its outputs, and from other ones', () => {
  const network = image();
  const trace = network.forward(draw(12, 5));
  const { data } = trace.outputs.get('conv1');
  const again = network.from('conv1', data);
  assert.deepEqual(again.logits, trace.logits);
  assert.deepEqual([...again.outputs.keys()], ['conv1', 'branch', 'sum', 'flatten', 'logits']);
  assert.notDeepEqual(
    network.from(
      'conv1',
      data.map(() => 0),
    ).logits,
    trace.logits,
  );
  assert.throws(() => network.from('branch', data), /layer 'sum' reads 'conv1': give a trace/);
  assert.deepEqual(
    network.from('branch', trace.outputs.get('branch').data, trace).logits,
    trace.logits,
  );
});

test('errors name the layer and the numbers', () => {
  const network = image();
  const trace = network.forward(draw(12, 5));
  assert.throws(
    () => network.gradient(trace, [1, 0], { at: 'conv9' }),
    /'conv9' is unknown: use one of conv1/,
  );
  assert.throws(() => network.gradient(trace, [1]), /1 weights for 2 outputs/);
  assert.throws(
    () => network.gradient(trace, draw(24), { of: 'conv1', at: 'sum' }),
    /does not come after/,
  );
  assert.throws(() => network.prepare(new Uint8Array(11)), /11 numbers for inputs of 3 × 4 × 1/);
  assert.throws(() => saliency(network, draw(12), 2), /class 2: use 0 to 1/);
  assert.throws(
    () => load(described([{ ...LAYERS[0], kind: 'gate' }], IMAGE)),
    /unknown kind 'gate'/,
  );
});

test('inputs are scaled as in evaluation, in single precision', () => {
  const found = image().prepare(Uint8Array.of(0, 255, 51, ...new Array(9).fill(0)));
  assert.deepEqual(Array.from(found.slice(0, 2)), [-2, 2]);
  assert.equal(found[2], Math.fround(Math.fround(Math.fround(0.2) - 0.5) / 0.25));
});

test('what each task makes of the logits', () => {
  const of = (task, logits, others = {}) => {
    const network = load({ ...described(LAYERS, IMAGE, task), ...others }, { Float: Float64Array });
    return network.probabilities(Float64Array.from(logits));
  };
  close(of('multi_label', [0, Math.log(3)]), [0.5, 0.75]);
  close(of('classify_by_squared_error', [0, Math.log(3)]), [0.25, 0.75]);
  close(of('regress', [1, 2], { targets: { mean: [10, 20], deviation: [2, 3] } }), [12, 26]);
  close(of('reconstruct', [0, 1, 9]), [0.5, 0.75, 1]);
});

const TEXT = [
  { name: 'one_hot', kind: 'embedding', shape: [1], output_shape: [2], settings: { classes: 2 } },
  {
    name: 'gru1',
    kind: 'gru',
    shape: [2],
    output_shape: [3],
    sources: ['one_hot'],
    settings: { reverse: false },
    weights: { input_kernel: [2, 9], recurrent_kernel: [3, 9], bias: [9], recurrent_bias: [9] },
  },
  {
    name: 'logits',
    kind: 'dense',
    shape: [3],
    output_shape: [2],
    sources: ['gru1'],
    weights: { kernel: [3, 2], bias: [2] },
  },
];

test('a text, whole and character by character, with states that are not changed', () => {
  const network = load(described(TEXT, { kind: 'text', shape: [] }, 'next_char'));
  const characters = [0, 1, 1, 0, 1];
  const trace = network.forward(characters);
  assert.deepEqual(trace.outputs.get('gru1').shape, [5, 3]);
  const states = [network.start()];
  characters.forEach((character, index) => {
    const after = network.step(states[index], character);
    states.push(after.state);
    close(after.logits, trace.logits.slice(2 * index, 2 * index + 2), 1e-6);
    close([after.probabilities[0] + after.probabilities[1]], [1], 1e-6);
  });
  const again = network.step(states[2], characters[2]);
  close(again.logits, trace.logits.slice(4, 6), 1e-6);
});

test('Gauss–Legendre quadrature is exact for polynomials of degree 2 n − 1', () => {
  const points = gaussLegendre(3);
  const integral = power =>
    points.reduce((sum, { point, weight }) => sum + weight * point ** power, 0);
  close([0, 1, 2, 3, 4, 5].map(integral), [2, 0, 2 / 3, 0, 2 / 5, 0], 1e-12);
  close(
    gaussLegendre(64)
      .map(({ weight }) => weight)
      .slice(0, 1),
    [0.0017832807216964],
    1e-12,
  );
  assert.throws(() => gaussLegendre(0), /use at least 1/);
});

test('attributions: integrated gradients sum to the difference of the logit', () => {
  const network = image();
  const inputs = draw(12, 5);
  const of = given => network.forward(given).logits[1];
  const sum = values => values.reduce((total, value) => total + value, 0);
  const found = integratedGradients(network, inputs, 1, { steps: 400, baseline: 0.1 });
  close([sum(found)], [of(inputs) - of(inputs.map(() => 0.1))], 1e-3);
  const slope = saliency(network, inputs, 1);
  close(
    gradientTimesInput(network, inputs, 1),
    slope.map((value, index) => value * inputs[index]),
  );
});

test('Grad-CAM has the positions of the layer and the pixels of the image', () => {
  const { map, upsampled, shape } = gradCam(image(), draw(12, 5), 0, 'branch');
  assert.deepEqual(shape, [3, 4]);
  close(upsampled, map); // the layer has as many positions as the image has pixels
  assert.ok(map.every(value => value >= 0));
  assert.throws(() => gradCam(image(), draw(12, 5), 0, 'flatten'), /no spatial positions/);
});

test('resizing is bilinear and constant beyond the outer centres', () => {
  close(resize(Float64Array.of(0, 4), [1, 2], [1, 4]), [0, 1, 3, 4]);
  close(resize(Float64Array.of(0, 4), [2, 1], [2, 2]), [0, 0, 4, 4]);
});
