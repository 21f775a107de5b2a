'use strict';
// Values under the pointer, or under the arrow keys, of learning curves and of the map of features; the words of commands.
function stepping(svg, count, show) {
  let at = -1;
  svg.addEventListener('keydown', event => {
    const move = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (move === undefined || !count) return;
    event.preventDefault();
    at = Math.min(count - 1, Math.max(0, at + move));
    show(at);
  });
  return index => { at = index; show(index); };
}
function place(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  return point.matrixTransform(svg.getScreenCTM().inverse());
}
for (const code of document.querySelectorAll('pre.command code')) {
  code.replaceChildren(...code.textContent.split(/( +)/).map(text =>
    text.trim() ? Object.assign(document.createElement('span'), {textContent: text}) : text));
}
for (const figure of document.querySelectorAll('figure.chart')) {
  const svg = figure.querySelector('svg'), read = figure.querySelector('.read'), pointer = figure.querySelector('.pointer');
  const data = JSON.parse(figure.querySelector('script').textContent);
  const steps = [...new Map(Object.values(data).flat().map(p => [p[2], p[0]])).entries()].sort((a, b) => a[0] - b[0]);
  const show = stepping(svg, steps.length, index => {
    const [step, x] = steps[index];
    pointer.setAttribute('x1', x);
    pointer.setAttribute('x2', x);
    const parts = Object.entries(data).map(([label, points]) => {
      const nearest = points.reduce((a, b) => Math.abs(b[2] - step) < Math.abs(a[2] - step) ? b : a);
      return `${label} ${nearest[3]}` + (nearest[2] === step ? '' : ` (step ${nearest[2].toLocaleString('en')})`);
    });
    const epoch = figure.dataset.epoch ? ` (epoch ${(step / figure.dataset.epoch).toFixed(1)})` : '';
    read.textContent = `step ${step.toLocaleString('en')}${epoch}: ${parts.join(', ')}`;
  });
  svg.addEventListener('pointermove', event => {
    const x = place(svg, event).x;
    let best = 0;
    steps.forEach((step, index) => { if (Math.abs(step[1] - x) < Math.abs(steps[best][1] - x)) best = index; });
    show(best);
  });
}
for (const figure of document.querySelectorAll('figure.map')) {
  const svg = figure.querySelector('svg'), read = figure.querySelector('.read'), seen = figure.querySelector('.thumbnail');
  const map = JSON.parse(figure.querySelector('script').textContent), circles = svg.querySelectorAll('circle');
  const scale = 96 / Math.max(...map.size), [width, height] = map.size.map(side => side * scale);
  seen.style.backgroundImage = `url("${map.sprite}")`;
  seen.style.backgroundSize = `${map.columns * width}px auto`;
  [seen.style.width, seen.style.height] = [`${width}px`, `${height}px`];
  let chosen = null;
  const show = stepping(svg, circles.length, index => {
    if (chosen) chosen.classList.remove('chosen');
    chosen = circles[index];
    chosen.classList.add('chosen');
    const row = Math.floor(index / map.columns), column = index % map.columns;
    seen.style.backgroundPosition = `${-width * column}px ${-height * row}px`;
    read.textContent = `example ${index}: ${map.classes[map.points[index][2]]}`;
  });
  svg.addEventListener('pointermove', event => {
    const {x, y} = place(svg, event);
    let best = 0, distance = Infinity;
    map.points.forEach((point, index) => {
      const here = (point[0] - x) ** 2 + (point[1] - y) ** 2;
      if (here < distance) [best, distance] = [index, here];
    });
    if (distance < 400) show(best);
  });
}
