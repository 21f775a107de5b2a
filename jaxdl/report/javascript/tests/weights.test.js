import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, read } from '../src/engine/weights.js';

const view = bytes => decode(Buffer.from(bytes).toString('base64'));

test('float32, and 16 and 8 bits with a factor for each channel', () => {
  const of = (...types) => types.flatMap(array => Array.from(new Uint8Array(array.buffer)));
  const single = of(Float32Array.of(9, 1.5, -2));
  const stored = { offset: 4, shape: [2], type: 'float32' };
  assert.deepEqual(read(view(single), stored, Float32Array).data, Float32Array.of(1.5, -2));
  const short = of(Int16Array.of(32767, -300), Float32Array.of(0.5, 2));
  const wide = { offset: 0, shape: [1, 2], type: 'int16', scale: 4 };
  assert.deepEqual(read(view(short), wide, Float64Array).data, Float64Array.of(16383.5, -600));
  const bytes = of(Int8Array.of(127, -1, 2, 3), Float32Array.of(0.5, 2));
  const found = read(
    view(bytes),
    { offset: 0, shape: [2, 2], type: 'int8', scale: 4 },
    Float32Array,
  );
  assert.deepEqual(found.data, Float32Array.of(63.5, -2, 1, 6));
});
