// A text as a language model reads it: character by character, each read once.

/** Splits a text into positions in the vocabulary and the unknown characters. */
export function encode(text, classes) {
  const places = new Map(classes.map((character, place) => [character, place]));
  const found = { indices: [], unknown: [] };
  for (const character of text.normalize('NFC')) {
    const place = places.get(character);
    if (place !== undefined) found.indices.push(place);
    else if (!found.unknown.includes(character)) found.unknown.push(character);
  }
  return found;
}

/** Reads texts; the part that is the same as before is not read again. */
export function reader(network) {
  const read = []; // of each character: {index, state, probabilities, logits, outputs}

  /** Keeps the common beginning with a text; returns the number of characters kept. */
  function keep(indices) {
    let same = 0;
    while (same < read.length && same < indices.length && read[same].index === indices[same])
      same++;
    read.length = same;
    return same;
  }

  /** Reads one more character. */
  function next(index) {
    const before = read.length ? read[read.length - 1].state : network.start();
    const found = network.step(before, index);
    const outputs = new Map();
    for (const [name, output] of found.outputs) {
      outputs.set(name, { data: Float32Array.from(output.data), shape: output.shape });
    }
    read.push({
      index,
      state: found.state,
      probabilities: Float32Array.from(found.probabilities),
      logits: Float32Array.from(found.logits),
      outputs,
    });
  }

  /** −log2 of the probability of a character; null for the first, which is not predicted. */
  function bits(place) {
    if (place === 0) return null;
    return -Math.log2(Math.max(1e-30, read[place - 1].probabilities[read[place].index]));
  }

  return {
    keep,
    next,
    bits,
    get read() {
      return read;
    },
  };
}

/**
 * Draws a character.
 *
 * @param {Float32Array} logits
 * @param {number} temperature 0 for the most probable character.
 * @param {number} share a random number in 0..1.
 */
export function drawn(logits, temperature, share) {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[top]) top = i;
  if (temperature === 0) return top;
  const weights = Array.from(logits, value => Math.exp((value - logits[top]) / temperature));
  let left = share * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i];
    if (left < 0) return i;
  }
  return top;
}
