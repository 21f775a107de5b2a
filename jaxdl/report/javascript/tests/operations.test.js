// Every operation: cases worked by hand, and its gradient against central differences.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPERATIONS } from '../src/engine/operations.js';
import { close, differences, dot, double, draw, drawn, size } from './helpers.js';

/** Computes one layer in double precision. */
function forward(layer, inputs, context = newContext()) {
  return OPERATIONS[layer.kind].forward({ settings: {}, weights: {}, ...layer }, inputs, context);
}

const newContext = (state = {}) => ({ Float: Float64Array, kept: {}, state });

/** A convolution of one channel with 'pads' of zeros around. */
function conv(kernel, window, shape, outputShape, settings = {}) {
  const weights = { kernel: { data: Float64Array.from(kernel) }, bias: double([0]) };
  const all = {
    window,
    strides: [1, 1],
    pads: [
      [0, 0],
      [0, 0],
    ],
    groups: 1,
    ...settings,
  };
  return { kind: 'conv', shape, outputShape, settings: all, weights };
}

test('a convolution is a sum of products, not flipped, plus the bias', () => {
  const layer = conv([1, 10, 100, 1000], [2, 2], [2, 3, 1], [1, 2, 1]);
  layer.weights.bias = double([0.5]);
  close(forward(layer, [Float64Array.of(1, 2, 3, 4, 5, 6)]), [5421.5, 6532.5]);
});

test('strides and padding of a convolution', () => {
  const settings = {
    strides: [1, 2],
    pads: [
      [0, 0],
      [1, 1],
    ],
  };
  const layer = conv([1, 10], [1, 2], [1, 3, 1], [1, 2, 1], settings);
  close(forward(layer, [Float64Array.of(1, 2, 3)]), [10, 32]); // 0 1 | 2 3 (| 0)
});

test('each group of features reads its own group of channels', () => {
  const layer = conv([2, 3], [1, 1], [1, 1, 2], [1, 1, 2], { groups: 2 });
  layer.weights.bias = double([0, 100]);
  close(forward(layer, [Float64Array.of(5, 7)]), [10, 121]);
});

test('a transposed convolution puts zeros between the inputs', () => {
  const layer = conv([1, 10, 100], [1, 3], [1, 2, 1], [1, 3, 1], {
    strides: [1, 2],
    pads: [
      [0, 0],
      [1, 1],
    ],
  });
  // Padded and dilated: 0 1 0 2 0; windows of three.
  close(forward({ ...layer, kind: 'conv_transpose' }, [Float64Array.of(1, 2)]), [10, 201, 20]);
});

test('a large image is computed in bands with the same result', () => {
  const shape = [600, 500, 1];
  const inputs = draw(size(shape));
  const kernel = draw(9, 3);
  const layer = conv(kernel, [3, 3], shape, [598, 498, 1]);
  const found = forward(layer, [inputs]);
  for (const [row, column] of [
    [0, 0],
    [57, 3],
    [58, 497],
    [300, 250],
    [597, 497],
  ]) {
    let sum = 0;
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) sum += kernel[3 * i + j] * inputs[(row + i) * 500 + column + j];
    }
    close([found[row * 498 + column]], [sum]);
  }
});

test('max-pooling takes the maximum, and its gradient goes to the first of equal numbers', () => {
  const settings = {
    window: [1, 2],
    strides: [1, 2],
    pads: [
      [0, 0],
      [0, 0],
    ],
  };
  const layer = { kind: 'max_pool', shape: [1, 4, 1], outputShape: [1, 2, 1], settings };
  const context = newContext();
  const inputs = Float64Array.of(3, 3, -2, -1);
  close(forward(layer, [inputs], context), [3, -1]);
  const [gradient] = OPERATIONS.max_pool.backward(layer, Float64Array.of(5, 7), [inputs], context);
  close(gradient, [5, 0, 0, 7]);
});

test('average pooling leaves out the padding', () => {
  const settings = {
    window: [1, 2],
    strides: [1, 2],
    pads: [
      [0, 0],
      [1, 0],
    ],
  };
  const layer = { kind: 'average_pool', shape: [1, 3, 1], outputShape: [1, 2, 1], settings };
  close(forward(layer, [Float64Array.of(4, 1, 3)]), [4, 2]);
});

