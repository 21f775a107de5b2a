// Convolutions and transposed convolutions of images [H, W, C] and of sequences [T, C].
//
// The patches under each position of the window are copied into the rows of a matrix; the
// convolution is the product of this matrix and of the kernel [window · C, F] ('im2col').
import { multiply, multiplyTransposed } from './matrix.js';

/**
 * @typedef {import('./matrix.js').Place} Place
 * @typedef {import('./matrix.js').Values} Values
 * @typedef {import('./operations.js').Layer} Layer
 * @typedef {import('./operations.js').Operation} Operation
 */

/** A shape as that of an image: [T, C] → [T, 1, C]. */
export function asImage(shape) {
  return shape.length === 2 ? [shape[0], 1, shape[1]] : shape;
}

/** The sizes of a convolution. */
function sizes(layer) {
  const { window, strides, pads, groups = 1 } = layer.settings;
  const [height, width, channels] = asImage(layer.shape);
  const [rows, columns, features] = asImage(layer.outputShape);
  const transposed = layer.kind === 'conv_transpose';
  return {
    height,
    width,
    channels,
    rows,
    columns,
    features,
    window,
    groups,
    stride: transposed ? [1, 1] : strides, // of the window
    spread: transposed ? strides : [1, 1], // from one input to the next, with zeros between them
    pads: [pads[0][0], pads[1][0]], // zeros above and to the left
    inGroup: channels / groups,
    outGroup: features / groups,
    patch: (window[0] * window[1] * channels) / groups,
  };
}

/** Numbers of a patch matrix in memory; a larger image is computed in bands of rows. */
const NUMBERS = 1 << 18;

/** The bands of output rows, [first, end]. */
function bandsOf(s) {
  const height = Math.max(1, Math.floor(NUMBERS / (s.columns * s.patch)));
  const bands = [];
  for (let first = 0; first < s.rows; first += height) {
    bands.push([first, Math.min(first + height, s.rows)]);
  }
  return bands;
}

/**
 * Calls a function for each output of a band and each position of the window whose input is inside
 * the image.
 *
 * @param {ReturnType<typeof sizes>} s
 * @param {[first: number, end: number]} band
 * @param {(place: number, input: number, tap: number) => void} visit
 *   (number of the output in the band, number of the input, number of the position in the window)
 */
function everyTap(s, [first, end], visit) {
  for (let row = first; row < end; row++) {
    for (let i = 0; i < s.window[0]; i++) {
      const y = inputAt(row, i, 0, s, s.height);
      if (y < 0) continue;
      for (let column = 0; column < s.columns; column++) {
        const place = (row - first) * s.columns + column;
        for (let j = 0; j < s.window[1]; j++) {
          const x = inputAt(column, j, 1, s, s.width);
          if (x >= 0) visit(place, y * s.width + x, i * s.window[1] + j);
        }
      }
    }
  }
}

/** The input under a position of the window along an axis; −1 outside or between inputs. */
function inputAt(output, tap, axis, s, size) {
  const place = output * s.stride[axis] + tap - s.pads[axis];
  if (place < 0 || place % s.spread[axis] !== 0) return -1;
  const input = place / s.spread[axis];
  return input < size ? input : -1;
}

/** The patches of a band and a group of channels, in a matrix [positions, patch]. */
function fillPatches(data, s, band, group, patches) {
  const first = group * s.inGroup;
  patches.fill(0);
  everyTap(s, band, (place, input, tap) => {
    const from = input * s.channels + first;
    const to = place * s.patch + tap * s.inGroup;
    for (let channel = 0; channel < s.inGroup; channel++)
      patches[to + channel] = data[from + channel];
  });
}

/** Adds the gradient of the patches to that of the inputs. */
function addPatches(patches, s, band, group, ofInputs) {
  const first = group * s.inGroup;
  everyTap(s, band, (place, input, tap) => {
    const to = input * s.channels + first;
    const from = place * s.patch + tap * s.inGroup;
    for (let channel = 0; channel < s.inGroup; channel++)
      ofInputs[to + channel] += patches[from + channel];
  });
}

/**
 * Calls a function for each band and group of channels, with a matrix for the patches.
 *
 * @param {ReturnType<typeof sizes>} s
 * @param {Float32ArrayConstructor | Float64ArrayConstructor} Float
 * @param {(part: {band: [number, number], group: number, positions: number, patches: Values,
 *   ofKernel: Place, ofOutputs: Place}) => void} compute
 */
function everyPart(s, Float, compute) {
  for (const band of bandsOf(s)) {
    const positions = (band[1] - band[0]) * s.columns;
    const patches = new Float(positions * s.patch);
    for (let group = 0; group < s.groups; group++) {
      const ofKernel = { start: group * s.outGroup, width: s.features };
      const ofOutputs = { ...ofKernel, start: band[0] * s.columns * s.features + ofKernel.start };
      compute({ band, group, positions, patches, ofKernel, ofOutputs });
    }
  }
}

/** @type {Operation} */
export const convolution = {
  forward(layer, [inputs], { Float }) {
    const s = sizes(layer);
    const { kernel, bias } = layer.weights;
    const out = new Float(s.rows * s.columns * s.features);
    everyPart(s, Float, ({ band, group, positions, patches, ofKernel, ofOutputs }) => {
      fillPatches(inputs, s, band, group, patches);
      const ofGroup = bias.data.subarray(group * s.outGroup, (group + 1) * s.outGroup);
      const size = [positions, s.patch, s.outGroup];
      multiply(patches, kernel.data, ofGroup, out, size, { b: ofKernel, out: ofOutputs });
    });
    return out;
  },

  backward(layer, gradient, [inputs], { Float }) {
    const s = sizes(layer);
    const { kernel } = layer.weights;
    const ofInputs = new Float(inputs.length);
    everyPart(s, Float, ({ band, group, positions, patches, ofKernel, ofOutputs }) => {
      const size = [positions, s.outGroup, s.patch];
      multiplyTransposed(gradient, kernel.data, patches, size, { a: ofOutputs, b: ofKernel });
      addPatches(patches, s, band, group, ofInputs);
    });
    return [ofInputs];
  },
};
