// Elements of the page. Everything from data goes in as text or as an attribute, never as HTML.

/** Makes an element; `attributes` may have 'text' and functions named onclick, oninput, …. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') made.textContent = value;
    else if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Reads the JSON of a script element; null if the page has none. */
export function json(id) {
  const found = document.getElementById(id);
  return found ? JSON.parse(found.textContent) : null;
}

/** Returns a function that calls another at most once in each frame. */
export function eachFrame(run) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      run();
    });
  };
}

/** Calls a function again and again, when the page is idle, until it returns true. */
export function whenIdle(run) {
  const wait = window.requestIdleCallback
    ? then => window.requestIdleCallback(then, { timeout: 500 })
    : then => setTimeout(() => then({ timeRemaining: () => 8 }), 30);
  const step = deadline => {
    let ended = run();
    while (!ended && deadline.timeRemaining() > 4) ended = run();
    if (!ended) wait(step);
  };
  wait(step);
}

/** A percentage, such as '98.7 %'; '< 0.1 %' for small ones. */
export function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.05) return '< 0.1\u00a0%';
  if (value < 100 && value > 99.95) return '> 99.9\u00a0%';
  return `${value.toFixed(1)}\u00a0%`;
}

/** A count with separators: 1,086. */
export function counted(count) {
  return count.toLocaleString('en');
}

/** A number of about three digits. */
export function number(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (value < 0) return `−${number(size)}`;
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** A number with its sign, such as '+1.20' or '−0.30'. */
export function signed(value) {
  return `${value < 0 ? '−' : '+'}${number(Math.abs(value))}`;
}

/** The name of a character, also of those that cannot be seen. */
export function characterName(character) {
  return { '\n': '⏎', ' ': '␣', '\t': '⇥' }[character] ?? character;
}
