// "Try it" for autoencoders: an input, its code as sliders, and its reconstruction.
import { element, number } from './dom.js';
import { layers } from './layers.js';
import { announce, connect, exampleStrip, inputs, voice } from './parts.js';
import { drawImage, onColours } from './pictures.js';
import { rotated } from './scaling.js';

const MOST = 128; // sliders
const SAMPLE = 12; // examples whose codes give the range of the sliders

/** The name of the layer with the code: the smallest output. */
export function codeLayer(network) {
  const flat = network.layers.filter(layer => layer.outputShape.length === 1);
  if (!flat.length) return null;
  return flat.reduce((a, b) => (b.outputShape[0] < a.outputShape[0] ? b : a)).name;
}

/** Starts the section. */
export function start(section, { description, run, examples, settings }) {
  const { image } = settings;
  const { height, width, channels } = image;
  const find = selector => section.querySelector(selector);
  const speaker = voice(section);
  const headline = find('.headline');
  const rotation = find('[data-set="rotation"]');
  const layer = codeLayer(run.network);
  const state = { pixels: null, inputs: null, place: null, code: null };

  const turned = pixels =>
    rotation && Number(rotation.value)
      ? rotated(pixels, height, width, channels, Number(rotation.value))
      : pixels;
  const prepare = pixels => run.prepare(pixels);
  const strip = exampleStrip(section, {
    examples,
    description,
    run,
    channels,
    prepare,
    error: (trace, _, pixels) => error(trace.probabilities, pixels),
    picked: (place, pixels) => {
      board.clear();
      given(pixels, place);
    },
    progress: () => inside.refreshStrongest(),
  });
  const inside = layers(find('.try-layers'), {
    run,
    strip,
    current: () => state.inputs && { inputs: state.inputs, target: null },
    targetName: () => '',
    effect,
    changed: tell,
  });
  const board = inputs(section, { settings, voice: speaker, given: pixels => given(pixels) });

  function effect(trace, without) {
    let sum = 0;
    without.probabilities.forEach((value, i) => {
      sum += (value - trace.probabilities[i]) ** 2;
    });
    const change = Math.sqrt(sum / without.probabilities.length);
    return `the pixels change by ${number(change)} (root mean square, of 0 to 1).`;
  }

  function error(found, pixels) {
    let sum = 0;
    found.forEach((value, i) => {
      sum += (value - pixels[i] / 255) ** 2;
    });
    return sum / found.length;
  }

  function given(pixels, place = null) {
    Object.assign(state, { pixels, place });
    if (place === null) strip.select(null);
    encode();
    tell();
  }

  function encode() {
    const seen = turned(state.pixels);
    drawImage(find('.seen-picture'), seen, image);
    state.inputs = prepare(seen);
    const trace = run.trace(state.inputs);
    if (layer) state.code = Float32Array.from(trace.outputs.get(layer).data);
    shown(trace.probabilities, rotation ? 'to the upright input' : 'to the input');
    showCode();
    inside.show();
  }

  function shown(found, of) {
    drawImage(find('.output-picture'), found, image, true);
    headline.textContent = `Mean squared error ${number(error(found, state.pixels))} ${of}.`;
    speaker.say(headline.textContent);
  }

  // The code.
  const sliders = [];
  const box = find('.code-sliders');
  function makeSliders(range) {
    if (!layer) {
      find('.code-note').textContent = 'The network has no layer without positions.';
      return;
    }
    const count = Math.min(MOST, state.code.length);
    if (count < state.code.length) {
      find('.code-note').textContent = `The first ${count} of ${state.code.length} numbers.`;
    }
    for (let i = 0; i < count; i++) {
      const slider = element('input', { type: 'range', min: -range, max: range, step: 'any' });
      slider.addEventListener('input', () => {
        state.code[i] = Number(slider.value);
        slider.title = number(state.code[i]);
        const trace = run.network.from(layer, state.code, run.trace(state.inputs));
        shown(trace.probabilities, 'to the input, with the changed code');
      });
      sliders.push(slider);
      box.append(element('label', {}, element('span', { text: i + 1 }), slider));
    }
    showCode();
  }

  function showCode() {
    sliders.forEach((slider, i) => {
      slider.value = state.code[i];
      slider.title = number(state.code[i]);
      slider.setAttribute('aria-valuetext', number(state.code[i]));
    });
  }

  function range(images) {
    let found = Math.max(...Array.from(state.code, Math.abs));
    for (let place = 0; place < Math.min(SAMPLE, images?.count ?? 0); place++) {
      const trace = run.network.forward(prepare(images.pixels(place)));
      for (const value of trace.outputs.get(layer).data) found = Math.max(found, Math.abs(value));
    }
    return 1.2 * found || 1;
  }

  find('[data-do="code"]').addEventListener('click', encode);
  function turn() {
    find('output.rotation').textContent = `${rotation.value.replace('-', '−')}°`;
    encode();
  }
  rotation?.addEventListener('input', () => {
    turn();
    tell();
  });

  let quiet = true; // until the first example is shown
  function tell() {
    if (quiet) return;
    announce({
      image: state.place === null ? null : examples.index[state.place],
      drawing: board.drawing(),
      rotation: rotation ? Number(rotation.value) || null : null,
      ...inside.state(),
    });
  }

  function restore(wanted) {
    board.restore(wanted.drawing);
    if (rotation && Number.isFinite(Number(wanted.rotation))) {
      rotation.value = wanted.rotation;
      turn();
    }
    inside.restore(wanted);
  }

  onColours(() => inside.show());
  connect({
    examples,
    ready: strip.ready,
    pick: place => strip.ready.then(() => strip.pick(place)),
    restore,
  });
  given(new Uint8Array(height * width * channels).fill(settings.drawing?.light ? 255 : 0));
  return strip.ready.then(images => {
    if (images) strip.pick(0);
    quiet = false;
    makeSliders(layer ? range(images) : 1);
  });
}
