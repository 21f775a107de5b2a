import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepping } from '../src/page/pointing.js';

function pressing(count) {
  const target = new EventTarget();
  const shown = [];
  const show = stepping(target, count, index => shown.push(index));
  const press = key => target.dispatchEvent(Object.assign(new Event('keydown'), { key }));
  return { press, show, shown };
}

test('arrow keys step through the values and stop at both ends', () => {
  const { press, shown } = pressing(2);
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft', 'ArrowLeft'])
    press(key);
  assert.deepEqual(shown, [0, 1, 1, 0, 0]);
});

test('arrow keys continue from the value under the pointer', () => {
  const { press, show, shown } = pressing(9);
  show(5);
  press('ArrowLeft');
  press('Enter');
  assert.deepEqual(shown, [5, 4]);
});

test('a picture without values shows nothing', () => {
  const { press, shown } = pressing(0);
  press('ArrowRight');
  assert.deepEqual(shown, []);
});
