// How the output of a layer becomes one picture, and which channel is where in it.
import { drawMap } from './pictures.js';

const GAPS = 320; // most units of a vector that are drawn with gaps between them

/**
 * Arranges an output for a box of a given ratio of width to height.
 *
 * @param {number[]} shape [H, W, C] (maps), [T, C] (states over time) or [C].
 * @returns {{height, width, channels, columns, tile: [number, number], gap, kind}} `height` and
 *   `width` in pixels of the picture, which is enlarged.
 */
export function arrange(shape, ratio) {
  const channels = shape[shape.length - 1];
  if (shape.length === 2) {
    return {
      height: shape[0],
      width: channels,
      channels,
      columns: channels,
      tile: [shape[0], 1],
      gap: 0,
      kind: 'time',
    };
  }
  const [rows, columns] = shape.length === 3 ? shape : [1, 1];
  const cell = shape.length === 3 ? 1 : channels <= GAPS ? 8 : 1;
  const gap = shape.length === 3 || channels <= GAPS ? 1 : 0;
  const [high, wide] = [rows * cell + gap, columns * cell + gap];
  const across = columnsFor(channels, ratio, high, wide);
  const down = Math.ceil(channels / across);
  return {
    height: down * high + gap,
    width: across * wide + gap,
    channels,
    columns: across,
    tile: [rows, columns],
    cell,
    gap,
    kind: shape.length === 3 ? 'maps' : 'units',
  };
}

// The number of columns with which tiles are largest in a box.
function columnsFor(channels, ratio, high, wide) {
  let [found, largest] = [1, 0];
  for (let across = 1; across <= channels; across++) {
    const down = Math.ceil(channels / across);
    const scale = Math.min(ratio / (across * wide), 1 / (down * high));
    if (scale > largest) [found, largest] = [across, scale];
  }
  return found;
}

/** Draws an output as arranged. */
export function draw(canvas, { data }, plan, scale) {
  const { channels, columns, tile, gap, kind } = plan;
  if (kind === 'time') {
    drawMap(canvas, plan.height, plan.width, (row, column) => data[row * channels + column], scale);
    return;
  }
  const [high, wide] = [tile[0] * plan.cell + gap, tile[1] * plan.cell + gap];
  drawMap(
    canvas,
    plan.height,
    plan.width,
    (row, column) => {
      const [y, x] = [row - gap, column - gap];
      if (y < 0 || x < 0) return Number.NaN;
      const channel = Math.floor(y / high) * columns + Math.floor(x / wide);
      const [inY, inX] = [y % high, x % wide];
      if (channel >= channels || inY >= high - gap || inX >= wide - gap) return Number.NaN;
      if (kind === 'units') return data[channel];
      return data[(inY * tile[1] + inX) * channels + channel];
    },
    scale,
  );
}

/** The channel at a place in 0..1 of the picture; null between and after the channels. */
export function channelAt(plan, x, y) {
  const { columns, channels, tile, gap, kind } = plan;
  if (kind === 'time') return Math.min(channels - 1, Math.max(0, Math.floor(x * channels)));
  const [high, wide] = [tile[0] * plan.cell + gap, tile[1] * plan.cell + gap];
  const [row, column] = [Math.floor((y * plan.height) / high), Math.floor((x * plan.width) / wide)];
  const channel = row * columns + column;
  return row >= 0 && column >= 0 && column < columns && channel < channels ? channel : null;
}

/** The frame of a channel: left, top, width and height, as shares of the picture. */
export function frame(plan, channel) {
  const { columns, tile, gap, kind } = plan;
  if (kind === 'time') return [channel / columns, 0, 1 / columns, 1];
  const [high, wide] = [tile[0] * plan.cell + gap, tile[1] * plan.cell + gap];
  const [row, column] = [Math.floor(channel / columns), channel % columns];
  return [
    (column * wide) / plan.width,
    (row * high) / plan.height,
    (wide + gap) / plan.width,
    (high + gap) / plan.height,
  ];
}

/** The channel that an arrow key leads to. */
export function moved(plan, channel, key) {
  const across = { ArrowLeft: -1, ArrowRight: 1, Home: -channel, End: plan.channels - 1 - channel };
  const down = { ArrowUp: -plan.columns, ArrowDown: plan.columns };
  const step = across[key] ?? (plan.kind === 'time' ? undefined : down[key]);
  if (step === undefined) return null;
  const next = channel + step;
  return next >= 0 && next < plan.channels ? next : channel;
}

/** Numbers of one channel: [H · W] of maps, [T] of states, [1] of a unit. */
export function ofChannel({ data, shape }, channel) {
  const channels = shape[shape.length - 1];
  const found = new Float32Array(data.length / channels);
  for (let i = 0; i < found.length; i++) found[i] = data[i * channels + channel];
  return found;
}
