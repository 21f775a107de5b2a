import { place, stepping } from './pointing.js';
import { labels, limits, logTicks, smoothed, ticks } from './scale.js';

const SVG = 'http://www.w3.org/2000/svg';
const SUPERSCRIPT = {
  '-': '⁻',
  0: '⁰',
  1: '¹',
  2: '²',
  3: '³',
  4: '⁴',
  5: '⁵',
  6: '⁶',
  7: '⁷',
  8: '⁸',
  9: '⁹',
};

/** Learning curves: values under the pointer or the arrow keys, and the controls above them. */
export function start() {
  const charts = [...document.querySelectorAll('figure.chart')].map(figure => new Chart(figure));
  if (!charts.length) return;
  const choices = { log: false, weight: 0, unit: 'step', metric: '', hidden: new Set() };
  const redraw = () => {
    for (const chart of charts) chart.draw(choices);
  };
  const tools = document.querySelector('.chart-tools');
  tools?.addEventListener('input', () => {
    choices.log = tools.elements.log.checked;
    choices.weight = Number(tools.elements.smoothing.value);
    choices.unit = tools.elements.unit.value;
    choices.metric = tools.elements.metric?.value ?? '';
    redraw();
  });
  for (const button of document.querySelectorAll('.chart .legend button')) {
    button.addEventListener('click', () => {
      const name = button.dataset.name;
      choices.hidden[choices.hidden.has(name) ? 'delete' : 'add'](name);
      for (const other of document.querySelectorAll('.chart .legend button')) {
        if (other.dataset.name === name) {
          other.setAttribute('aria-pressed', String(!choices.hidden.has(name)));
        }
      }
      redraw();
    });
  }
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector('svg');
    this.read = figure.querySelector('.read');
    this.pointer = figure.querySelector('.pointer');
    const { left, right, top, bottom, cut, epoch, log } = figure.dataset;
    this.box = { left: +left, right: +right, top: +top, bottom: +bottom };
    this.cut = cut;
    this.epoch = Number(epoch) || 0;
    this.mayLog = log === '1';
    const data = JSON.parse(figure.querySelector('script').textContent);
    this.lines = [...this.svg.querySelectorAll('.line')].map(element => ({
      element,
      label: element.dataset.label,
      group: element.dataset.group,
      points: data[element.dataset.label].map(([x, , step, text]) => ({
        x,
        step,
        text,
        value: Number(text),
      })),
    }));
    this.visible = this.lines;
    this.order();
    const show = stepping(
      this.svg,
      () => this.steps.length,
      index => this.show(index),
    );
    this.svg.addEventListener('pointermove', event => {
      const x = place(this.svg, event).x;
      let best = 0;
      this.steps.forEach((step, index) => {
        if (Math.abs(step[1] - x) < Math.abs(this.steps[best][1] - x)) best = index;
      });
      if (this.steps.length) show(best);
    });
  }

  /** Sorts the places at which the pointer stops. */
  order() {
    const points = this.visible.flatMap(line => line.points);
    this.steps = [...new Map(points.map(p => [p.step, p.x])).entries()].sort((a, b) => a[1] - b[1]);
  }

  show(index) {
    const [step, x] = this.steps[index];
    this.pointer.setAttribute('x1', x);
    this.pointer.setAttribute('x2', x);
    const epoch = this.epoch ? ` (epoch ${(step / this.epoch).toFixed(1)})` : '';
    const parts = this.visible.map(({ label, points }) => {
      const nearest = points.reduce((a, b) =>
        Math.abs(b.step - step) < Math.abs(a.step - step) ? b : a,
      );
      const elsewhere = nearest.step === step ? '' : ` (step ${nearest.step.toLocaleString('en')})`;
      return `${label} ${nearest.text}${elsewhere}`;
    });
    this.read.textContent = `step ${step.toLocaleString('en')}${epoch}: ${parts.join(', ')}`;
  }

  draw({ log, weight, unit, metric, hidden }) {
    this.figure.hidden = metric !== '' && metric !== this.figure.dataset.metric;
    for (const line of this.lines) line.element.classList.toggle('off', hidden.has(line.group));
    this.visible = this.lines.filter(line => !hidden.has(line.group));
    if (!this.visible.length) return;
    for (const line of this.visible) {
      const values = smoothed(
        line.points.map(point => point.value),
        weight,
      );
      const last = line.points[line.points.length - 1].step || 1;
      line.points.forEach((point, index) => {
        point.y = values[index];
        point.at = this.across(point.step, unit, last);
      });
    }
    const points = this.visible.flatMap(line => line.points);
    const asLog = log && this.mayLog && points.every(point => point.y > 0);
    const [low, high] = limits(
      points.map(point => point.y),
      asLog ? '' : this.cut,
    );
    const greatest = Math.max(...points.map(point => point.at)) || 1;
    const { left, right, top, bottom } = this.box;
    const scaled = asLog ? Math.log10 : value => value;
    const height = value =>
      bottom - ((bottom - top) * (scaled(value) - scaled(low))) / (scaled(high) - scaled(low));
    const width = at => left + ((right - left) * at) / greatest;
    for (const line of this.visible) {
      for (const point of line.points) point.x = Math.round(width(point.at) * 10) / 10;
      const placed = line.points.map(point => [point.x, height(point.y).toFixed(1)]);
      if (line.element.dataset.mark)
        line.element.setAttribute('transform', `translate(${placed[0]})`);
      else line.element.setAttribute('points', placed.map(pair => pair.join(',')).join(' '));
    }
    this.axis('.y-axis', asLog ? logTicks(low, high) : ticks(low, high), height);
    this.axis('.x-axis', ticks(0, greatest), width, unit);
    this.pointer.setAttribute('x1', -9);
    this.pointer.setAttribute('x2', -9);
    this.order();
  }

  across(step, unit, last) {
    if (unit === 'epoch' && this.epoch) return step / this.epoch;
    return unit === 'share' ? (100 * step) / last : step;
  }

  axis(name, values, place, unit) {
    const { left, right, bottom, top } = this.box;
    const across = name === '.x-axis';
    const { texts, power } = across
      ? { texts: values.map(value => value.toLocaleString('en')), power: 0 }
      : labels(values);
    const parts = values.flatMap((value, index) => {
      const at = place(value).toFixed(1);
      if (across) return [text(at, bottom + 20, 'middle', texts[index])];
      const line = make('line', { class: 'grid', x1: left, x2: right, y1: at, y2: at });
      return [line, text(left - 6, Number(at) + 5, 'end', texts[index])];
    });
    if (power) parts.push(text(left, top - 9, 'end', `× 10${superscript(power)}`));
    if (across)
      parts.push(
        text(
          right,
          bottom + 39,
          'end',
          { epoch: 'epochs', share: '% of the run' }[unit] ?? 'steps',
        ),
      );
    this.svg.querySelector(name).replaceChildren(...parts);
  }
}

function text(x, y, anchor, content) {
  const element = make('text', { x, y, 'text-anchor': anchor });
  element.textContent = content;
  return element;
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function superscript(power) {
  return [...String(power)].map(letter => SUPERSCRIPT[letter]).join('');
}
