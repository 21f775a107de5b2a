// Weights: numbers of a layer in a base64 buffer, little-endian.

/**
 * Where and how the numbers of an array are stored.
 *
 * @typedef {object} Stored
 * @property {number} offset in bytes
 * @property {number[]} shape
 * @property {'float32' | 'float16' | 'int8'} type
 * @property {number} [scale] of int8: offset of the factors [last axis], float32
 */

/**
 * @param {string} base64
 * @returns {DataView}
 */
export function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = text.charCodeAt(index);
  return new DataView(bytes.buffer);
}

/** @type {Record<string, (view: DataView, place: number) => number>} */
const READ = {
  float32: (view, place) => view.getFloat32(4 * place, true),
  float16: (view, place) => half(view.getUint16(2 * place, true)),
  int8: (view, place) => view.getInt8(place),
};
const BYTES = { float32: 4, float16: 2, int8: 1 };

/** The number of a half-precision float, given by its 16 bits. */
export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Reads an array.
 *
 * @param {DataView} view
 * @param {Stored} stored
 * @param {Float32ArrayConstructor | Float64ArrayConstructor} Float
 * @returns {{ data: Float32Array | Float64Array, shape: number[] }}
 */
export function read(view, stored, Float) {
  const { offset, shape, type } = stored;
  const count = shape.reduce((product, size) => product * size, 1);
  const first = offset / BYTES[type];
  const data = new Float(count);
  for (let index = 0; index < count; index++) data[index] = READ[type](view, first + index);
  if (type === 'int8') {
    const channels = shape.at(-1);
    const factors = read(view, { offset: stored.scale, shape: [channels], type: 'float32' }, Float);
    for (let index = 0; index < count; index++) data[index] *= factors.data[index % channels];
  }
  return { data, shape };
}
