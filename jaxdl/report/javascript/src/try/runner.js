// Runs the network. A trace is valid until the next run, whose arrays may be the same memory.

/** Wraps a network; `trace(inputs)` computes only if another run came between. */
export function runner(network) {
  let last = null;
  let cost = 0; // milliseconds of a forward pass

  function trace(inputs) {
    if (last?.inputs === inputs) return last.trace;
    const began = performance.now();
    last = { inputs, trace: network.forward(inputs) };
    const took = performance.now() - began;
    cost = cost ? 0.7 * cost + 0.3 * took : took;
    return last.trace;
  }

  /** Runs other computations with the network, after which the trace is computed again. */
  function other(compute) {
    last = null;
    return compute(network);
  }

  return { network, trace, other, cost: () => cost };
}

/** A seed for `network.gradient`: 1 at one logit. */
export function seedOf(count, target) {
  const seed = new Float32Array(count);
  seed[target] = 1;
  return seed;
}
