// The same image through the networks of several runs.
import { load as loadNetwork } from '../engine/network.js';
import { percent } from '../try/dom.js';
import { decoded } from '../try/examples.js';
import { prepared } from '../try/runner.js';
import { channelsOf, data, Images } from './images.js';

const OFFERED = 40; // images to choose from
const SEARCHED = 400; // images among which those with different answers are searched
const AT_ONCE = 4; // images between two pauses
const CLASSES = 10; // most classes whose probabilities are shown, the most probable first

/** The classes to show: those of the greatest probability of any run, in their order. */
export function classesToShow(probabilities, most = CLASSES) {
  const greatest = probabilities[0].map((_, label) =>
    Math.max(...probabilities.map(values => values[label])),
  );
  const order = greatest
    .map((_, label) => label)
    .sort((a, b) => greatest[b] - greatest[a] || a - b);
  return order.slice(0, most).sort((a, b) => a - b);
}

/** Starts the comparison, if the page has the networks of several runs and images for them. */
export async function start() {
  const section = document.querySelector('.same-image');
  const [runs, examples] = [data('networks'), data('examples')];
  if (!section || !runs || !examples?.sprite) {
    return;
  }
  const networks = runs.map(({ label, network }) => ({ label, network: loadNetwork(network) }));
  const { pixels } = await decoded(examples, channelsOf(runs[0].network));
  const { classes } = runs[0].network;
  const images = new Images(examples);
  const list = section.querySelector('.tiles');
  const show = place => {
    const found = networks.map(({ network }) =>
      Array.from(network.forward(prepared(network, pixels(place))).probabilities),
    );
    const truth = classes[examples.label[place]] ?? '';
    section.querySelector('.count').textContent =
      `example ${examples.index[place]} of the ${examples.split} split, true class ${truth}`;
    section
      .querySelector('.chosen-image')
      .replaceChildren(images.element(examples.index[place], 112));
    section
      .querySelector('.probabilities')
      .replaceChildren(table(networks, found, classes, examples.label[place]));
    for (const button of list.querySelectorAll('button')) {
      button.setAttribute('aria-current', String(Number(button.dataset.place) === place));
    }
    document.dispatchEvent(
      new CustomEvent('jaxdl:state', { detail: { image: examples.index[place] } }),
    );
  };
  const offer = places => {
    list.replaceChildren(
      ...places.slice(0, OFFERED).map(place => {
        const [item, button] = [document.createElement('li'), document.createElement('button')];
        const index = examples.index[place];
        button.type = 'button';
        button.className = 'tile';
        button.dataset.place = place;
        button.setAttribute('aria-label', `example ${index}: ${classes[examples.label[place]]}`);
        button.append(images.element(index, 40));
        button.addEventListener('click', () => show(place));
        item.append(button);
        return item;
      }),
    );
  };
  const search = section.querySelector('.disagree');
  search.addEventListener('click', async () => {
    const status = section.querySelector('.found');
    const count = Math.min(SEARCHED, examples.index.length);
    search.disabled = true;
    status.textContent = `searching ${count} images …`;
    const found = await disagreements(networks, pixels, count);
    status.textContent = `${found.length} of ${count} images`;
    search.disabled = false;
    if (found.length) {
      offer(found);
      show(found[0]);
    }
  });
  offer([...examples.index.keys()]);
  section.querySelector('.choice').hidden = false;
  const restore = ({ detail }) => {
    const place = examples.index.indexOf(detail.image);
    if (place >= 0) {
      show(place);
    }
  };
  document.addEventListener('jaxdl:restore', restore);
  show(0);
}

/** The places of the images that the networks assign to different classes. */
async function disagreements(networks, pixels, count) {
  const found = [];
  for (let place = 0; place < count; place += 1) {
    const answers = networks.map(({ network }) => {
      const { probabilities } = network.forward(network.prepare(pixels(place)));
      return probabilities.indexOf(Math.max(...probabilities));
    });
    if (new Set(answers).size > 1) {
      found.push(place);
    }
    if (place % AT_ONCE === AT_ONCE - 1) {
      await new Promise(resolve => setTimeout(resolve));
    }
  }
  return found;
}

function table(networks, found, classes, truth) {
  const shown = document.createElement('table');
  const head = shown.createTHead().insertRow();
  const body = shown.createTBody();
  head.append(header('class', 'col'), ...networks.map(({ label }) => header(label, 'col')));
  for (const label of classesToShow(found)) {
    const row = body.insertRow();
    row.classList.toggle('truth', label === truth);
    row.append(header(classes[label], 'row'));
    for (const probabilities of found) {
      const cell = row.insertCell();
      const bar = document.createElement('span');
      const best = probabilities[label] === Math.max(...probabilities);
      bar.className = 'bar';
      bar.style.setProperty('--share', probabilities[label].toFixed(4));
      cell.append(bar, percent(probabilities[label]));
      cell.classList.toggle('best', best);
    }
  }
  return shown;
}

function header(text, scope) {
  const cell = document.createElement('th');
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}
