// Inside the network: a slider from layer to layer, the maps of the layer, and one of its channels.
import { element, number, signed } from './dom.js';
import { strongest } from './examples.js';
import { drawImage, drawLine, greatest, onColours, strong } from './pictures.js';
import { seedOf } from './runner.js';
import { arrange, channelAt, draw, frame, moved, ofChannel } from './tiles.js';
import { filterOf } from './weights.js';

const HIDDEN = ['dropout', 'flatten', 'reshape']; // the same numbers as the layer before
const KINDS = {
  conv: 'convolution',
  conv_transpose: 'transposed convolution',
  depthwise_conv: 'depthwise convolution',
  max_pool: 'max pooling',
  average_pool: 'average pooling',
  batch_norm: 'batch normalisation',
  layer_norm: 'layer normalisation',
  group_norm: 'group normalisation',
  lstm: 'LSTM',
  gru: 'GRU',
  rnn: 'RNN',
  last: 'last step',
};
const STRONGEST = 8;

/** The layers that are shown, in their order. */
export function shownLayers(network, outputs) {
  return network.layers.filter(layer => !HIDDEN.includes(layer.kind) && outputs.has(layer.name));
}

/**
 * Fills the part "Inside the network".
 *
 * @param {HTMLElement} root
 * @param options `run` (runner), `current()` → {inputs, target} or null (the
 *   target is null if no output is explained), `strip` (as returned by `exampleStrip`),
 *   `targetName(target)`, `changed()`, and `effect(trace, without, target)` → what setting a
 *   channel to zero changes, as a text.
 * @returns {{show(), state(), restore(), refreshStrongest()}}
 */
