import { place, stepping } from './pointing.js';

/** Values of the learning curves under the pointer, or under the arrow keys. */
export function start() {
  for (const figure of document.querySelectorAll('figure.chart')) startChart(figure);
}

function startChart(figure) {
  const svg = figure.querySelector('svg');
  const read = figure.querySelector('.read');
  const pointer = figure.querySelector('.pointer');
  const data = JSON.parse(figure.querySelector('script').textContent);
  const points = Object.values(data).flat();
  const steps = [...new Map(points.map(p => [p[2], p[0]])).entries()].sort((a, b) => a[0] - b[0]);
  const show = stepping(svg, steps.length, index => {
    const [step, x] = steps[index];
    pointer.setAttribute('x1', x);
    pointer.setAttribute('x2', x);
    read.textContent = `step ${step.toLocaleString('en')}${epoch(figure, step)}: ${values(data, step)}`;
  });
  svg.addEventListener('pointermove', event => {
    const x = place(svg, event).x;
    let best = 0;
    steps.forEach((step, index) => {
      if (Math.abs(step[1] - x) < Math.abs(steps[best][1] - x)) best = index;
    });
    show(best);
  });
}

function epoch(figure, step) {
  return figure.dataset.epoch ? ` (epoch ${(step / figure.dataset.epoch).toFixed(1)})` : '';
}

function values(data, step) {
  const parts = Object.entries(data).map(([label, points]) => {
    const nearest = points.reduce((a, b) =>
      Math.abs(b[2] - step) < Math.abs(a[2] - step) ? b : a,
    );
    const elsewhere = nearest[2] === step ? '' : ` (step ${nearest[2].toLocaleString('en')})`;
    return `${label} ${nearest[3]}${elsewhere}`;
  });
  return parts.join(', ');
}
