// The mistakes of the network of a run that trains, computed in the page from its current weights.
import { load as loadNetwork } from '../engine/network.js';
import { decoded } from '../try/examples.js';
import { prepared } from '../try/runner.js';
import { channelsOf, data, Images, tile } from './images.js';

const EXAMPLES = 200; // examples that are classified, so that the page does not stop
const SHOWN = 16;
const AT_ONCE = 8; // examples between two pauses

/** The mistakes among predictions [{index, label, probabilities}], the most confident first. */
export function mistakesOf(predictions) {
  return predictions
    .map(({ index, label, probabilities }) => {
      const predicted = probabilities.indexOf(Math.max(...probabilities));
      return { index, label, predicted, confidence: probabilities[predicted] };
    })
    .filter(({ label, predicted }) => label !== predicted)
    .sort((a, b) => b.confidence - a.confidence || a.index - b.index);
}

/** Starts to look for mistakes, if the page is that of a classifier of images that trains. */
export async function start() {
  const section = document.querySelector('.mistakes-now');
  const [description, examples] = [data('network'), data('examples')];
  const classifies = description?.task?.name?.startsWith('classify');
  if (!section || !classifies || !examples?.sprite || !Array.isArray(examples.label)) {
    return;
  }
  const network = loadNetwork(description);
  const count = Math.min(EXAMPLES, examples.index.length);
  const { pixels } = await decoded(examples, channelsOf(description));
  const found = [];
  for (let place = 0; place < count; place += 1) {
    const { probabilities } = network.forward(prepared(network, pixels(place)));
    const [index, label] = [examples.index[place], examples.label[place]];
    found.push({ index, label, probabilities: Array.from(probabilities) });
    if (place % AT_ONCE === AT_ONCE - 1) {
      await new Promise(resolve => setTimeout(resolve));
    }
  }
  show(section, mistakesOf(found), count, description.classes, examples);
}

function show(section, mistakes, count, classes, examples) {
  const images = new Images(examples);
  section.hidden = false;
  section.querySelector('.hint').textContent =
    `Wrong answers for the first ${count} ${examples.split} examples: ${mistakes.length}` +
    (mistakes.length ? '. Below each: true → predicted class, its probability.' : '.');
  section.querySelector('.tiles').replaceChildren(
    ...mistakes.slice(0, SHOWN).map(({ confidence, index, label, predicted }) => {
      const share = `${(100 * confidence).toFixed(0)}\u00a0%`;
      return tile(images, index, `${classes[label]} → ${classes[predicted]} (${share})`);
    }),
  );
}
