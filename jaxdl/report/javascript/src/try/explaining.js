// Maps of the pixels that an answer depends on.
import * as attribution from '../engine/attribution.js';

export const NAMES = {
  saliency: 'Saliency',
  gradient: 'Gradient × input',
  integrated: 'Integrated gradients',
  cam: 'Grad-CAM',
};
const STEPS = 16; // of integrated gradients
const PLACES = 16; // positions of a layer: Grad-CAM of fewer is too coarse

/** The last layer of maps with enough positions; the last of all if none has. */
export function camLayer(network) {
  const maps = network.layers.filter(
    layer => layer.outputShape.length === 3 && !['reshape', 'dropout'].includes(layer.kind),
  );
  const enough = maps.filter(layer => layer.outputShape[0] * layer.outputShape[1] >= PLACES);
  const found = enough.length ? enough : maps;
  return found[found.length - 1]?.name;
}

/**
 * Explains one logit.
 *
 * @returns {{map: Float32Array, layer?: string, empty: boolean}} a map [H · W]: the sum over the
 *   channels of the pixels, or for Grad-CAM the enlarged map of a layer.
 */
export function explain(method, network, inputs, target, { channels }) {
  if (method === 'cam') {
    const layer = camLayer(network);
    const { upsampled } = attribution.gradCam(network, inputs, target, layer);
    return { map: upsampled, layer, empty: !upsampled.some(value => value > 0) };
  }
  const values = {
    saliency: attribution.saliency,
    gradient: attribution.gradientTimesInput,
    integrated: (...given) => attribution.integratedGradients(...given, { steps: STEPS }),
  }[method](network, inputs, target);
  const map = new Float32Array(values.length / channels);
  values.forEach((value, place) => {
    map[Math.floor(place / channels)] += value;
  });
  return { map, empty: false };
}
