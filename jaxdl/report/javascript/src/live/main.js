import { start as startAddress } from './address.js';
import { start as startComparison } from './compare.js';
import { start as startLinkedViews } from './linked.js';
import { start as startMistakes } from './mistakes.js';
import { start as startReload } from './reload.js';

/** Starts the live parts; the others must have started, because the address restores their state. */
export function start() {
  startMistakes().catch(console.warn);
  startComparison().catch(showError);
  startLinkedViews();
  startAddress();
  startReload();
}

function showError(error) {
  console.warn(error);
  document.querySelector('.same-image .hint').textContent =
    `The networks cannot run in this browser: ${error.message}`;
}
