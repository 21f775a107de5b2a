// The weights of one channel as a picture.

const MOST = 64; // input channels of a filter that are drawn

/**
 * The filter of a channel.
 *
 * @returns {{data, shape, text, colours?}|null} numbers [H, W, C]: of a convolution, its kernel for
 *   each input channel; of a dense unit, its weights, arranged as the maps that it reads; of a
 *   recurrent unit, its weights from the inputs for each gate.
 */
export function filterOf(description, network, layer, channel) {
  const kernel = layer.weights.kernel ?? layer.weights.input_kernel;
  if (!kernel) return null;
  const { shape } = kernel;
  const values = network.weights(layer.name, layer.weights.kernel ? 'kernel' : 'input_kernel');
  if (layer.kind === 'conv' || layer.kind === 'depthwise_conv') {
    return ofConvolution(layer, shape, values, channel);
  }
  if (layer.kind === 'dense') return ofDense(description, layer, shape, values, channel);
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

function ofDense(description, layer, [inputs, outputs], values, channel) {
  const data = new Float32Array(inputs);
  for (let from = 0; from < inputs; from++) data[from] = values[from * outputs + channel];
  const before = mapsBefore(description, layer, inputs);
  return {
    data,
    shape: before ?? [inputs],
    text: `Its ${inputs} weights${before ? ', as the maps that it reads' : ''}`,
  };
}

// The shape of the maps that were flattened before a layer; null if there are none.
function mapsBefore(description, layer, inputs) {
  const place = description.layers.indexOf(layer);
  for (const before of description.layers.slice(0, place).reverse()) {
    const shape = before.output_shape;
    if (shape.length === 3 && shape[0] * shape[1] * shape[2] === inputs) return shape;
    if (!['flatten', 'dropout'].includes(before.kind)) return null;
  }
  return null;
}
