import assert from 'node:assert/strict';
import test from 'node:test';
import { format, merged, parse } from '../src/live/address.js';
import { classesToShow } from '../src/live/compare.js';
import { mistakesOf } from '../src/live/mistakes.js';
import { missedAfter, secondsTo } from '../src/live/reload.js';
import { fromState, matching, NONE, ofBin, ofCell, toState } from '../src/live/selection.js';

const PREDICTIONS = {
  label: [0, 1, 1, 2, 2],
  predicted: [0, 1, 2, 2, 1],
  confidence: [1000, 500, 900, 501, 700],
  bin: [1, 0, 1, 1, 1],
};

test('the address holds short values, and returns them', () => {
  const state = { image: 12, layer: 'conv 2', drawing: 'x'.repeat(100), list: [1] };
  assert.equal(format(state), '#image=12&layer=conv+2');
  assert.deepEqual(parse('#image=12&layer=conv+2'), { image: 12, layer: 'conv 2' });
  assert.deepEqual(parse('#learning-curves'), {}, 'an anchor is not a state');
  assert.deepEqual(parse('#layer=1e5'), { layer: '1e5' });
  assert.equal(format({}), '');
});

test('null removes a key of the state', () => {
  assert.deepEqual(merged({ image: 1, layer: 'a' }, { image: null, channel: 0 }), {
    layer: 'a',
    channel: 0,
  });
});

test('selections choose and order the examples', () => {
  assert.deepEqual(matching(PREDICTIONS, NONE), [2, 4], 'mistakes, the most confident first');
  assert.deepEqual(matching(PREDICTIONS, { ...NONE, order: 'uncertain' }), [4, 2]);
  assert.deepEqual(matching(PREDICTIONS, ofCell(1, 2)), [2]);
  assert.deepEqual(matching(PREDICTIONS, ofCell(1, 1)), [1]);
  assert.deepEqual(
    matching(PREDICTIONS, { ...NONE, show: 'all', order: 'index' }),
    [0, 1, 2, 3, 4],
  );
  assert.deepEqual(matching(PREDICTIONS, ofBin(0)), [1]);
  assert.deepEqual(matching(PREDICTIONS, ofBin(1)), [3, 4, 2, 0]);
});

test('a selection survives the address, and invalid values do not', () => {
  const selection = ofCell(1, 2);
  assert.deepEqual(toState(selection), {
    true: 1,
    predicted: 2,
    show: null,
    bin: null,
    order: null,
  });
  assert.deepEqual(fromState(parse(format(merged({}, toState(selection)))), 3), selection);
  assert.deepEqual(fromState({ true: 7, predicted: 'x', show: '<b>', order: 3, bin: -1 }, 3), NONE);
});

test('pages that are not written are counted, and waited for longer', () => {
  assert.equal(missedAfter(null, '5'), 0);
  assert.equal(missedAfter({ written: '4', missed: 3 }, '5'), 0);
  assert.equal(missedAfter({ written: '5', missed: 3 }, '5'), 4);
  assert.deepEqual(
    [0, 1, 4].map(missed => secondsTo(2, missed)),
    [2.5, 4.5, 10.5],
  );
});

test('mistakes are listed with the most confident first', () => {
  const found = mistakesOf([
    { index: 0, label: 1, probabilities: [0.6, 0.4] },
    { index: 1, label: 0, probabilities: [0.6, 0.4] },
    { index: 2, label: 0, probabilities: [0.1, 0.9] },
  ]);
  assert.deepEqual(found, [
    { index: 2, label: 0, predicted: 1, confidence: 0.9 },
    { index: 0, label: 1, predicted: 0, confidence: 0.6 },
  ]);
});

test('the most probable classes of all runs are compared, in their order', () => {
  const probabilities = [
    [0.1, 0.7, 0.2, 0],
    [0.6, 0.1, 0.3, 0],
  ];
  assert.deepEqual(classesToShow(probabilities, 2), [0, 1]);
  assert.deepEqual(classesToShow(probabilities, 9), [0, 1, 2, 3]);
});
