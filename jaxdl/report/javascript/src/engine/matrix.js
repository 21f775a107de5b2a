// Matrix products. All matrices are row-major in typed arrays; sums are in double precision.

/**
 * @typedef {Float32Array | Float64Array} Values numbers of an array, row-major
 */

/**
 * Where a matrix is in an array, for a matrix that is some of the columns of another one.
 *
 * @typedef {object} Place
 * @property {number} start index of the first number
 * @property {number} width numbers from one row to the next
 */

/**
 * The product a · b + bias: [rows, inner] × [inner, columns] → [rows, columns].
 *
 * @param {Values} a
 * @param {Values} b
 * @param {Values | null} bias [columns], or null for none
 * @param {Values} out
 * @param {[rows: number, inner: number, columns: number]} size
 * @param {{ a?: Place, b?: Place, out?: Place }} [places] by default, matrices fill their arrays
 */
export function multiply(a, b, bias, out, [rows, inner, columns], places = {}) {
  const ofA = places.a ?? { start: 0, width: inner };
  const ofB = places.b ?? { start: 0, width: columns };
  const ofOut = places.out ?? { start: 0, width: columns };
  let row = 0;
  if (columns > 1) {
    const even = columns - (columns % 2);
    for (; row + 4 <= rows; row += 4) {
      fourRows(a, b, bias, out, [row, inner, even], ofA, ofB, ofOut);
      if (even < columns) lastColumn(a, b, bias, out, [row, inner, even], ofA, ofB, ofOut);
    }
  }
  for (; row < rows; row++) oneRow(a, b, bias, out, [row, inner, columns], ofA, ofB, ofOut);
}

/** Four rows of a product, two columns at a time: eight sums stay in registers. */
function fourRows(a, b, bias, out, [row, inner, columns], ofA, ofB, ofOut) {
  const first = ofA.start + row * ofA.width;
  const second = first + ofA.width;
  const third = second + ofA.width;
  const fourth = third + ofA.width;
  for (let column = 0; column < columns; column += 2) {
    const left = bias ? bias[column] : 0;
    const right = bias ? bias[column + 1] : 0;
    let [s00, s10, s20, s30] = [left, left, left, left];
    let [s01, s11, s21, s31] = [right, right, right, right];
    let at = ofB.start + column;
    for (let k = 0; k < inner; k++, at += ofB.width) {
      const b0 = b[at];
      const b1 = b[at + 1];
      const a0 = a[first + k];
      const a1 = a[second + k];
      const a2 = a[third + k];
      const a3 = a[fourth + k];
      s00 += a0 * b0;
      s01 += a0 * b1;
      s10 += a1 * b0;
      s11 += a1 * b1;
      s20 += a2 * b0;
      s21 += a2 * b1;
      s30 += a3 * b0;
      s31 += a3 * b1;
    }
    let to = ofOut.start + row * ofOut.width + column;
    out[to] = s00;
    out[to + 1] = s01;
    to += ofOut.width;
    out[to] = s10;
    out[to + 1] = s11;
    to += ofOut.width;
    out[to] = s20;
    out[to + 1] = s21;
    to += ofOut.width;
    out[to] = s30;
    out[to + 1] = s31;
  }
}

/** The last one of an odd number of columns, in four rows of a product. */
function lastColumn(a, b, bias, out, [row, inner, column], ofA, ofB, ofOut) {
  for (let of4 = row; of4 < row + 4; of4++) {
    let sum = bias ? bias[column] : 0;
    const from = ofA.start + of4 * ofA.width;
    for (let k = 0; k < inner; k++) sum += a[from + k] * b[ofB.start + k * ofB.width + column];
    out[ofOut.start + of4 * ofOut.width + column] = sum;
  }
}

let sums = new Float64Array(0);

/** One row of a product. It reads b in the order of the memory and leaves out zeros of a. */
function oneRow(a, b, bias, out, [row, inner, columns], ofA, ofB, ofOut) {
  if (sums.length < columns) sums = new Float64Array(columns);
  for (let column = 0; column < columns; column++) sums[column] = bias ? bias[column] : 0;
  const from = ofA.start + row * ofA.width;
  let k = 0;
  while (k < inner) {
    // The next four numbers of a that are not zero.
    let [k0, k1, k2, k3] = [-1, -1, -1, -1];
    while (k < inner && k3 < 0) {
      if (a[from + k] !== 0) {
        if (k0 < 0) k0 = k;
        else if (k1 < 0) k1 = k;
        else if (k2 < 0) k2 = k;
        else k3 = k;
      }
      k++;
    }
    if (k3 >= 0) addFourRows(a, b, from, [k0, k1, k2, k3], columns, ofB);
    else {
      for (const last of [k0, k1, k2]) if (last >= 0) addRow(a, b, from, last, columns, ofB);
    }
  }
  const to = ofOut.start + row * ofOut.width;
  for (let column = 0; column < columns; column++) out[to + column] = sums[column];
}

function addFourRows(a, b, from, [k0, k1, k2, k3], columns, ofB) {
  const a0 = a[from + k0];
  const a1 = a[from + k1];
  const a2 = a[from + k2];
  const a3 = a[from + k3];
  const b0 = ofB.start + k0 * ofB.width;
  const b1 = ofB.start + k1 * ofB.width;
  const b2 = ofB.start + k2 * ofB.width;
  const b3 = ofB.start + k3 * ofB.width;
  for (let column = 0; column < columns; column++) {
    sums[column] +=
      a0 * b[b0 + column] + a1 * b[b1 + column] + a2 * b[b2 + column] + a3 * b[b3 + column];
  }
}

function addRow(a, b, from, k, columns, ofB) {
  const factor = a[from + k];
  const at = ofB.start + k * ofB.width;
  for (let column = 0; column < columns; column++) sums[column] += factor * b[at + column];
}

/**
 * The product a · bᵀ: [rows, inner] × [columns, inner]ᵀ → [rows, columns].
 *
 * @param {Values} a
 * @param {Values} b
 * @param {Values} out
 * @param {[rows: number, inner: number, columns: number]} size
 * @param {{ a?: Place, b?: Place, out?: Place }} [places] as in `multiply`
 */
export function multiplyTransposed(a, b, out, [rows, inner, columns], places = {}) {
  const ofA = places.a ?? { start: 0, width: inner };
  const ofB = places.b ?? { start: 0, width: inner };
  const ofOut = places.out ?? { start: 0, width: columns };
  for (let column = 0; column < columns; column += 4) {
    const count = Math.min(4, columns - column);
    const b0 = ofB.start + column * ofB.width;
    const b1 = count > 1 ? b0 + ofB.width : b0;
    const b2 = count > 2 ? b1 + ofB.width : b0;
    const b3 = count > 3 ? b2 + ofB.width : b0;
    for (let row = 0; row < rows; row++) {
      const from = ofA.start + row * ofA.width;
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let k = 0; k < inner; k++) {
        const factor = a[from + k];
        s0 += factor * b[b0 + k];
        s1 += factor * b[b1 + k];
        s2 += factor * b[b2 + k];
        s3 += factor * b[b3 + k];
      }
      const to = ofOut.start + row * ofOut.width + column;
      out[to] = s0;
      if (count > 1) out[to + 1] = s1;
      if (count > 2) out[to + 2] = s2;
      if (count > 3) out[to + 3] = s3;
    }
  }
}
