import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, half, read } from '../src/engine/weights.js';

const view = bytes => decode(Buffer.from(bytes).toString('base64'));

test('half-precision floats', () => {
  const numbers = { 0: 0, 15360: 1, 49152: -2, 13653: 0.333251953125, 31743: 65504 };
  for (const [bits, value] of Object.entries(numbers)) assert.equal(half(Number(bits)), value);
  assert.equal(half(0x0001), 2 ** -24);
  assert.equal(half(0x7c00), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(half(0x7e00)));
});

test('float32, float16 and 8 bits with a factor for each channel', () => {
  const of = (...types) => types.flatMap(array => Array.from(new Uint8Array(array.buffer)));
  const single = of(Float32Array.of(9, 1.5, -2));
  const stored = { offset: 4, shape: [2], type: 'float32' };
  assert.deepEqual(read(view(single), stored, Float32Array).data, Float32Array.of(1.5, -2));
  const short = of(Uint16Array.of(0x3c00, 0xc000));
  const { data } = read(view(short), { offset: 0, shape: [2, 1], type: 'float16' }, Float64Array);
  assert.deepEqual(data, Float64Array.of(1, -2));
  const bytes = of(Int8Array.of(127, -1, 2, 3), Float32Array.of(0.5, 2));
  const found = read(
    view(bytes),
    { offset: 0, shape: [2, 2], type: 'int8', scale: 4 },
    Float32Array,
  );
  assert.deepEqual(found.data, Float32Array.of(63.5, -2, 1, 6));
});