test('pooling of all positions', () => {
  const inputs = Float64Array.of(1, -4, 3, -2, 2, -9);
  close(forward({ kind: 'global_average_pool', shape: [3, 2] }, [inputs]), [2, -5]);
  close(forward({ kind: 'global_max_pool', shape: [3, 2] }, [inputs]), [3, -2]);
});

test('a dense layer is a product with its kernel plus its bias', () => {
  const kernel = { data: Float64Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] };
  const layer = { kind: 'dense', weights: { kernel, bias: double([0.5, 0, 0]) } };
  close(forward(layer, [Float64Array.of(1, 10)]), [41.5, 52, 63]);
});

test('batch normalisation uses the running averages', () => {
  const weights = { mean: double([1]), var: double([3]), scale: double([10]), bias: double([0.5]) };
  const layer = { kind: 'batch_norm', settings: { epsilon: 1 }, weights };
  close(forward(layer, [Float64Array.of(5, 1)]), [20.5, 0.5]);
});

test('layer normalisation: mean 0 and variance 1 at each position', () => {
  const weights = { scale: double([1, 2]), bias: double([0, 1]) };
  const layer = { kind: 'layer_norm', settings: { epsilon: 0 }, weights };
  close(forward(layer, [Float64Array.of(1, 3, 6, 2)]), [-1, 3, 1, -1]);
});

test('group normalisation: mean 0 and variance 1 of the positions of a group', () => {
  const weights = { scale: double([1, 1]), bias: double([0, 0]) };
  const layer = { kind: 'group_norm', settings: { groups: 2, epsilon: 0 }, weights };
  close(forward(layer, [Float64Array.of(1, 10, 3, 30)]), [-1, -1, 1, 1]);
});

test('a residual adds, parallel branches are one after another', () => {
  const [first, second] = [Float64Array.of(1, 2, 3, 4), Float64Array.of(10, 20)];
  const shape = { shape: [2, 2], outputShape: [2, 3] };
  const parallel = { kind: 'parallel', ...shape, settings: { join: 'concatenate' } };
  close(forward(parallel, [first, second]), [1, 2, 10, 3, 4, 20]);
  close(forward({ kind: 'residual', settings: { join: 'add' } }, [first, first]), [2, 4, 6, 8]);
});

test('a projection keeps the positions of its strides', () => {
  const kernel = { data: Float64Array.of(10), shape: [1, 1] };
  const weights = { kernel, bias: double([1]) };
  const layer = { kind: 'project', shape: [3, 2, 1], settings: { strides: [2, 2] }, weights };
  close(forward(layer, [Float64Array.of(1, 2, 3, 4, 5, 6)]), [11, 51]);
});

test('the last step of a layer that reads backward is the first one', () => {
  const layer = { kind: 'last', outputShape: [4], settings: { steps: [-1, 0] } };
  const [forth, back] = [Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6, 7, 8)];
  close(forward(layer, [forth, back]), [3, 4, 5, 6]);
});

test('vectors of characters, learned and one-hot', () => {
  const kernel = { data: Float64Array.of(1, 2, 3, 4), shape: [2, 2] };
  const characters = Int32Array.of(1, 0);
  close(forward({ kind: 'embedding', weights: { kernel } }, [characters]), [3, 4, 1, 2]);
  const oneHot = { kind: 'embedding', settings: { classes: 3 } };
  close(forward(oneHot, [characters]), [0, 1, 0, 1, 0, 0]);
  assert.throws(() => forward(oneHot, [Int32Array.of(3)]), /character 3 is not in the vocabulary/);
});

/** A recurrent layer of one unit and one input. */
function cell(kind, input, hidden, bias, others = {}) {
  const width = input.length;
  const weights = {
    input_kernel: { data: Float64Array.from(input), shape: [1, width] },
    recurrent_kernel: { data: Float64Array.from(hidden), shape: [1, width] },
    bias: double(bias),
    ...others,
  };
  return { kind, settings: { reverse: false }, weights };
}

const sigmoid = x => 1 / (1 + Math.exp(-x));