export function layers(root, options) {
  const { run, strip } = options;
  const slider = root.querySelector('.layer-slider');
  const title = root.querySelector('.layer-title');
  const ticks = root.querySelector('.layer-ticks');
  const canvas = root.querySelector('.layer-maps');
  const box = root.querySelector('.layer-box');
  const mark = root.querySelector('.layer-mark');
  const legend = root.querySelector('.layer-legend');
  const panel = root.querySelector('.channel');
  let shown = [];
  let plan = null;
  let layer = null;
  let channel = null;

  function begin(outputs) {
    shown = shownLayers(run.network, outputs);
    slider.max = shown.length - 1;
    ticks.replaceChildren(
      ...shown.map((one, place) =>
        element('button', {
          type: 'button',
          class: 'tick',
          text: one.name,
          tabindex: -1,
          onclick: () => go(place),
        }),
      ),
    );
    select(0);
  }

  function select(place) {
    layer = shown[place];
    channel = null;
    plan = null;
    slider.value = place;
    slider.setAttribute('aria-valuetext', describe(layer));
    [...ticks.children].forEach((tick, i) => {
      tick.classList.toggle('chosen', i === place);
    });
  }

  function go(place) {
    select(place);
    show();
    options.changed();
  }

  function describe(one) {
    return `${one.name}, ${KINDS[one.kind] ?? one.kind.replaceAll('_', ' ')}`;
  }

  function show() {
    const current = options.current();
    if (!current) return;
    const { outputs } = run.trace(current.inputs);
    if (!layer) begin(outputs);
    const output = outputs.get(layer.name);
    if (!plan) {
      plan = arrange(output.shape, box.clientWidth / box.clientHeight || 2);
      fit();
      canvas.setAttribute('aria-label', `Channels of ${layer.name}`);
      canvas.setAttribute('aria-valuemax', plan.channels - 1);
    }
    const scale = strong(output.data);
    draw(canvas, output, plan, scale);
    title.textContent = `${describe(layer)}: ${dimensions(output.shape)}`;
    legend.textContent = `Full colour from ${number(scale)}.`;
    place();
    if (channel !== null) showChannel(current, output, scale);
    else emptyChannel();
  }

  function dimensions(shape) {
    if (shape.length === 3) return `${shape[2]} maps of ${shape[0]} × ${shape[1]}`;
    if (shape.length === 2) return `${shape[1]} units over ${shape[0]} steps, from top to bottom`;
    return `${shape[0]} units`;
  }

  // Enlarges the picture as far as the box allows, without changing the box.
  function fit() {
    const [width, height] = [box.clientWidth, box.clientHeight];
    if (!width) return;
    const scale = Math.min(width / plan.width, height / plan.height);
    const size =
      plan.kind === 'time'
        ? [width, Math.min(height, plan.height * 14)]
        : [plan.width * scale, plan.height * scale];
    canvas.parentElement.style.width = `${Math.floor(size[0])}px`;
    canvas.parentElement.style.height = `${Math.floor(size[1])}px`;
  }

  function place() {
    mark.hidden = channel === null;
    canvas.setAttribute('aria-valuenow', channel ?? 0);
    canvas.setAttribute('aria-valuetext', channel === null ? 'none chosen' : `channel ${channel}`);
    if (channel === null) return;
    const [left, top, width, height] = frame(plan, channel).map(share => `${100 * share}%`);
    Object.assign(mark.style, { left, top, width, height });
  }

  function choose(next) {
    if (next === null || next === channel) return;
    channel = next;
    show();
    options.changed();
  }

  canvas.addEventListener('click', event => {
    const at = canvas.getBoundingClientRect();
    choose(
      channelAt(plan, (event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height),
    );
  });
  canvas.addEventListener('keydown', event => {
    if (!plan) return;
    const next =
      channel === null && event.key.startsWith('Arrow') ? 0 : moved(plan, channel ?? 0, event.key);
    if (next === null) return;
    event.preventDefault();
    choose(next);
  });
  slider.addEventListener('input', () => go(Number(slider.value)));

  // One channel.
  const parts = Object.fromEntries(
    [...panel.querySelectorAll('[data-part]')].map(part => [part.dataset.part, part]),
  );

  function emptyChannel() {
    panel.classList.add('empty');
    parts.title.textContent = 'One channel';
  }

  function showChannel(current, output, scale) {
    panel.classList.remove('empty');
    const word = output.shape.length === 3 ? 'Channel' : 'Unit';
    parts.title.textContent = `${word} ${channel} of ${layer.name}`;
    const values = ofChannel(output, channel);
    const isMap = output.shape.length === 3;
    parts.map.hidden = !isMap;
    parts.line.hidden = output.shape.length !== 2;
    if (isMap) {
      const single = arrange([output.shape[0], output.shape[1], 1], 1);
      draw(parts.map, { data: values }, single, scale);
    } else if (output.shape.length === 2) {
      drawLine(parts.line, values);
    }
    parts.value.textContent =
      output.shape.length === 1
        ? `Output ${number(values[0])}.`
        : `Largest output ${number(Math.max(...values))}.`;
    showFilter();
    showPart(current, output);
    showStrongest();
  }

  function showFilter() {
    const found = filterOf(run.network, layer, channel);
    parts.filter.hidden = !found;
    parts.filterText.textContent = found ? found.text : 'No weights of its own.';
    if (!found) return;
    if (found.colours) {
      drawImage(parts.filter, found.colours, { ...found, channels: 3 }, true);
    } else {
      draw(parts.filter, found, arrange(found.shape, 1), greatest(found.data));
    }
    parts.filter.style.aspectRatio = `${parts.filter.width} / ${parts.filter.height}`;
  }

  // gradient × activation over the positions of the channel, and the answer without the channel.
  function showPart({ inputs, target }, output) {
    const trace = run.trace(inputs);
    const channels = output.shape.at(-1);
    const ablated = output.data.slice();
    for (let i = channel; i < ablated.length; i += channels) ablated[i] = 0;
    const without = run.network.from(layer.name, ablated, trace);
    parts.without.textContent = `Set to zero: ${options.effect(trace, without, target)}`;
    if (target === null) return;
    const seed = seedOf(trace.logits.length, target);
    const slope = run.network.gradient(trace, seed, { at: layer.name });
    let part = 0;
    for (let i = channel; i < slope.length; i += channels) part += slope[i] * output.data[i];
    const name = options.targetName(target);
    parts.part.textContent = `Gradient × activation for ${name}: ${signed(part)}.`;
  }

  function showStrongest() {
    const output = layer.outputShape;
    const count = strip.images?.count ?? 0;
    const scores = strip.maxima.get(layer.name) ?? [];
    const values = Array.from({ length: count }, (_, place) =>
      scores[place] ? scores[place].values[channel] : undefined,
    );
    const found = strongest(values, STRONGEST);
    const done = scores.reduce(sum => sum + 1, 0);
    parts.strongestText.textContent = count
      ? `Strongest examples${done < count ? ` (of ${done} so far)` : ''}${output.length === 3 ? '; the frame marks the place' : ''}.`
      : '';
    parts.strongest.replaceChildren(
      ...found.map(([example, value]) => {
        const thumb = strip.thumbnail(example);
        if (output.length === 3) spot(thumb, scores[example].places[channel], output);
        return element(
          'button',
          {
            type: 'button',
            class: 'example',
            title: `${strip.caption(example)}: ${number(value)}`,
            'aria-label': `${strip.caption(example)}: ${number(value)}`,
            onclick: () => strip.pick(example),
          },
          thumb,
        );
      }),
    );
  }

  // A frame around the position of the greatest activation.
  function spot(thumb, position, [height, width]) {
    const made = element('span', { class: 'spot' });
    const [row, column] = [Math.floor(position / width), position % width];
    const size = Math.max(0.22, 1.6 / Math.min(height, width));
    made.style.left = `${100 * Math.min(1 - size, Math.max(0, (column + 0.5) / width - size / 2))}%`;
    made.style.top = `${100 * Math.min(1 - size, Math.max(0, (row + 0.5) / height - size / 2))}%`;
    made.style.width = made.style.height = `${100 * size}%`;
    thumb.append(made);
  }

  new ResizeObserver(() => {
    if (!plan) return;
    plan = null;
    show();
  }).observe(box);
  onColours(show);

  return {
    show,
    state: () => ({ layer: layer?.name, channel }),
    restore(wanted) {
      if (!layer) show();
      const place = shown.findIndex(one => one.name === wanted.layer);
      if (place < 0) return;
      select(place);
      if (wanted.channel !== undefined && wanted.channel !== null) {
        const last = shown[place].outputShape.at(-1);
        const found = Number(wanted.channel);
        channel = Number.isInteger(found) && found >= 0 && found < last ? found : null;
      }
      show();
    },
    refreshStrongest() {
      if (channel !== null) showStrongest();
    },
  };
}
