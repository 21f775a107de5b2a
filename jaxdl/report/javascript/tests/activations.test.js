import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTIVATIONS, activate, backActivation } from '../src/engine/activations.js';
import { close, differences, dot, draw } from './helpers.js';

test('values of the activations', () => {
  const of = name => Array.from(activate(name, Float64Array.of(-1, 0, 2)));
  assert.deepEqual(of('relu'), [0, 0, 2]);
  close(of('tanh'), [-0.7615941559557649, 0, 0.9640275800758169]);
  close(of('sigmoid'), [0.2689414213699951, 0.5, 0.8807970779778823]);
  close(of('elu'), [Math.exp(-1) - 1, 0, 2]);
  close(of('gelu'), [-0.15880800939172324, 0, 1.954597694087775]);
});

test('the sigmoid of large numbers is exact', () => {
  const { of } = ACTIVATIONS.sigmoid;
  assert.equal(of(1000), 1);
  assert.equal(of(-1000), 0);
  close([of(-40) / Math.exp(-40)], [1]);
});

for (const name of Object.keys(ACTIVATIONS)) {
  test(`the gradient of ${name}`, () => {
    const sums = draw(20, 2).map(x => 3 * x);
    const seed = draw(20, 3);
    const found = backActivation(name, seed, sums, activate(name, sums), 'plain');
    close(
      found,
      differences(changed => dot(seed, activate(name, changed)), sums),
      1e-8,
    );
  });
}

test('guided back-propagation passes positive gradients of positive numbers', () => {
  const sums = Float64Array.of(1, 1, -1, -1);
  const signal = Float64Array.of(2, -2, 2, -2);
  const back = rule =>
    Array.from(backActivation('relu', signal, sums, activate('relu', sums), rule));
  assert.deepEqual(back('plain'), [2, -2, 0, -0]);
  assert.deepEqual(back('guided'), [2, 0, 0, 0]);
});
