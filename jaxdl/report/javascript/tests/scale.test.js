import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labels, limits, logTicks, smoothed, ticks } from '../src/page/scale.js';
import { number } from '../src/page/tables.js';

test('the first steps may lie outside the limits, at one end only', () => {
  const values = [50, ...Array.from({ length: 199 }, (_, n) => 1 / (n + 1))];
  assert.deepEqual(limits(values, ''), [1 / 199, 50]);
  assert.ok(limits(values, 'high')[1] < 1);
  assert.deepEqual(limits([2, 2], 'high'), [1, 3]);
});

test('ticks are round and within the axis', () => {
  assert.deepEqual(ticks(1, 3), [1, 1.5, 2, 2.5, 3]);
  assert.deepEqual(logTicks(0.01, 1), [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]);
  assert.deepEqual(logTicks(1e-6, 1), [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]);
  assert.ok(logTicks(0.31, 0.38).length > 2, 'a short axis has no labels');
});

test('the labels of an axis have one form', () => {
  assert.deepEqual(labels([1, 1.5, 2]), { texts: ['1.0', '1.5', '2.0'], power: 0 });
  assert.deepEqual(labels([0, 5e-4, 1e-3, 1.5e-3, 2.5e-3]), {
    texts: ['0.0', '0.5', '1.0', '1.5', '2.5'],
    power: -3,
  });
});

test('smoothing keeps a constant and the first value', () => {
  assert.deepEqual(
    smoothed([3, 3, 3], 0.9).map(value => value.toFixed(9)),
    Array(3).fill('3.000000000'),
  );
  assert.equal(smoothed([4, 0], 0.5)[0], 4);
  assert.ok(Math.abs(smoothed([4, 0], 0.5)[1] - 4 / 3) < 1e-12);
  assert.deepEqual(smoothed([1, 2], 0), [1, 2]);
});

test('cells are compared as numbers', () => {
  assert.equal(number('1,234'), 1234);
  assert.equal(number('98.40 % best'), 98.4);
  assert.ok(Number.isNaN(number('0:04:52')));
  assert.equal(number('−0.30'), -0.3);
  assert.ok(Number.isNaN(number('–')));
  assert.ok(Number.isNaN(number('')));
});
