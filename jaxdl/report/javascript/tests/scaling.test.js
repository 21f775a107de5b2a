import assert from 'node:assert/strict';
import { test } from 'node:test';
import { area, cropped, fitted, onWhite, rotated, withChannels } from '../src/try/scaling.js';

const image = (rows, channels = 1) => ({
  pixels: Uint8Array.from(rows.flat()),
  height: rows.length,
  width: rows[0].length / channels,
  channels,
});

test('a crop leaves its spare pixel at the bottom right', () => {
  const found = cropped(
    image([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10, 11, 12],
    ]),
    2,
  );
  assert.deepEqual([...found.pixels], [2, 3, 6, 7]);
});

test('area is the rounded mean of what a new pixel covers', () => {
  const found = area(
    image([
      [0, 30, 60],
      [0, 30, 60],
      [90, 90, 90],
    ]),
    2,
  );
  // Shares of 1, 1/2 of the three pixels along each axis, divided by 1.5.
  const along = ([a, b, c]) => [(a + b / 2) / 1.5, (b / 2 + c) / 1.5];
  const rows = [along([0, 30, 60]), along([0, 30, 60]), along([90, 90, 90])];
  const expected = [0, 1].flatMap(y =>
    [0, 1].map(x => Math.round(along(rows.map(row => row[x]))[y])),
  );
  assert.deepEqual([...found.pixels], expected);
});

test('half is rounded to even, as in NumPy', () => {
  assert.deepEqual(
    [
      ...area(
        image([
          [0, 1],
          [0, 1],
        ]),
        1,
      ).pixels,
    ],
    [0],
  );
  assert.deepEqual(
    [
      ...area(
        image([
          [1, 2],
          [1, 2],
        ]),
        1,
      ).pixels,
    ],
    [2],
  );
});

test('gray is the luma of Pillow, and gray images are repeated for colour networks', () => {
  const colours = image([[255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]], 3);
  assert.deepEqual([...withChannels(colours, 1).pixels], [76, 150, 29, 255]);
  assert.deepEqual([...withChannels(image([[7, 9]]), 3).pixels], [7, 7, 7, 9, 9, 9]);
});

test('transparent pixels are white', () => {
  const rgba = Uint8ClampedArray.of(10, 20, 30, 0, 10, 20, 30, 255, 0, 0, 0, 51);
  assert.deepEqual([...onWhite(rgba, 1, 3).pixels], [255, 255, 255, 10, 20, 30, 204, 204, 204]);
});

test('images of another size are cropped to a square and scaled', () => {
  const wide = image([Array(8).fill(0), Array(8).fill(0)].map(row => row.map((_, x) => 10 * x)));
  const found = fitted(wide, { height: 1, width: 1, channels: 3, fit: 'area' });
  assert.deepEqual([...found.pixels], [35, 35, 35]);
  const same = image([
    [1, 2],
    [3, 4],
  ]);
  assert.deepEqual(
    [...fitted(same, { height: 2, width: 2, channels: 1, fit: 'crop' }).pixels],
    [1, 2, 3, 4],
  );
});

test('a quarter turn is counter-clockwise, and what comes from outside is 0', () => {
  const found = rotated(Uint8Array.of(1, 2, 3, 4), 2, 2, 1, 90);
  assert.deepEqual([...found].map(Math.round), [2, 4, 1, 3]);
  const slanted = rotated(new Uint8Array(9).fill(90), 3, 3, 1, 45);
  assert.equal(Math.round(slanted[4]), 90);
  assert.ok(slanted[0] < 90);
});
