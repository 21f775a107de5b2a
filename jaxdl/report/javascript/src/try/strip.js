// The strip of examples: a row of small images, with filters.

import { counted, element } from './dom.js';
import { chosen } from './examples.js';

const SHOWN = 200; // images in the strip at a time

/**
 * Fills a strip.
 *
 * @param {HTMLElement} root the element .try-strip of the page.
 * @param options `examples` (of the page), `classes`, `answers` (filled by the caller),
 *   `pick(place)` and `caption(place)`.
 * @returns {{refresh, select}}
 */
export function strip(root, { examples, classes, answers, pick, caption, labels }) {
  const list = root.querySelector('.strip-images');
  const status = root.querySelector('.strip-status');
  const filters = [...root.querySelectorAll('input[type="radio"]')];
  const classSelect = root.querySelector('select');
  const [height, width] = examples.size;
  const count = examples.index.length;
  const rows = Math.ceil(count / examples.columns);
  let selected = null;
  let shown = [];

  if (classSelect) {
    classes.forEach((name, place) => {
      classSelect.append(element('option', { value: place, text: name }));
    });
    classSelect.addEventListener('change', fill);
  }
  for (const filter of filters) filter.addEventListener('change', fill);

  function thumbnail(place) {
    const [row, column] = [Math.floor(place / examples.columns), place % examples.columns];
    const side = 44;
    const [w, h] = [side * Math.min(1, width / height), side * Math.min(1, height / width)];
    const made = element('span', { class: 'thumb', 'aria-hidden': 'true' });
    made.style.width = `${w}px`;
    made.style.height = `${h}px`;
    made.style.backgroundImage = 'var(--sprite)';
    made.style.backgroundSize = `${w * examples.columns}px ${h * rows}px`;
    made.style.backgroundPosition = `${-w * column}px ${-h * row}px`;
    return made;
  }

  function button(place) {
    const made = element(
      'button',
      {
        type: 'button',
        class: 'example',
        'data-place': place,
        tabindex: -1,
        onclick: () => pick(place),
      },
      thumbnail(place),
    );
    return made;
  }

  function mark(made) {
    const place = Number(made.dataset.place);
    const answer = answers[place];
    made.classList.toggle('wrong', answer?.right === false);
    made.setAttribute('aria-pressed', String(place === selected));
    const text = caption(place);
    if (made.title !== text) {
      made.title = text;
      made.setAttribute('aria-label', text);
    }
  }

  function fill() {
    const filter = filters.find(one => one.checked)?.value ?? 'all';
    const wanted = classSelect?.value ?? '';
    const ofClass = wanted === '' ? null : place => labels(place).includes(Number(wanted));
    const found = chosen(answers, filter, ofClass, count);
    const next = found.slice(0, SHOWN);
    const done = answers.reduce(sum => sum + 1, 0);
    const part = done < count ? ` (${counted(done)} so far)` : '';
    status.textContent = `${counted(found.length)} of ${counted(count)} ${examples.split} images${part}`;
    if (next.length !== shown.length || next.some((place, i) => place !== shown[i])) {
      const focused = list.contains(document.activeElement)
        ? document.activeElement.dataset.place
        : null;
      shown = next;
      list.replaceChildren(...shown.map(button));
      if (focused !== null) list.querySelector(`[data-place="${focused}"]`)?.focus();
    }
    for (const made of list.children) mark(made);
    const first = list.querySelector('[aria-pressed="true"]') ?? list.firstElementChild;
    if (first) first.tabIndex = 0;
  }

  list.addEventListener('keydown', event => {
    const at = [...list.children].indexOf(document.activeElement);
    const move = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: list.children.length - 1 };
    if (at < 0 || move[event.key] === undefined) return;
    event.preventDefault();
    const next = list.children[Math.max(0, Math.min(list.children.length - 1, move[event.key]))];
    for (const made of list.children) made.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  function select(place) {
    selected = place;
    for (const made of list.children) {
      made.setAttribute('aria-pressed', String(Number(made.dataset.place) === place));
    }
  }

  fill();
  return { refresh: fill, select, thumbnail };
}
