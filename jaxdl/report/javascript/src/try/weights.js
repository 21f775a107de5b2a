// The weights of one channel as a picture.

const GATES = {
  1: '',
  3: ', a row for each gate: update, reset, candidate',
  4: ', a row for each gate: input, forget, candidate, output',
};
const MOST = 64; // input channels of a filter that are drawn

/**
 * The filter of a channel.
 *
 * @returns {{data, shape, text, colours?}|null} numbers [H, W, C]: of a convolution, its kernel for
 *   each input channel; of a dense unit, its weights, arranged as the maps that it reads; of a
 *   recurrent unit, its weights from the inputs for each gate.
 */
export function filterOf(network, layer, channel) {
  const kernel = layer.weights.kernel ?? layer.weights.input_kernel;
  if (!kernel) return null;
  const { data, shape } = kernel;
  if (layer.kind === 'conv' || layer.kind === 'depthwise_conv') {
    return ofConvolution(layer, shape, data, channel);
  }
  if (layer.kind === 'dense') return ofDense(network, layer, shape, data, channel);
  if (layer.weights.input_kernel) return ofRecurrent(layer, shape, data, channel);
  return null;
}

function ofConvolution(layer, [height, width, inputs, outputs], values, channel) {
  const shown = Math.min(MOST, inputs);
  const data = new Float32Array(height * width * shown);
  for (let place = 0; place < height * width; place++) {
    for (let from = 0; from < shown; from++) {
      data[place * shown + from] = values[(place * inputs + from) * outputs + channel];
    }
  }
  const text = `Its filter: ${height} × ${width} × ${inputs}`;
  const found = { data, shape: [height, width, shown], text };
  if (inputs === 3 && layer.sources?.includes('')) {
    const [low, high] = [Math.min(...data), Math.max(...data)];
    const colours = data.map(value => (value - low) / (high - low || 1));
    return { ...found, colours, height, width };
  }
  if (shown < inputs) found.text += ` (the first ${shown})`;
  return found;
}

function ofDense(network, layer, [inputs, outputs], values, channel) {
  const data = new Float32Array(inputs);
  for (let from = 0; from < inputs; from++) data[from] = values[from * outputs + channel];
  const before = mapsBefore(network, layer, inputs);
  return {
    data,
    shape: before ?? [inputs],
    text: `Its ${inputs} weights${before ? ', as the maps that it reads' : ''}`,
  };
}

// The shape of the maps that were flattened before a layer; null if there are none.
function mapsBefore(network, layer, inputs) {
  const place = network.layers.indexOf(layer);
  for (const before of network.layers.slice(0, place).reverse()) {
    const shape = before.outputShape;
    if (shape.length === 3 && shape[0] * shape[1] * shape[2] === inputs) return shape;
    if (!['flatten', 'dropout'].includes(before.kind)) return null;
  }
  return null;
}

// The weights from the inputs, one row for each gate.
function ofRecurrent(layer, [inputs, width], values, unit) {
  const units = layer.outputShape.at(-1);
  const gates = width / units;
  const data = new Float32Array(gates * inputs);
  for (let gate = 0; gate < gates; gate++) {
    for (let from = 0; from < inputs; from++) {
      data[gate * inputs + from] = values[from * width + gate * units + unit];
    }
  }
  const names = GATES[gates];
  return { data, shape: [gates, inputs], text: `Its weights from the inputs${names}` };
}
