import { test } from 'node:test';
import { multiply, multiplyTransposed } from '../src/engine/matrix.js';
import { close, draw } from './helpers.js';

/** The definition of a product of [rows, inner] and [inner, columns]. */
function product(a, b, [rows, inner, columns]) {
  return Float64Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[row * inner + k] * b[k * columns + column];
    return sum;
  });
}

const SIZES = [
  [1, 1, 1],
  [1, 9, 5],
  [3, 7, 2],
  [4, 5, 3],
  [9, 6, 4],
  [10, 3, 1],
];

for (const size of SIZES) {
  const [rows, inner, columns] = size;
  const a = draw(rows * inner, 3).map((x, index) => (index % 3 ? x : 0)); // some zeros
  const b = draw(inner * columns, 4);
  const expected = product(a, b, size);

  test(`a product of the size ${size}`, () => {
    const out = new Float64Array(rows * columns);
    multiply(a, b, null, out, size);
    close(out, expected);
    const bias = draw(columns, 5);
    multiply(a, b, bias, out, size);
    close(
      out,
      expected.map((sum, index) => sum + bias[index % columns]),
    );
  });

  test(`a product with a transposed matrix of the size ${size}`, () => {
    const transposed = Float64Array.from(b, (_, index) => {
      const [column, k] = [Math.floor(index / inner), index % inner];
      return b[k * columns + column];
    });
    const out = new Float64Array(rows * columns);
    multiplyTransposed(a, transposed, out, size);
    close(out, expected);
  });

  test(`a product of the size ${size} inside larger matrices`, () => {
    const wide = new Float64Array(inner * (columns + 2)).fill(9);
    for (let k = 0; k < inner; k++) {
      for (let column = 0; column < columns; column++) {
        wide[k * (columns + 2) + 1 + column] = b[k * columns + column];
      }
    }
    const out = new Float64Array(rows * (columns + 3));
    const places = {
      b: { start: 1, width: columns + 2 },
      out: { start: 2, width: columns + 3 },
    };
    multiply(a, wide, null, out, size, places);
    const inside = expected.map((_, index) => {
      return out[Math.floor(index / columns) * (columns + 3) + 2 + (index % columns)];
    });
    close(inside, expected);
    close([out.reduce((sum, x) => sum + x, 0)], [expected.reduce((sum, x) => sum + x, 0)]);
  });
}