test('a simple recurrent layer, forward and backward in time', () => {
  const layer = cell('rnn', [2], [3], [0.1]);
  const first = Math.tanh(2 * 0.2 + 0.1);
  const second = Math.tanh(2 * -0.3 + 3 * first + 0.1);
  close(forward(layer, [Float64Array.of(0.2, -0.3)]), [first, second]);
  const reversed = { ...layer, settings: { reverse: true } };
  close(forward(reversed, [Float64Array.of(-0.3, 0.2)]), [second, first]);
});

test('an LSTM: gates input, forget, candidate, output', () => {
  const layer = cell('lstm', [1, 2, 3, 4], [5, 6, 7, 8], [0.1, 0.2, 0.3, 0.4]);
  let [hidden, memory] = [0, 0];
  const expected = [0.5, -0.2].map(x => {
    const input = sigmoid(x + 5 * hidden + 0.1);
    const forget = sigmoid(2 * x + 6 * hidden + 0.2);
    const candidate = Math.tanh(3 * x + 7 * hidden + 0.3);
    const output = sigmoid(4 * x + 8 * hidden + 0.4);
    memory = forget * memory + input * candidate;
    hidden = output * Math.tanh(memory);
    return hidden;
  });
  const context = newContext();
  close(forward(layer, [Float64Array.of(0.5, -0.2)], context), expected);
  close(context.state.after.memory, [memory]);
});

test('a GRU resets after the product and has two biases', () => {
  const others = { recurrent_bias: double([0.4, 0.5, 0.6]) };
  const layer = cell('gru', [1, 2, 3], [4, 5, 6], [0.1, 0.2, 0.3], others);
  let hidden = 0;
  const expected = [0.5, -0.2].map(x => {
    const update = sigmoid(x + 0.1 + 4 * hidden + 0.4);
    const reset = sigmoid(2 * x + 0.2 + 5 * hidden + 0.5);
    const candidate = Math.tanh(3 * x + 0.3 + reset * (6 * hidden + 0.6));
    hidden = update * hidden + (1 - update) * candidate;
    return hidden;
  });
  close(forward(layer, [Float64Array.of(0.5, -0.2)]), expected);
});

test('attention is the mean of the values, weighted by softmax(query · key / √D)', () => {
  const shape = [2, 2];
  const identity = { data: Float64Array.of(1, 0, 0, 1), shape };
  const none = double([0, 0]);
  const parts = ['query', 'key', 'value', 'output'];
  const weights = Object.fromEntries(
    parts.flatMap(name => [
      [`${name}_kernel`, identity],
      [`${name}_bias`, none],
    ]),
  );
  const settings = { heads: 1, context: 4, rotary: false };
  const inputs = Float64Array.of(1, 0, 0, 2);
  const share = Math.exp(4 / Math.sqrt(2)) / (1 + Math.exp(4 / Math.sqrt(2))); // of the second
  const found = forward({ kind: 'attention', settings, weights }, [inputs]);
  close(found, [1, 0, 1 - share, 2 * share]);
});

test('positions of the next block start again', () => {
  const kernel = { data: Float64Array.of(1, 10), shape: [2, 1] };
  const layer = { kind: 'positions', weights: { kernel } };
  const context = newContext({ before: { count: 1 } });
  close(forward(layer, [new Float64Array(3)], context), [10, 1, 10]);
  assert.deepEqual(context.state.after, { count: 0 });
});

const windowed = {
  window: [3, 2],
  strides: [2, 1],
  pads: [
    [1, 0],
    [0, 1],
  ],
};
const recurrent = gates => ({
  input_kernel: [3, gates * 4],
  recurrent_kernel: [4, gates * 4],
  bias: [gates * 4],
});
const dense = name => ({ [`${name}_kernel`]: [8, 8], [`${name}_bias`]: [8] });
const attention = { ...dense('query'), ...dense('key'), ...dense('value'), ...dense('output') };

