// Weights: numbers of a layer in a base64 buffer, little-endian.

/**
 * Where and how the numbers of an array are stored.
 *
 * @typedef {object} Stored
 * @property {number} offset in bytes
 * @property {number[]} shape
 * @property {'float32' | 'int16' | 'int8'} type
 * @property {number} [scale] of integers: offset of the factors [last axis], float32
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
  int16: (view, place) => view.getInt16(2 * place, true),
  int8: (view, place) => view.getInt8(place),
};
const BYTES = { float32: 4, int16: 2, int8: 1 };

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
  if (type !== 'float32') {
    const channels = shape.at(-1);
    const factors = read(view, { offset: stored.scale, shape: [channels], type: 'float32' }, Float);
    for (let index = 0; index < count; index++) data[index] *= factors.data[index % channels];
  }
  return { data, shape };
}
