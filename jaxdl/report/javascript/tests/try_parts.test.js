import assert from 'node:assert/strict';
import { test } from 'node:test';
import { number, percent, signed } from '../src/try/dom.js';
import { certainty, chosen, isRight, maxima, strongest } from '../src/try/examples.js';
import { drawn, encode, reader } from '../src/try/reading.js';
import { prepared } from '../src/try/runner.js';
import { arrange, channelAt, frame, moved, ofChannel } from '../src/try/tiles.js';
import { unscaled } from '../src/try/vectors.js';
import { filterOf } from '../src/try/weights.js';

for (const [shape, ratio] of [
  [[13, 13, 64], 2],
  [[4, 4, 7], 0.5],
  [[28, 128], 2],
  [[10], 3],
  [[1024], 2],
  [[1], 2],
]) {
  test(`every channel of ${shape.join(' × ')} is found where it is drawn`, () => {
    const plan = arrange(shape, ratio);
    const channels = shape[shape.length - 1];
    for (let channel = 0; channel < channels; channel++) {
      const [left, top, width, height] = frame(plan, channel);
      assert.equal(channelAt(plan, left + width / 2, top + height / 2), channel);
      assert.ok(left >= 0 && top >= 0 && left + width <= 1 + 1e-9 && top + height <= 1 + 1e-9);
    }
  });
}

test('arrow keys move between channels and stay inside', () => {
  const plan = { ...arrange([4, 4, 6], 1.5), columns: 3 };
  assert.equal(moved(plan, 0, 'ArrowRight'), 1);
  assert.equal(moved(plan, 0, 'ArrowLeft'), 0);
  assert.equal(moved(plan, 1, 'ArrowDown'), 4);
  assert.equal(moved(plan, 4, 'ArrowDown'), 4);
  assert.equal(moved(plan, 2, 'End'), 5);
  assert.equal(moved(plan, 2, 'x'), null);
  assert.equal(moved(arrange([28, 16], 2), 3, 'ArrowUp'), null);
});

test('numbers of one channel, and the greatest of each', () => {
  const output = { data: Float32Array.of(1, -1, 5, -2, 3, -3), shape: [3, 1, 2] };
  assert.deepEqual([...ofChannel(output, 1)], [-1, -2, -3]);
  const { values, places } = maxima(output);
  assert.deepEqual(
    [[...values], [...places]],
    [
      [5, -1],
      [1, 0],
    ],
  );
  assert.deepEqual(strongest([1, undefined, 3, 2], 2), [
    [2, 3],
    [3, 2],
  ]);
});

test('filters of the strip', () => {
  const answers = [
    { right: true, certainty: 0.9 },
    { right: false, certainty: 0.5 },
    undefined,
    { right: true, certainty: 0.3 },
  ];
  assert.deepEqual(chosen(answers, 'all', null, 4), [0, 1, 2, 3]);
  assert.deepEqual(chosen(answers, 'right', null, 4), [0, 3]);
  assert.deepEqual(chosen(answers, 'wrong', null, 4), [1]);
  assert.deepEqual(chosen(answers, 'uncertain', null, 4), [3, 1, 0]);
  assert.deepEqual(
    chosen(answers, 'all', place => place > 1, 4),
    [2, 3],
  );
});

test('right and certain, of one class and of several labels', () => {
  assert.equal(isRight('classify', [0.1, 0.7, 0.2], 1), true);
  assert.equal(isRight('classify', [0.1, 0.7, 0.2], 2), false);
  assert.equal(isRight('multi_label', [0.9, 0.2, 0.6], [0, 2]), true);
  assert.equal(isRight('multi_label', [0.9, 0.2, 0.6], [0]), false);
  assert.equal(isRight('regress', [1], undefined), null);
  assert.equal(certainty('classify', [0.1, 0.7, 0.2]), 0.7);
  assert.equal(certainty('multi_label', [0.9, 0.25, 0.6]), 0.6);
});

test('unknown characters are named once and left out', () => {
  assert.deepEqual(encode('abéaé', ['a', 'b']), { indices: [0, 1, 0], unknown: ['é'] });
  assert.deepEqual(encode('', ['a']), { indices: [], unknown: [] });
});