/** One layer of each kind: [kind, shapes of the inputs, output shape, settings, weights]. */
const CASES = [
  ['conv', [[5, 4, 4]], [2, 4, 6], { ...windowed, groups: 2 }, { kernel: [3, 2, 2, 6], bias: [6] }],
  [
    'depthwise_conv',
    [[5, 4, 2]],
    [2, 4, 4],
    { ...windowed, groups: 2 },
    { kernel: [3, 2, 1, 4], bias: [4] },
  ],
  [
    'conv',
    [[7, 2]],
    [3, 5],
    {
      window: [3, 1],
      strides: [2, 1],
      pads: [
        [0, 0],
        [0, 0],
      ],
      groups: 1,
    },
    { kernel: [3, 2, 5], bias: [5] },
  ],
  [
    'conv_transpose',
    [[3, 2, 2]],
    [6, 2, 3],
    {
      ...windowed,
      pads: [
        [1, 2],
        [0, 1],
      ],
    },
    { kernel: [3, 2, 2, 3], bias: [3] },
  ],
  ['dense', [[3, 4]], [3, 5], {}, { kernel: [4, 5], bias: [5] }],
  ['tied_dense', [[3, 4]], [3, 5], {}, { kernel: [5, 4], bias: [5] }],
  ['max_pool', [[5, 4, 3]], [2, 4, 3], windowed, {}],
  ['average_pool', [[5, 4, 3]], [2, 4, 3], windowed, {}],
  ['global_max_pool', [[3, 2, 4]], [4], {}, {}],
  ['global_average_pool', [[3, 2, 4]], [4], {}, {}],
  [
    'batch_norm',
    [[3, 4]],
    [3, 4],
    { epsilon: 0.1 },
    { scale: [4], bias: [4], mean: [4], var: [4] },
  ],
  ['layer_norm', [[3, 4]], [3, 4], { epsilon: 0.1 }, { scale: [4], bias: [4] }],
  ['group_norm', [[3, 4]], [3, 4], { epsilon: 0.1, groups: 2 }, { scale: [4], bias: [4] }],
  ['dropout', [[3, 4]], [3, 4], {}, {}],
  [
    'residual',
    [
      [3, 4],
      [3, 4],
    ],
    [3, 4],
    { join: 'add' },
    {},
  ],
  [
    'parallel',
    [
      [3, 4],
      [3, 2],
    ],
    [3, 6],
    { join: 'concatenate' },
    {},
  ],
  ['project', [[5, 4, 2]], [3, 2, 3], { strides: [2, 2] }, { kernel: [2, 3], bias: [3] }],
  ['rnn', [[5, 3]], [5, 4], { reverse: false }, recurrent(1)],
  ['lstm', [[5, 3]], [5, 4], { reverse: true }, recurrent(4)],
  ['gru', [[5, 3]], [5, 4], { reverse: false }, { ...recurrent(3), recurrent_bias: [12] }],
  [
    'last',
    [
      [5, 2],
      [5, 2],
    ],
    [4],
    { steps: [-1, 0] },
    {},
  ],
  ['positions', [[5, 2]], [5, 2], {}, { kernel: [3, 2] }],
  ['attention', [[6, 8]], [6, 8], { heads: 2, context: 3, rotary: true }, attention],
  ['attention', [[6, 8]], [6, 8], { heads: 2, context: 4, rotary: false }, attention],
];

for (const [kind, shapes, outputShape, settings, weightShapes] of CASES) {
  test(`the gradient of ${kind} ${JSON.stringify(settings)}`, () => {
    const [shape] = shapes;
    const weights = drawn(weightShapes);
    const layer = { name: kind, kind, shape, outputShape, settings, weights };
    const inputs = shapes.map((of, number) => draw(size(of), 20 + number));
    const seed = draw(size(outputShape), 50);
    const context = newContext();
    assert.equal(forward(layer, inputs, context).length, seed.length);
    const found = OPERATIONS[kind].backward(layer, seed, inputs, context);
    inputs.forEach((input, number) => {
      const expected = differences(changed => {
        const given = inputs.map((one, place) => (place === number ? changed : one));
        return dot(seed, forward(layer, given));
      }, input);
      close(found[number], expected, 1e-8);
    });
  });
}

test('the gradient of every operation is tested', () => {
  const same = ['flatten', 'reshape', 'activation']; // the operation of dropout
  const tested = new Set([...CASES.map(([kind]) => kind), ...same, 'embedding']);
  assert.deepEqual([...tested].sort(), Object.keys(OPERATIONS).sort());
});
