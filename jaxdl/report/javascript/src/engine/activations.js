// Activations: elementwise functions f, and their slopes f′.

/**
 * @typedef {import('./matrix.js').Values} Values
 */

/**
 * @typedef {object} Activation
 * @property {(x: number) => number} of f(x)
 * @property {(x: number, y: number) => number} slope f′(x), where y = f(x)
 */

/** √(2/π), of the approximation of GELU by tanh (Hendrycks & Gimpel 2016). */
const ROOT = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** 1 / (1 + exp(−x)), also exact for large negative numbers. */
export const sigmoid = x => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** @type {Record<string, Activation>} */
export const ACTIVATIONS = {
  relu: { of: x => Math.max(x, 0), slope: x => (x > 0 ? 1 : 0) },
  tanh: { of: Math.tanh, slope: (_, y) => 1 - y * y },
  sigmoid: { of: sigmoid, slope: (_, y) => y * (1 - y) },
  elu: { of: x => (x > 0 ? x : Math.expm1(x)), slope: x => (x > 0 ? 1 : Math.exp(x)) },
  gelu: {
    of: x => 0.5 * x * (1 + Math.tanh(ROOT * (x + CUBIC * x ** 3))),
    slope: x => {
      const t = Math.tanh(ROOT * (x + CUBIC * x ** 3));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * CUBIC * x * x);
    },
  },
};

/**
 * Applies an activation.
 *
 * @param {string} name a key of ACTIVATIONS
 * @param {Values} sums
 * @returns {Values} a new array
 */
export function activate(name, sums) {
  const { of } = ACTIVATIONS[name];
  const out = sums.slice();
  for (let index = 0; index < out.length; index++) out[index] = of(sums[index]);
  return out;
}

/**
 * The gradient with respect to the inputs of an activation.
 *
 * @param {string} name a key of ACTIVATIONS
 * @param {Values} gradient of the outputs
 * @param {Values} sums the inputs
 * @param {Values} outputs
 * @param {'plain' | 'guided'} rule 'guided' for guided back-propagation (Springenberg et al. 2015):
 *   a ReLU passes only positive gradients
 * @returns {Values} a new array
 */
export function backActivation(name, gradient, sums, outputs, rule) {
  const { slope } = ACTIVATIONS[name];
  const out = gradient.slice();
  for (let index = 0; index < out.length; index++) {
    const signal = rule === 'guided' && gradient[index] < 0 ? 0 : gradient[index];
    out[index] = signal * slope(sums[index], outputs[index]);
  }
  return out;
}
