// The answer of a network as bars: probabilities of classes, or values of a regression.
import { element, number, percent } from './dom.js';
import { best } from './examples.js';

const SHOWN = 10; // bars; with a few more classes all are shown
const ALL = 12;

/**
 * Makes the bars of an answer. A click on one chooses the class that is explained.
 *
 * @param {HTMLElement} root an empty list.
 * @param options `classes`, `task`, and `choose(place)`.
 * @returns {{show(probabilities, label, explained)}}
 */
export function bars(root, { classes, task, choose }) {
  const fixed = classes.length <= ALL;
  const rows = Array.from({ length: fixed ? classes.length : SHOWN }, () => {
    const name = element('span', { class: 'bar-name' });
    const fill = element('span', { class: 'bar-fill' });
    const value = element('span', { class: 'bar-value' });
    const button = element(
      'button',
      { type: 'button', class: 'bar', 'aria-pressed': 'false' },
      name,
      element('span', { class: 'bar-track', 'aria-hidden': 'true' }, fill),
      value,
    );
    button.addEventListener('click', () => choose(Number(button.dataset.class)));
    root.append(element('li', {}, button));
    return { name, fill, value, button };
  });

  function order(values) {
    const every = Array.from(values, (_, place) => place);
    return fixed ? every : every.sort((a, b) => values[b] - values[a]).slice(0, SHOWN);
  }

  function show(values, label, explained) {
    const greatest = task === 'regress' ? Math.max(1e-12, ...Array.from(values, Math.abs)) : 1;
    const top = best(values);
    order(values).forEach((place, i) => {
      const { name, fill, value, button } = rows[i];
      const share = Math.abs(values[place]) / greatest;
      if (button.dataset.class !== String(place)) {
        button.dataset.class = place;
        name.textContent = name.title = classes[place];
      }
      fill.style.transform = `scaleX(${share})`;
      value.title = values[place].toPrecision(7);
      value.textContent = task === 'regress' ? number(values[place]) : percent(values[place]);
      button.classList.toggle('top', task === 'multi_label' ? values[place] > 0.5 : place === top);
      button.classList.toggle('truth', [label].flat().includes(place));
      button.setAttribute('aria-pressed', String(place === explained));
    });
  }
  return { show };
}
