// The parts of the section that images and autoencoders share: input, examples, layers.
import { eachFrame, element, whenIdle } from './dom.js';
import { certainty, decoded, isRight, maxima } from './examples.js';
import { pad } from './pad.js';
import { fitted } from './scaling.js';
import { strip } from './strip.js';
import * as strokes from './strokes.js';
import { decode, listen } from './upload.js';

const SLOW = 150; // milliseconds of a forward pass: examples are then computed on demand only

/** The names of the outputs: classes, labels, or targets of a regression. */
export function namesOf({ task, classes, targets }) {
  return task.name === 'regress' ? targets.names : classes;
}

/** Returns functions that say a text: to screen readers, after a pause; and in the page. */
export function voice(section) {
  const live = section.querySelector('.try-live');
  const message = section.querySelector('.try-message');
  let timer = null;
  return {
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        live.textContent = text;
      }, 500);
    },
    show(text) {
      message.textContent = text;
    },
  };
}

/**
 * Connects the drawing area and the opening of images.
 *
 * @param options `settings`, `voice`, `given(pixels, origin)` for a new input in 0..255.
 * @returns {{clear(), drawing(), restore(text)}}
 */
export function inputs(section, { settings, voice, given }) {
  const { drawing, image } = settings;
  const find = selector => section.querySelector(selector);
  let board = null;
  if (drawing) {
    const pen = find('[data-set="pen"]');
    const fit = find('[data-set="fit"]');
    const draw = eachFrame(() => {
      const ink = strokes.image(board.strokes, {
        ...image,
        ...drawing,
        pen: Number(pen.value),
        fit: fit.checked,
      });
      given(strokes.pixels(ink, drawing.light), 'drawing');
    });
    board = pad(find('.pad'), {
      light: drawing.light,
      pen: () => Number(pen.value) / (fit.checked ? drawing.box : 1) / image.width,
      changed: draw,
      say: voice.say,
    });
    const again = () => {
      board.redraw();
      if (board.strokes.length) draw();
    };
    pen.addEventListener('input', again);
    fit.addEventListener('change', again);
    find('[data-do="undo"]').addEventListener('click', () => board.undo());
    find('[data-do="clear"]').addEventListener('click', () => board.clear());
  }
  listen(section, find('input[type="file"]'), async file => {
    try {
      const found = await decode(file);
      board?.clear({ quiet: true });
      voice.show(found.note);
      given(fitted(found.image, { ...image, fit: settings.upload }).pixels, file.name);
    } catch (error) {
      voice.show(error.message);
    }
  });
  return {
    clear: () => board?.clear({ quiet: true }),
    drawing: () => (board?.strokes.length ? written(board.strokes) : null),
    restore(text) {
      const found = board && text ? read(text) : [];
      if (found.length) board.show(found);
    },
  };
}

// Strokes as a text, which the page keeps when it is reloaded: '12,40 13,52;…', in thousandths.
function written(found) {
  const point = ([x, y]) => `${Math.round(1000 * x)},${Math.round(1000 * y)}`;
  return found.map(stroke => stroke.map(point).join(' ')).join(';');
}

