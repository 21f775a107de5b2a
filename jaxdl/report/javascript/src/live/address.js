// Keeps the state of the page (image, layer, class, …) in the address, so that a link shows the same.

const LONGEST = 60; // characters of a value; longer ones, such as a drawing, are kept by a reload only
const KEY = 'state'; // in the state of the window's history

/** '#image=3&layer=conv2' → {image: 3, layer: 'conv2'}; {} for the anchor of a section. */
export function parse(hash) {
  const text = hash.replace(/^#/, '');
  if (!text.includes('=')) {
    return {};
  }
  const found = {};
  for (const [key, value] of new URLSearchParams(text)) {
    found[key] = /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  }
  return found;
}

/** {image: 3, layer: 'conv2'} → '#image=3&layer=conv2'; long values and null are left out. */
export function format(state) {
  const shown = Object.entries(state).filter(([, value]) => isShort(value));
  return shown.length ? `#${new URLSearchParams(shown)}` : '';
}

function isShort(value) {
  return (typeof value === 'number' || typeof value === 'string') && `${value}`.length <= LONGEST;
}

/** Adds changes to a state; a value of null or '' removes a key. */
export function merged(state, changes) {
  return Object.fromEntries(
    Object.entries({ ...state, ...changes }).filter(
      ([, value]) => value !== null && value !== undefined && value !== '',
    ),
  );
}

function restore(state) {
  if (Object.keys(state).length) {
    document.dispatchEvent(new CustomEvent('jaxdl:restore', { detail: state }));
  }
}

/** Starts to write the state into the address, and restores the state of the address. */
export function start() {
  let state = parse(location.hash);
  const kept = history.state?.[KEY];
  if (kept && format(kept) === format(state)) {
    state = kept; // after a reload, with the values that are too long for the address
  }
  // The address stays as it is until the reader does something.
  let touched = false;
  for (const name of ['pointerdown', 'keydown']) {
    document.addEventListener(
      name,
      () => {
        touched = true;
      },
      { capture: true, once: true },
    );
  }
  document.addEventListener('jaxdl:state', ({ detail }) => {
    state = merged(state, detail);
    if (!touched) {
      return;
    }
    const address = format(state) || location.pathname + location.search;
    history.replaceState({ ...history.state, [KEY]: state }, '', address);
  });
  window.addEventListener('hashchange', () => {
    const changes = parse(location.hash);
    if (Object.keys(changes).length) {
      state = changes;
      restore(state);
    }
  });
  restore(state);
}