test('a text is read once, and again from the first change', () => {
  const steps = [];
  const network = {
    start: () => 'start',
    step(state, index) {
      steps.push([state, index]);
      const probabilities = Float32Array.of(0.25, 0.75);
      const outputs = new Map([['lstm1', { data: Float32Array.of(index), shape: [1] }]]);
      return { state: `${state}${index}`, probabilities, logits: probabilities, outputs };
    },
  };
  const text = reader(network);
  for (const index of [0, 1, 1]) text.next(index);
  assert.equal(text.bits(0), null);
  assert.equal(text.bits(1), -Math.log2(0.75));
  assert.equal(text.keep([0, 1, 0]), 2);
  text.next(0);
  assert.deepEqual(steps, [
    ['start', 0],
    ['start0', 1],
    ['start01', 1],
    ['start01', 0],
  ]);
  assert.equal(text.bits(2), 2);
});

test('characters are drawn by their probability and the temperature', () => {
  const logits = Float32Array.of(0, Math.log(3));
  assert.equal(drawn(logits, 0, 0.1), 1);
  assert.equal(drawn(logits, 1, 0.24), 0);
  assert.equal(drawn(logits, 1, 0.26), 1);
  assert.equal(drawn(logits, 0.5, 0.12), 1); // odds of 9 to 1
  assert.equal(drawn(logits, 0.5, 0.09), 0);
});

test('filters: of a convolution, of a dense layer as its maps, of a recurrent unit by gate', () => {
  const kernel = (shape, data) => ({ kernel: { shape, data: Float32Array.from(data) } });
  const conv = {
    kind: 'conv',
    sources: [''],
    outputShape: [2, 1, 2],
    weights: kernel([1, 2, 1, 2], [1, 2, 3, 4]),
  };
  const flatten = { kind: 'flatten', outputShape: [4], weights: {} };
  const dense = { kind: 'dense', outputShape: [3], weights: kernel([4, 3], Array(12).keys()) };
  const network = { layers: [conv, flatten, dense] };
  const filter = filterOf(network, conv, 1);
  assert.deepEqual(
    [[...filter.data], filter.shape],
    [
      [2, 4],
      [1, 2, 1],
    ],
  );
  const unit = filterOf(network, dense, 2);
  assert.deepEqual(
    [[...unit.data], unit.shape],
    [
      [2, 5, 8, 11],
      [2, 1, 2],
    ],
  );
  assert.equal(filterOf(network, flatten, 0), null);
  const gru = {
    kind: 'gru',
    outputShape: [5, 2],
    weights: { input_kernel: { shape: [1, 6], data: Float32Array.of(0, 1, 2, 3, 4, 5) } },
  };
  assert.deepEqual([...filterOf(network, gru, 1).data], [1, 3, 5]);
});

test('numbers for people', () => {
  assert.deepEqual([0.987, 0.0001, 0.9999, 1].map(percent), [
    '98.7\u00a0%',
    '< 0.1\u00a0%',
    '> 99.9\u00a0%',
    '100.0\u00a0%',
  ]);
  assert.deepEqual([0.12345, 12.345, 1234, -2.5].map(number), ['0.123', '12.3', '1234', '−2.50']);
  assert.deepEqual([1.5, -0.25].map(signed), ['+1.50', '−0.250']);
});

test('pixels of data sets that are stored in 0..1 are divided by 255', () => {
  const network = divideBy => ({
    description: { input: { divide_by: divideBy } },
    prepare: pixels => [...pixels],
  });
  assert.deepEqual(prepared(network(255), Uint8Array.of(51, 255)), [51, 255]);
  assert.deepEqual(prepared(network(1), Uint8Array.of(51, 255)).map(Math.fround), [
    Math.fround(0.2),
    1,
  ]);
});

test('fields of vectors show no rounding errors of the standardisation', () => {
  assert.deepEqual(
    [unscaled(3.41719e-8, 0.499), unscaled(0.99999998, 0.499), unscaled(66.0000012, 13.1)],
    [0, 1, 66],
  );
  assert.equal(unscaled(1.23456789e-7, 1e-8), 1.234568e-7);
  assert.equal(unscaled(5, 0), 5);
});
