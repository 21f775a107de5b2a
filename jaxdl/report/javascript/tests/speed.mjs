// Times of a forward pass of three configs' networks, with random weights, and the size of the code:
//   node tests/speed.mjs
// and those of TensorFlow.js, if it is installed:
//   npm install --no-save @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0 \
//     @tensorflow/tfjs-backend-webgl@4.22.0
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Network } from '../src/engine/network.js';
import { draw, size } from './helpers.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const REPEATS = 21;

/** The median time of a function in milliseconds. */
function timed(compute) {
  for (let repeat = 0; repeat < 5; repeat++) compute();
  const times = Array.from({ length: REPEATS }, () => {
    const start = performance.now();
    compute();
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[(REPEATS - 1) / 2].toFixed(1);
}

/** Adds layers to a list, each of which reads the one before it. */
function chain(input) {
  const layers = [];
  let shape = input;
  const add = (kind, outputShape, settings = {}, shapes = {}) => {
    const name = `${kind}${layers.length}`;
    const weights = {};
    for (const [key, of] of Object.entries(shapes)) {
      const data = Float32Array.from(
        draw(size(of), layers.length + 1),
        x => (x + 1) / size(of) ** 0.5,
      );
      weights[key] = { data, shape: of };
    }
    const sources = [layers.at(-1)?.name ?? ''];
    layers.push({ name, kind, shape, outputShape, settings, sources, weights });
    shape = outputShape;
  };
  const chained = {
    layers,
    conv(features, side, padded = false) {
      const [height, width, channels] = shape;
      const less = padded ? 0 : side - 1;
      const pad = padded ? [(side - 1) / 2, (side - 1) / 2] : [0, 0];
      const settings = {
        window: [side, side],
        strides: [1, 1],
        pads: [pad, pad],
        activation: 'relu',
      };
      const weights = { kernel: [side, side, channels, features], bias: [features] };
      add('conv', [height - less, width - less, features], settings, weights);
      return chained;
    },
    pool() {
      const [height, width, channels] = shape;
      const settings = {
        window: [2, 2],
        strides: [2, 2],
        pads: [
          [0, 0],
          [0, 0],
        ],
      };
      add('max_pool', [Math.floor(height / 2), Math.floor(width / 2), channels], settings);
      return chained;
    },
    norm() {
      const of = [shape.at(-1)];
      add('batch_norm', shape, { epsilon: 0.001 }, { scale: of, bias: of, mean: of, var: of });
      return chained;
    },
    flatten() {
      add('flatten', [size(shape)]);
      return chained;
    },
    dense(features, activation = 'relu') {
      add('dense', [features], { activation }, { kernel: [shape[0], features], bias: [features] });
      return chained;
    },
    lstm(units) {
      const [steps, inner] = shape;
      const kernels = { input_kernel: [inner, 4 * units], recurrent_kernel: [units, 4 * units] };
      add('lstm', [steps, units], {}, { ...kernels, bias: [4 * units] });
      add('last', [units], { steps: [-1] });
      return chained;
    },
  };
  return chained;
}

const NETWORKS = {
  cnn_cifar10: chain([32, 32, 3])
    .conv(32, 3)
    .norm()
    .pool()
    .conv(64, 3)
    .pool()
    .conv(128, 3)
    .conv(128, 3)
    .flatten()
    .dense(128)
    .norm()
    .dense(128)
    .dense(10, null),
  lstm_mnist: chain([28, 28]).lstm(128).dense(10, null),
  cnn_mnist: chain([28, 28, 1])
    .conv(32, 5, true)
    .pool()
    .conv(64, 5, true)
    .pool()
    .flatten()
    .dense(1024)
    .dense(10, null),
};

async function bytes(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: HERE },
    bundle: true,
    minify: true,
    format: 'iife',
    write: false,
  });
  return outputFiles[0].contents.length;
}

