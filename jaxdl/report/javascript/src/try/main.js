// The section "Try it": the network of the run, in the page.
import { load } from '../engine/network.js';
import * as autoencoder from './autoencoder.js';
import { json } from './dom.js';
import * as images from './images.js';
import { watchColours } from './pictures.js';
import { runner } from './runner.js';
import * as text from './text.js';
import * as vectors from './vectors.js';

const KINDS = { images, autoencoder, text, vectors };

/** Starts the section, if the page has one with a network. */
export function start() {
  const section = document.querySelector('section.try');
  const part = KINDS[section?.dataset.kind];
  if (!part) return;
  watchColours();
  try {
    const description = json('network');
    const run = runner(load(description));
    const given = { description, run, examples: json('examples'), settings: json('try-settings') };
    part
      .start(section, given)
      .then(() => {
        section.dataset.ready = 'true';
      })
      .catch(error => fail(section, error));
  } catch (error) {
    fail(section, error);
  }
}

function fail(section, error) {
  section.querySelector('.try-message').textContent =
    `The network cannot run in this browser: ${error.message}`;
  console.error(error);
}