function read(text) {
  return String(text)
    .split(';')
    .map(stroke =>
      stroke
        .split(' ')
        .map(point => point.split(',').map(value => Number(value) / 1000))
        .filter(([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1),
    )
    .filter(stroke => stroke.length);
}

/**
 * Connects the strip of examples; computes the answers to them when the page is idle.
 *
 * @param options `examples` (of the page or null), `description`, `run`, `prepare(pixels)`,
 *   `error(trace, pixels)`, `picked(place, pixels)`, `progress()`.
 * @returns an object with `ready` (a promise), `maxima`, `caption`, `thumbnail`, `pick`, `select`.
 */
export function exampleStrip(section, options) {
  const { examples, description, run } = options;
  const { task } = description;
  const classes = namesOf(description);
  const answers = [];
  const greatest = new Map();
  const found = {
    maxima: greatest,
    images: null,
    ready: Promise.resolve(null),
    select() {},
    pick() {},
    caption: () => '',
    thumbnail: () => element('span'),
    labelOf: () => undefined,
    answers,
  };
  if (!examples) return found;
  const name = label =>
    [label]
      .flat()
      .map(one => classes[one])
      .join(', ') || 'none';
  const labels = place => [examples.label?.[place] ?? []].flat();
  found.labelOf = place => examples.label?.[place];
  found.caption = place => {
    const truth = examples.label ? name(examples.label[place]) : `example ${examples.index[place]}`;
    const answer = answers[place];
    if (answer?.right !== false) return truth;
    return `${truth}, taken for ${answer.text}`;
  };
  const sprite = `url("${examples.sprite}")`;
  section.style.setProperty('--sprite', sprite);
  const shown = strip(section.querySelector('.try-strip'), {
    examples,
    classes,
    answers,
    labels,
    caption: found.caption,
    pick: place => found.pick(place),
  });
  found.thumbnail = shown.thumbnail;
  found.select = shown.select;
  found.pick = place => {
    if (!found.images) return;
    shown.select(place);
    options.picked(place, found.images.pixels(place));
  };
  found.ready = decoded(examples, options.channels).then(images => {
    found.images = images;
    return images;
  });

  let began = false;
  function compute() {
    if (began || !found.images) return;
    began = true;
    let place = 0;
    let last = 0;
    whenIdle(() => {
      if (place >= found.images.count) return true;
      const pixels = found.images.pixels(place);
      const trace = run.network.forward(options.prepare(pixels));
      for (const [layer, output] of trace.outputs) {
        if (!greatest.has(layer)) greatest.set(layer, []);
        greatest.get(layer)[place] = maxima(output);
      }
      answers[place] = {
        right: isRight(task.name, trace.probabilities, examples.label?.[place]),
        certainty: certainty(task.name, trace.probabilities),
        error: options.error ? options.error(trace, place, pixels) : 0,
        text: answered(trace.probabilities),
      };
      place++;
      const now = performance.now();
      if (now - last > 700 || place === found.images.count) {
        last = now;
        shown.refresh();
        options.progress();
      }
      return place >= found.images.count;
    });
  }
  function answered(probabilities) {
    const chosen = Array.from(probabilities, (value, place) => [value, place]);
    if (task.name === 'multi_label') {
      return name(chosen.filter(([value]) => value > 0.5).map(([, place]) => place));
    }
    return classes[chosen.reduce((a, b) => (b[0] > a[0] ? b : a))[1]] ?? '';
  }
  // Only when the section is seen; a slow network only when a filter is chosen.
  const watcher = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watcher.disconnect();
    found.ready.then(() => run.cost() < SLOW && compute());
  });
  watcher.observe(section);
  for (const filter of section.querySelectorAll('.try-strip input[type="radio"]')) {
    filter.addEventListener('change', () => found.ready.then(compute));
  }
  return found;
}

/** Listens for the events of the other parts of the page. */
export function connect({ examples, ready, pick, restore }) {
  const places = new Map((examples?.index ?? []).map((index, place) => [index, place]));
  const load = index => {
    const place = places.get(Number(index));
    if (place !== undefined) pick(place);
    return place !== undefined;
  };
  document.addEventListener('jaxdl:example', event => {
    if (!load(event.detail.index)) return;
    document.getElementById('try-it')?.scrollIntoView({ block: 'start' });
  });
  document.addEventListener('jaxdl:restore', event => {
    if (event.detail.image !== undefined) load(event.detail.image);
    ready.then(() => restore(event.detail));
  });
}

/** Tells the other parts of the page what is shown. */
export function announce(detail) {
  document.dispatchEvent(new CustomEvent('jaxdl:state', { detail }));
}
