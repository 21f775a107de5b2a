import assert from 'node:assert/strict';
import { test } from 'node:test';
import { centreOfMass, image, pixels, raster, smooth } from '../src/try/strokes.js';

const MNIST = { height: 28, width: 28, pen: 2, fit: true, box: 20 / 28, centre: 'mass' };

function frame(ink, width) {
  const inked = [...ink.keys()].filter(place => ink[place] > 0.4);
  const [rows, columns] = [place => Math.floor(place / width), place => place % width].map(of =>
    inked.map(of),
  );
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

test('a point becomes a disc of ink', () => {
  const ink = raster([[[2.5, 2.5]]], 5, 5, 1);
  assert.equal(ink[2 * 5 + 2], 1); // 1.5 − 0
  assert.equal(ink[2 * 5 + 3], 0.5); // 1.5 − 1
  assert.ok(Math.abs(ink[1 * 5 + 1] - (1.5 - Math.SQRT2)) < 1e-6);
  assert.equal(ink[0], 0);
});

test('ink has the width of the pen and is not added where strokes cross', () => {
  const line = [
    [0, 5],
    [10, 5],
  ];
  const ink = raster([line, line], 10, 10, 1);
  const column = [...Array(10).keys()].map(row => ink[row * 10 + 5]);
  assert.deepEqual(column.slice(3, 7), [0, 1, 1, 0]);
});

test('smoothing keeps the ends and cuts the corners', () => {
  const found = smooth(
    [
      [0, 0],
      [1, 0],
      [1, 1],
    ],
    1,
  );
  assert.deepEqual(found[0], [0, 0]);
  assert.deepEqual(found[found.length - 1], [1, 1]);
  assert.ok(!found.some(([x, y]) => x === 1 && y === 0));
});

for (const [name, scale, shift] of [
  ['small', 0.1, 0.7],
  ['large', 0.9, 0.05],
]) {
  test(`a ${name} drawing fills the box of MNIST and is centred by its mass`, () => {
    const seven = [
      [0, 0],
      [0.6, 0],
      [0.2, 1],
    ].map(([x, y]) => [scale * x + shift, scale * y + 0.05]);
    const ink = image([seven], MNIST);
    const [top, bottom] = frame(ink, 28);
    assert.equal(bottom - top + 1, 20);
    const [x, y] = centreOfMass(ink, 28);
    assert.ok(Math.abs(x - 14) < 0.1 && Math.abs(y - 14) < 0.1, `${x}, ${y}`);
  });
}

test('centring by the frame leaves equal margins', () => {
  const ell = [
    [0, 0],
    [0, 1],
    [0.5, 1],
  ];
  const settings = { ...MNIST, height: 32, width: 32, box: 24 / 32, centre: 'frame' };
  const [top, bottom, left, right] = frame(image([ell], settings), 32);
  assert.deepEqual([top, bottom], [4, 27]);
  assert.ok(Math.abs(left - (31 - right)) <= 1, `${left}, ${right}`);
});

test('without fitting, a drawing stays where it is', () => {
  const ink = image([[[0.25, 0.75]]], { ...MNIST, fit: false, pen: 2 });
  assert.equal(ink[21 * 28 + 7] > 0.5, true);
  assert.deepEqual(centreOfMass(ink, 28).map(Math.round), [7, 21]);
});

test('no stroke is an empty image, and light backgrounds are inverted', () => {
  const ink = image([], MNIST);
  assert.equal(Math.max(...ink), 0);
  assert.deepEqual([...pixels(Float32Array.of(0, 0.5, 1), false)], [0, 128, 255]);
  assert.deepEqual([...pixels(Float32Array.of(0, 0.5, 1), true)], [255, 128, 0]);
});
