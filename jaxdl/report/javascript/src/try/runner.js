// Runs the network; the last input is computed once.

/** Inputs of a network from pixels in 0..255, also of data sets that are stored in 0..1. */
export function prepared(network, pixels) {
  const stored = network.description.input.divide_by === 255;
  return network.prepare(stored ? pixels : Float32Array.from(pixels, value => value / 255));
}

/** Wraps a network: `trace(inputs)`, `prepare(pixels)` and `cost()`, milliseconds of a trace. */
export function runner(network) {
  let last = null;
  let cost = 0;

  function trace(inputs) {
    if (last?.inputs === inputs) return last.trace;
    const began = performance.now();
    last = { inputs, trace: network.forward(inputs) };
    const took = performance.now() - began;
    cost = cost ? 0.7 * cost + 0.3 * took : took;
    return last.trace;
  }

  return { network, trace, cost: () => cost, prepare: pixels => prepared(network, pixels) };
}

/** A seed for `network.gradient`: 1 at one logit. */
export function seedOf(count, target) {
  const seed = new Float32Array(count);
  seed[target] = 1;
  return seed;
}
