// The operation of each kind of layer: its outputs, and the gradient of its inputs.
import { attention, positions } from './attention.js';
import { convolution } from './convolution.js';
import { dense, embedding, project, tiedDense } from './dense.js';
import { identity, join, last } from './joining.js';
import { batchNorm, groupNorm, layerNorm } from './normalisation.js';
import { averagePool, globalAveragePool, globalMaxPool, maxPool } from './pooling.js';
import { CELLS } from './recurrence.js';

/**
 * @typedef {import('./matrix.js').Values} Values
 */

/**
 * A layer of a network.
 *
 * @typedef {object} Layer
 * @property {string} name
 * @property {string} kind a key of OPERATIONS
 * @property {number[]} shape of the (first) input; in a language model that of one character
 * @property {number[]} outputShape
 * @property {Record<string, any>} settings as in `jaxdl/exports/layers.py`
 * @property {string[]} sources the layers whose outputs it reads, '' for the inputs of the network
 * @property {Record<string, { data: Values, shape: number[] }>} weights
 */

/**
 * What an operation has besides the layer and its inputs.
 *
 * @typedef {object} Context
 * @property {Float32ArrayConstructor | Float64ArrayConstructor} Float type of the arrays
 * @property {Record<string, any>} kept numbers that `forward` keeps for `backward`
 * @property {{ before?: any, after?: any }} state of a layer that reads steps: `forward` continues
 *   from `before` and sets `after`
 */

/**
 * @typedef {object} Operation
 * @property {(layer: Layer, inputs: Values[], context: Context) => Values} forward returns the
 *   outputs before the activation, a new array
 * @property {(layer: Layer, gradient: Values, inputs: Values[], context: Context) => Values[]}
 *   backward returns the gradient of each input; `gradient` is that of the outputs of `forward`
 */

/** @type {Record<string, Operation>} */
export const OPERATIONS = {
  conv: convolution,
  depthwise_conv: convolution,
  conv_transpose: convolution,
  dense,
  tied_dense: tiedDense,
  max_pool: maxPool,
  average_pool: averagePool,
  global_max_pool: globalMaxPool,
  global_average_pool: globalAveragePool,
  batch_norm: batchNorm,
  layer_norm: layerNorm,
  group_norm: groupNorm,
  dropout: identity,
  flatten: identity,
  reshape: identity,
  activation: identity,
  residual: join,
  parallel: join,
  project,
  ...CELLS,
  last,
  embedding,
  positions,
  attention,
};
