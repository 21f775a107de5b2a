// "Try it" for networks that classify images, give them several labels or predict values.
import { bars } from './bars.js';
import { eachFrame, number, percent, signed } from './dom.js';
import { best } from './examples.js';
import { explain, NAMES } from './explaining.js';
import { layers } from './layers.js';
import { announce, connect, exampleStrip, inputs, namesOf, voice } from './parts.js';
import { drawImage, drawOver, greatest, onColours } from './pictures.js';

const LATER = 120; // milliseconds without a change, after which the explanation is computed
const COVER = 0.2; // side of the window that the pointer covers, as a share of the image

/** Starts the section. */
export function start(section, { description, run, examples, settings }) {
  const { task } = description;
  const classes = namesOf(description);
  const { image } = settings;
  const find = selector => section.querySelector(selector);
  const speaker = voice(section);
  const picture = find('.seen-picture');
  const cover = find('.cover');
  const note = find('.explain-note');
  const headline = find('.headline');
  const method = find('[data-set="method"]');
  const state = { pixels: null, inputs: null, label: undefined, place: null, chosen: null };
  let timer = null;

  const showLayers = eachFrame(() => inside.show()); // after the bars

  const target = () => state.chosen ?? best(run.trace(state.inputs).probabilities);
  const answer = bars(find('.bars'), { classes, task: task.name, choose });
  const strip = exampleStrip(section, {
    examples,
    description,
    run,
    channels: image.channels,
    prepare: pixels => run.prepare(pixels),
    error: (trace, place) => {
      const truth = examples.value?.[place];
      if (!truth) return 0;
      return truth.reduce((sum, value, i) => sum + (trace.probabilities[i] - value) ** 2, 0);
    },
    picked: (place, pixels) => {
      board.clear();
      given(pixels, { label: strip.labelOf(place), place });
    },
    progress: () => inside.refreshStrongest(),
  });
  const inside = layers(find('.try-layers'), {
    run,
    strip,
    current: () => state.inputs && { inputs: state.inputs, target: target() },
    targetName: place => classes[place],
    effect,
    changed: tell,
  });
  const board = inputs(section, {
    settings,
    voice: speaker,
    given: (pixels, origin) => given(pixels, { origin }),
  });

  function given(pixels, { label, place = null, origin } = {}) {
    Object.assign(state, { pixels, label, place, chosen: null });
    if (place === null) strip.select(null);
    if (origin === 'drawing') speaker.show('');
    state.inputs = run.prepare(pixels);
    show();
    tell();
  }

  function show() {
    if (!state.inputs) return;
    const { probabilities } = run.trace(state.inputs);
    const explained = target();
    answer.show(probabilities, state.label, explained);
    const text = said(probabilities);
    headline.textContent = text;
    speaker.say(text);
    cover.hidden = true;
    note.textContent = resting();
    drawImage(picture, state.pixels, image);
    showLayers();
    clearTimeout(timer);
    if (method.value) timer = setTimeout(showMap, LATER);
  }

  function effect(trace, without, at) {
    if (task.name === 'regress') {
      return `${number(trace.probabilities[at])} → ${number(without.probabilities[at])}.`;
    }
    const logits = [trace, without].map(one => number(one.logits[at])).join(' → ');
    const shares = [trace, without].map(one => percent(one.probabilities[at])).join(' → ');
    return `logit ${logits} (${shares}).`;
  }

  function said(probabilities) {
    if (task.name === 'regress') {
      return classes.map((name, i) => `${name} ${number(probabilities[i])}`).join(', ');
    }
    if (task.name === 'multi_label') {
      const found = classes.filter((_, i) => probabilities[i] > 0.5);
      return found.join(', ') || 'no label';
    }
    const top = best(probabilities);
    return `${classes[top]}, ${percent(probabilities[top])}`;
  }

  function resting() {
    const covers = 'Point at the picture to cover a part of it.';
    return method.value ? `${NAMES[method.value]} …` : covers;
  }

  function showMap() {
    const at = target();
    const found = explain(method.value, run.network, state.inputs, at, image);
    drawOver(picture, state.pixels, image, found.map, greatest(found.map));
    const about = `${NAMES[method.value]} for ${classes[at]}${found.layer ? ` (${found.layer})` : ''}`;
    note.textContent = found.empty
      ? `${about}: nothing positive.`
      : `${about}: blue is evidence for it${method.value === 'cam' ? '' : ', orange against it'}.`;
  }

  function choose(place) {
    state.chosen = place === state.chosen ? null : place;
    show();
    tell();
  }

  method.addEventListener('change', () => {
    show();
    tell();
  });

  // Covering: a window with the mean of the image, as in the analysis `occlusion`.
  let covering = [0.5, 0.5];
  function covered(x, y) {
    const side = Math.max(1, Math.round(COVER * Math.min(image.height, image.width)));
    const clip = (value, size) => Math.max(0, Math.min(size - side, Math.round(value - side / 2)));
    const [left, top] = [clip(x * image.width, image.width), clip(y * image.height, image.height)];
    const pixels = Uint8Array.from(state.pixels);
    for (let channel = 0; channel < image.channels; channel++) {
      let sum = 0;
      for (let i = channel; i < pixels.length; i += image.channels) sum += state.pixels[i];
      const mean = (sum * image.channels) / pixels.length;
      for (let row = top; row < top + side; row++) {
        for (let column = left; column < left + side; column++) {
          pixels[(row * image.width + column) * image.channels + channel] = mean;
        }
      }
    }
    const at = target();
    const before = run.trace(state.inputs).logits[at];
    const trace = run.network.forward(run.prepare(pixels));
    answer.show(trace.probabilities, state.label, at);
    const after = trace.logits[at];
    note.textContent =
      `Covered: ${task.name === 'regress' ? 'value' : 'logit'} of ${classes[at]} ` +
      `${number(before)} → ${number(after)} (${signed(after - before)}).`;
    const share = (value, size) => `${(100 * value) / size}%`;
    cover.hidden = false;
    const [w, h] = [
      Math.min(1, image.width / image.height),
      Math.min(1, image.height / image.width),
    ];
    Object.assign(cover.style, {
      left: `calc(${50 * (1 - w)}% + ${w} * ${share(left, image.width)})`,
      top: `calc(${50 * (1 - h)}% + ${h} * ${share(top, image.height)})`,
      width: `calc(${w} * ${share(side, image.width)})`,
      height: `calc(${h} * ${share(side, image.height)})`,
    });
  }

  function point(event) {
    if (!state.inputs || (run.cost() > LATER && event.type === 'pointermove')) return;
    const at = picture.getBoundingClientRect();
    covering = [(event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height];
    covered(...covering);
  }
  picture.addEventListener('pointermove', point);
  picture.addEventListener('pointerdown', point);
  picture.addEventListener('pointerleave', uncover);
  picture.addEventListener('blur', uncover);
  picture.addEventListener('keydown', event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (event.key === 'Escape') uncover();
    if (!move || !state.inputs) return;
    event.preventDefault();
    covering = covering.map((value, i) => Math.min(1, Math.max(0, value + 0.08 * move[i])));
    covered(...covering);
    speaker.say(note.textContent);
  });
  function uncover() {
    if (!cover.hidden) show();
  }

  let quiet = true; // until the first example is shown
  function tell() {
    if (quiet) return;
    announce({
      image: state.place === null ? null : examples.index[state.place],
      drawing: board.drawing(),
      class: state.chosen,
      method: method.value || null,
      ...inside.state(),
    });
  }

  function restore(wanted) {
    if (wanted.class !== undefined && wanted.class !== null && classes[wanted.class]) {
      state.chosen = Number(wanted.class);
    }
    if (wanted.method && NAMES[wanted.method]) method.value = wanted.method;
    board.restore(wanted.drawing);
    inside.restore(wanted);
    show();
  }

  onColours(show);
  connect({
    examples,
    ready: strip.ready,
    pick: place => strip.ready.then(() => strip.pick(place)),
    restore,
  });
  const blank = new Uint8Array(image.height * image.width * image.channels);
  if (settings.drawing?.light) blank.fill(255);
  given(blank);
  return strip.ready.then(() => {
    strip.pick(0);
    quiet = false;
  });
}