async function ours() {
  const code = await bytes(
    "export * from '../src/engine/network.js'; export * from '../src/engine/attribution.js'",
  );
  console.log(`ours: ${code} bytes`);
  for (const [name, { layers }] of Object.entries(NETWORKS)) {
    const description = { task: { name: 'classify' }, classes: new Array(10), input: { kind: '' } };
    const network = new Network(description, layers, Float32Array);
    const inputs = draw(size(layers[0].shape));
    const { logits } = network.forward(inputs);
    const seed = logits.map((_, index) => Number(index === 3));
    const gradient = timed(() => network.gradient(network.forward(inputs), seed));
    console.log(
      `${name}: ${timed(() => network.forward(inputs))} ms, with gradient ${gradient} ms`,
    );
  }
}

/** The operations of TensorFlow.js for the layers of NETWORKS. */
const inTensorFlow = tf => ({
  conv: ({ settings }, x, { kernel, bias }) =>
    tf.relu(tf.add(tf.conv2d(x, kernel, 1, settings.pads[0][0] ? 'same' : 'valid'), bias)),
  max_pool: (_, x) => tf.maxPool(x, 2, 2, 'valid'),
  batch_norm: ({ settings }, x, w) =>
    tf.batchNorm(x, w.mean, w.var, w.bias, w.scale, settings.epsilon),
  flatten: (_, x) => tf.reshape(x, [1, -1]),
  dense({ settings }, x, { kernel, bias }) {
    const sums = tf.add(tf.matMul(tf.reshape(x, [1, -1]), kernel), bias);
    return settings.activation ? tf.relu(sums) : sums;
  },
  lstm({ outputShape: [steps, units] }, x, { input_kernel, recurrent_kernel, bias }) {
    const ofInputs = tf.add(tf.matMul(x, input_kernel), bias);
    let [hidden, memory] = [tf.zeros([1, units]), tf.zeros([1, units])];
    for (let step = 0; step < steps; step++) {
      const sums = tf.add(
        tf.slice(ofInputs, [step, 0], [1, -1]),
        tf.matMul(hidden, recurrent_kernel),
      );
      const [input, forget, candidate, output] = tf.split(sums, 4, 1);
      const entered = tf.mul(tf.sigmoid(input), tf.tanh(candidate));
      memory = tf.add(tf.mul(tf.sigmoid(forget), memory), entered);
      hidden = tf.mul(tf.sigmoid(output), tf.tanh(memory));
    }
    return hidden;
  },
  last: (_, x) => x,
});

async function tensorFlow() {
  let tf;
  try {
    tf = await import('@tensorflow/tfjs-core');
    await import('@tensorflow/tfjs-backend-cpu');
  } catch {
    console.log('TensorFlow.js is not installed');
    return;
  }
  const core = "export * from '@tensorflow/tfjs-core'; import '@tensorflow/tfjs-backend-cpu';";
  const webgl = `${core} import '@tensorflow/tfjs-backend-webgl';`;
  console.log(`TensorFlow.js ${tf.version_core}: ${await bytes(core)} bytes with the CPU back end, \
${await bytes(webgl)} bytes with WebGL too`);
  await tf.setBackend('cpu');
  const operations = inTensorFlow(tf);
  for (const [name, { layers }] of Object.entries(NETWORKS)) {
    const tensors = layers.map(({ weights }) =>
      Object.fromEntries(
        Object.entries(weights).map(([key, { data, shape }]) => [key, tf.tensor(data, shape)]),
      ),
    );
    const inputs = Float32Array.from(draw(size(layers[0].shape)));
    const forward = () =>
      tf.tidy(() => {
        const first = tf.tensor(inputs, layers[0].shape);
        const compute = (x, layer, place) => operations[layer.kind](layer, x, tensors[place]);
        return layers.reduce(compute, first).dataSync();
      });
    const description = { task: { name: 'classify' }, classes: new Array(10), input: { kind: '' } };
    const { logits } = new Network(description, layers, Float32Array).forward(inputs);
    const theirs = forward();
    const difference = Math.max(...logits.map((value, index) => Math.abs(value - theirs[index])));
    const scale = Math.max(...logits.map(Math.abs));
    console.log(
      `${name}: ${timed(forward)} ms, difference ${(difference / scale).toExponential(0)}`,
    );
  }
}

console.log(`${cpus()[0].model}, node ${process.version}`);
await ours();
await tensorFlow();
