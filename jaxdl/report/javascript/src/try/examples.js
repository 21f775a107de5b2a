// Examples of the data in the page, and what the network answers to each.

/** Decodes the picture with all examples; returns {count, pixels(i), shape}. */
export async function decoded(examples, channels) {
  const [height, width] = examples.size;
  const picture = new Image();
  picture.src = examples.sprite;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const shape = { height, width, channels };
  function pixels(place) {
    const [row, column] = [Math.floor(place / examples.columns), place % examples.columns];
    const { data } = context.getImageData(column * width, row * height, width, height);
    const found = new Uint8Array(height * width * channels);
    for (let i = 0; i < height * width; i++) {
      for (let channel = 0; channel < channels; channel++) {
        found[i * channels + channel] = data[4 * i + channel];
      }
    }
    return found;
  }
  return { count: examples.index.length, pixels, shape };
}

/** Whether an answer is right; null if the task has no right or wrong answers. */
export function isRight(task, probabilities, label) {
  if (task === 'multi_label') {
    return [...probabilities].every((value, place) => value > 0.5 === label.includes(place));
  }
  if (label === undefined || task === 'regress' || task === 'reconstruct') return null;
  return best(probabilities) === label;
}

/** The place of the greatest number. */
export function best(values) {
  let found = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[found]) found = i;
  return found;
}

/** How certain an answer is: the greatest probability, or of several labels the least certain one. */
export function certainty(task, probabilities) {
  if (task === 'multi_label') {
    return Math.min(...Array.from(probabilities, value => Math.max(value, 1 - value)));
  }
  return probabilities[best(probabilities)];
}

/**
 * The places of the examples that a filter shows, in its order.
 *
 * @param {{right: boolean|null, certainty: number, label}[]} answers as far as they are computed.
 */
export function chosen(answers, filter, ofClass, count) {
  const every = Array.from({ length: count }, (_, place) => place);
  const known = every.filter(place => answers[place]);
  const found = {
    all: () => every,
    right: () => known.filter(place => answers[place].right === true),
    wrong: () => known.filter(place => answers[place].right === false),
    uncertain: () =>
      known
        .slice()
        .sort((a, b) => answers[a].certainty - answers[b].certainty)
        .slice(0, 100),
    worst: () =>
      known
        .slice()
        .sort((a, b) => answers[b].error - answers[a].error)
        .slice(0, 100),
  }[filter]();
  if (ofClass === null) return found;
  return found.filter(place => ofClass(place));
}

/**
 * The greatest value of each channel of an output, and where it is.
 *
 * @param {{data: Float32Array, shape: number[]}} output the last axis has the channels.
 * @returns {{values: Float32Array, places: Int32Array}}
 */
export function maxima({ data, shape }) {
  const channels = shape[shape.length - 1];
  const values = new Float32Array(channels).fill(-Infinity);
  const places = new Int32Array(channels);
  for (let i = 0, channel = 0; i < data.length; i++) {
    if (data[i] > values[channel]) {
      values[channel] = data[i];
      places[channel] = (i - channel) / channels;
    }
    if (++channel === channels) channel = 0;
  }
  return { values, places };
}

/** The best of a list by a score: [place, score], at most `count`, the greatest first. */
export function strongest(scores, count) {
  return scores
    .map((score, place) => [place, score])
    .filter(([, score]) => score !== undefined && Number.isFinite(score))
    .sort((a, b) => b[1] - a[1])
    .slice(0, count);
}
