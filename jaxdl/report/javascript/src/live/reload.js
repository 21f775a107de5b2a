// Reloads the page of a run that trains, until the run has ended or no longer writes the page.
import * as place from './place.js';

export const MOST_MISSED = 5; // reloads without a new page after which the trainer counts as dead
const BUSY = 1000; // milliseconds until the next attempt while the reader uses the page
const SETTLED = 500; // milliseconds after the loading, when the position is final
const KEY = 'live'; // in the state of the window's history, which a reload keeps

/** How often the page was reloaded without being written: 0 for a new page. */
export function missedAfter(before, written) {
  return before && before.written === written ? before.missed + 1 : 0;
}

/** Seconds until the next reload: longer after each page that was missed. */
export function secondsTo(every, missed) {
  return every * (missed + 1) + 0.5;
}

/** Why the page must not be reloaded now; '' if it may be. */
function busyWith(pressed) {
  const focused = document.activeElement;
  if (document.hidden) {
    return 'hidden';
  }
  if (pressed || document.querySelector('dialog[open]')) {
    return 'in use';
  }
  if (focused?.matches('textarea, input:not([type=checkbox], [type=radio], [type=range])')) {
    return 'typing';
  }
  return document.getSelection().isCollapsed ? '' : 'selecting';
}

function remembered() {
  return history.state?.[KEY] ?? null;
}

function remember(value) {
  history.replaceState({ ...history.state, [KEY]: value }, '');
}

function clock(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString();
}

/** Restores the reader's place after an own reload, also on the page of a run that has ended. */
function returnTo(before) {
  if (!before?.place) {
    return;
  }
  place.restore(before.place);
  // Pictures that are decoded late may change the height of the sections above. Until then, the
  // browser must not restore the position itself: it knows only the distance from the top.
  const settle = () => {
    place.scroll(before.place);
    setTimeout(() => {
      history.scrollRestoration = 'auto';
    }, SETTLED);
  };
  window.addEventListener('load', settle, { once: true });
}

/** Starts the reloading, if the page is that of a run that trains. */
export function start() {
  const before = remembered();
  const section = document.querySelector('section.live');
  remember(null);
  returnTo(before);
  if (!section) {
    return;
  }
  const { every, step, steps, reached, written } = section.dataset;
  const missed = missedAfter(before, written);
  const status = section.querySelector('[role=status]');
  const button = section.querySelector('.updates button');
  if (steps) {
    document.title = `${Math.floor((100 * step) / steps)} % · ${document.title}`;
  }
  const reload = () => {
    remember({ written, missed, place: place.read() });
    history.scrollRestoration = 'manual';
    location.reload();
  };
  button.hidden = false;
  if (missed >= MOST_MISSED) {
    section.classList.add('stale');
    status.textContent =
      `No update since ${clock(Number(written))}, after ${missed} reloads: the training has stopped ` +
      `or waits. It had reached ${reached}.`;
    button.textContent = 'Try again';
    button.removeAttribute('aria-pressed');
    button.addEventListener('click', () => {
      remember({ written: '', missed: 0, place: place.read() });
      location.reload();
    });
    return;
  }
  status.textContent = `Written at ${clock(Number(written))}; this page reloads itself during the training.`;
  keepReloading(button, reload, 1000 * secondsTo(Number(every), missed));
}

function keepReloading(button, reload, wait) {
  let timer = 0;
  let pressed = false;
  document.addEventListener('pointerdown', () => {
    pressed = true;
  });
  for (const name of ['pointerup', 'pointercancel']) {
    document.addEventListener(name, () => {
      pressed = false;
    });
  }
  const attempt = () => {
    if (busyWith(pressed)) {
      timer = setTimeout(attempt, BUSY);
    } else {
      reload();
    }
  };
  timer = setTimeout(attempt, wait);
  button.addEventListener('click', () => {
    const paused = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(paused));
    clearTimeout(timer);
    if (!paused) {
      reload();
    }
  });
}
