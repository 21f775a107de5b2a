import { place, stepping } from './pointing.js';

/** The image of the point of the map of features under the pointer, or under the arrow keys. */
export function start() {
  let sprite = ''; // several maps of the same examples share the images of the first one
  for (const figure of document.querySelectorAll('figure.map')) {
    const map = JSON.parse(figure.querySelector('script').textContent);
    sprite = map.sprite || sprite;
    startMap(figure, { ...map, sprite });
  }
}

function startMap(figure, map) {
  const svg = figure.querySelector('svg');
  const read = figure.querySelector('.read');
  const seen = figure.querySelector('.thumbnail');
  const circles = svg.querySelectorAll('circle');
  const scale = 96 / Math.max(...map.size);
  const [width, height] = map.size.map(side => side * scale);
  seen.style.backgroundImage = `url("${map.sprite}")`;
  seen.style.backgroundSize = `${map.columns * width}px auto`;
  [seen.style.width, seen.style.height] = [`${width}px`, `${height}px`];
  let chosen = null;
  const show = stepping(svg, circles.length, index => {
    if (chosen) chosen.classList.remove('chosen');
    chosen = circles[index];
    chosen.classList.add('chosen');
    const row = Math.floor(index / map.columns);
    const column = index % map.columns;
    seen.style.backgroundPosition = `${-width * column}px ${-height * row}px`;
    read.textContent = `example ${index}: ${map.classes[map.points[index][2]]}`;
  });
  svg.addEventListener('pointermove', event => {
    const { x, y } = place(svg, event);
    const index = nearest(map.points, x, y);
    if (index !== null) show(index);
  });
}

function nearest(points, x, y) {
  let [best, distance] = [null, 400];
  points.forEach((point, index) => {
    const here = (point[0] - x) ** 2 + (point[1] - y) ** 2;
    if (here < distance) [best, distance] = [index, here];
  });
  return best;
}
