// Shared functions of the tests.
import assert from 'node:assert/strict';

/** Numbers in −1..1 that are the same in every run (a linear congruential generator). */
export function draw(count, seed = 1) {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 31 - 1;
  });
}

export const size = shape => shape.reduce((product, length) => product * length, 1);

/** Weights of a layer in double precision: name → shape becomes name → { data, shape }. */
export function drawn(shapes, seed = 7) {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], number) => {
      const data = draw(size(shape), seed + number);
      return [name, { data: name === 'var' ? data.map(x => 1.5 + x) : data, shape }];
    }),
  );
}

export const double = numbers => ({ data: Float64Array.from(numbers) });

export function close(found, expected, tolerance = 1e-12) {
  assert.equal(found.length, expected.length);
  expected.forEach((value, index) => {
    const difference = Math.abs(found[index] - value);
    assert.ok(
      difference <= tolerance * Math.max(1, Math.abs(value)),
      `number ${index}: ${found[index]} instead of ${value}`,
    );
  });
}

/** Central differences of a function of an array. */
export function differences(of, inputs, step = 1e-5) {
  return inputs.map((value, index) => {
    const [up, down] = [inputs.slice(), inputs.slice()];
    up[index] = value + step;
    down[index] = value - step;
    return (of(up) - of(down)) / (2 * step);
  });
}

export const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
