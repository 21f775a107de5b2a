/**
 * Limits of an axis.
 *
 * @param {number[]} values the values, in any order
 * @param {string} cut 'high' or 'low': the end at which the first steps may lie outside; '' for none
 * @returns {[number, number]}
 */
export function limits(values, cut) {
  const sorted = values.toSorted((a, b) => a - b);
  let [low, high] = [sorted[0], sorted[sorted.length - 1]];
  if (cut === 'low') low = sorted[Math.floor(sorted.length * 0.02)];
  if (cut === 'high') high = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.98))];
  if (high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high), 1e-200)) {
    const margin = Math.abs(low) / 2 || 0.5; // a constant is shown in the middle
    [low, high] = [low - margin, high + margin];
  }
  return [low, high];
}

/** Four to eight round numbers from low to high. */
export function ticks(low, high) {
  const span = high - low || 1;
  const unit = 10 ** Math.floor(Math.log10(span));
  const step = [0.1, 0.2, 0.25, 0.5, 1, 2].map(f => unit * f).find(one => span / one <= 7);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n <= Math.floor(high / step + 1e-9); n++) {
    found.push(Number((n * step).toPrecision(10)));
  }
  return found;
}

/** Ticks of a logarithmic axis: 1, 2 and 5 times the powers of ten, or the powers alone. */
export function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of [1, 2, 5]) found.push(Number((factor * 10 ** power).toPrecision(6)));
  }
  const inside = found.filter(value => value >= low * 0.999 && value <= high * 1.001);
  if (inside.length <= 8) return inside.length > 1 ? inside : ticks(low, high);
  return inside.filter(value => Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6));
}

/**
 * Texts of ticks in one form: all with the same decimals, or all as multiples of a power of ten.
 *
 * @param {number[]} values
 * @returns {{texts: string[], power: number}} the numbers are the texts times 10 ** power
 */
export function labels(values) {
  const greatest = Math.max(...values.map(Math.abs));
  const power =
    greatest > 0 && (greatest < 0.01 || greatest >= 1e5) ? Math.floor(Math.log10(greatest)) : 0;
  const scaled = values.map(value => Number((value / 10 ** power).toPrecision(8)));
  const decimals = Math.max(...scaled.map(value => (String(value).split('.')[1] || '').length));
  return { texts: scaled.map(value => value.toFixed(decimals)), power };
}

/**
 * An exponential moving average without bias towards the first value.
 *
 * @param {number[]} values
 * @param {number} weight 0 (as they are) to below 1
 */
export function smoothed(values, weight) {
  let [mean, total] = [0, 0];
  return values.map(value => {
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}
