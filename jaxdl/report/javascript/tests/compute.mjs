// Computes a network for tests: reads {network, cases} from the standard input and writes the
// results as JSON. A case has 'inputs' and, optionally, 'target', 'cam' (a layer), 'at' (layers of
// gradients), 'characters' (a text that is read character by character) and 'repeats' (for times).
import { text } from 'node:stream/consumers';
import * as attribution from '../src/engine/attribution.js';
import { load } from '../src/engine/network.js';

const { network: description, cases } = JSON.parse(await text(process.stdin));
const network = load(description);
const list = values => Array.from(values);
const results = cases.map(compute);
process.stdout.write(JSON.stringify(results));

function compute({ pixels, inputs, target, cam, at = [], rule, characters, repeats = 0 }) {
  const found = {};
  if (pixels) found.prepared = list(network.prepare(pixels));
  const given = inputs ?? found.prepared;
  if (given) {
    const trace = network.forward(given);
    found.outputs = {};
    for (const [name, { data, shape }] of trace.outputs) {
      found.outputs[name] = { data: list(data), shape };
    }
    found.probabilities = list(trace.probabilities);
    if (target !== undefined)
      Object.assign(found, attributions(trace, given, target, cam, at, rule));
    found.milliseconds = timed(given, repeats);
  }
  if (characters) found.steps = readOn(characters);
  return found;
}

function attributions(trace, inputs, target, cam, at, rule) {
  const seed = new Float32Array(trace.logits.length);
  seed[target] = 1;
  const found = { gradients: {} };
  for (const name of at) {
    found.gradients[name] = list(network.gradient(trace, seed, { at: name, rule }));
  }
  if (network.isText) return found;
  found.saliency = list(attribution.saliency(network, inputs, target));
  found.gradientTimesInput = list(attribution.gradientTimesInput(network, inputs, target));
  found.integrated = list(attribution.integratedGradients(network, inputs, target, { steps: 8 }));
  if (cam) {
    const { map, upsampled } = attribution.gradCam(network, inputs, target, cam);
    Object.assign(found, { cam: list(map), upsampled: list(upsampled) });
  }
  return found;
}

function readOn(characters) {
  let state = network.start();
  return characters.map(character => {
    const after = network.step(state, character);
    state = after.state;
    return list(after.logits);
  });
}

/** The median time of a forward pass in milliseconds. */
function timed(inputs, repeats) {
  const times = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const start = performance.now();
    network.forward(inputs);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)];
}
