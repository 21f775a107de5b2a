// Which examples of the predictions a reader has selected. Pure functions.

export const NONE = {
  true: null,
  predicted: null,
  show: 'mistakes',
  bin: null,
  order: 'confident',
};

/** The positions of the selected examples, in the chosen order. */
export function matching(predictions, selection) {
  const { bin, confidence, label, predicted } = predictions;
  const fits = place =>
    (selection.true === null || label[place] === selection.true) &&
    (selection.predicted === null || predicted[place] === selection.predicted) &&
    (selection.bin === null || bin[place] === selection.bin) &&
    (selection.show === 'all' ||
      (label[place] === predicted[place]) === (selection.show === 'right'));
  const found = [];
  for (let place = 0; place < label.length; place += 1) {
    if (fits(place)) {
      found.push(place);
    }
  }
  const sign = { confident: -1, uncertain: 1, index: 0 }[selection.order] ?? 0;
  return found.sort((a, b) => sign * (confidence[a] - confidence[b]) || a - b);
}

/** A selection from the keys of an address; invalid values are left out. */
export function fromState(state, classes) {
  const number = (value, count) =>
    Number.isInteger(value) && value >= 0 && value < count ? value : null;
  const word = (value, words, otherwise) => (words.includes(value) ? value : otherwise);
  return {
    true: number(state.true, classes),
    predicted: number(state.predicted, classes),
    bin: number(state.bin, 1000),
    show: word(state.show, ['mistakes', 'right', 'all'], NONE.show),
    order: word(state.order, ['confident', 'uncertain', 'index'], NONE.order),
  };
}

/** The keys of a selection for the address; null for those that are as at the start. */
export function toState(selection) {
  return Object.fromEntries(
    Object.entries(selection).map(([key, value]) => [key, value === NONE[key] ? null : value]),
  );
}

/** The selection of a cell of the matrix: its mistakes, or on the diagonal what is right. */
export function ofCell(truth, predicted) {
  return { ...NONE, true: truth, predicted, show: truth === predicted ? 'right' : 'mistakes' };
}

/** The selection of a bar of the calibration: all its examples. */
export function ofBin(bin) {
  return { ...NONE, bin, show: 'all', order: 'uncertain' };
}
