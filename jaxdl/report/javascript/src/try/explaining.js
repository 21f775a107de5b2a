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
export function camLayer(description) {
  const maps = description.layers.filter(
    layer => layer.output_shape.length === 3 && layer.kind !== 'reshape',
  );
  const enough = maps.filter(layer => layer.output_shape[0] * layer.output_shape[1] >= PLACES);
  const found = enough.length ? enough : maps;
  return found[found.length - 1]?.name;
}

/**
 * Explains one logit.
 *
 * @returns {{map: Float32Array, layer?: string, empty: boolean}} a map [H · W]: the sum over the
 *   channels of the pixels, or for Grad-CAM the enlarged map of a layer.
 */
export function explain(method, run, description, inputs, target, { channels }) {
  if (method === 'cam') {
    const layer = camLayer(description);
    const found = run.other(network => attribution.gradCam(network, inputs, target, layer));
    const map = found.upsampled ?? found;
    return { map, layer, empty: !map.some(value => value > 0) };
  }
  const compute = {
    saliency: network => attribution.saliency(network, inputs, target),
    gradient: network => attribution.gradientTimesInput(network, inputs, target),
    integrated: network =>
      attribution.integratedGradients(network, inputs, target, { steps: STEPS, baseline: 0 }),
  }[method];
  const found = run.other(compute);
  const values = found.maps ?? found;
  const map = new Float32Array(values.length / channels);
  values.forEach((value, place) => {
    map[Math.floor(place / channels)] += value;
  });
  return { map, empty: false };
}
