// "Try it" for networks of vectors: number fields.
import { bars } from './bars.js';
import { element, number, percent } from './dom.js';
import { best } from './examples.js';
import { announce, connect, namesOf, voice } from './parts.js';

/** A number without the rounding error of its standardisation: six digits of the deviation. */
export function unscaled(value, deviation) {
  const digits = 5 - Math.floor(Math.log10(deviation || 1));
  return Number(value.toFixed(Math.min(Math.max(digits, 0), 20)));
}

/** Starts the section. */
export function start(section, { description, run, examples, settings }) {
  const { task, input } = description;
  const classes = namesOf(description);
  const find = selector => section.querySelector(selector);
  const [note, headline, chosen] = [
    find('.fields-note'),
    find('.headline'),
    find('[data-set="example"]'),
  ];
  const speaker = voice(section);
  let label;
  const answer = bars(find('.bars'), { classes, task: task.name, choose() {} });
  const fields = settings.features.map(name => {
    const field = element('input', { type: 'number', step: 'any', value: 0, oninput: typed });
    find('.fields').append(element('label', {}, element('span', { text: name }), field));
    return field;
  });

  function typed() {
    label = undefined;
    show();
  }

  function show() {
    const values = fields.map(field => field.valueAsNumber);
    const missing = values.findIndex(value => !Number.isFinite(value));
    speaker.show(missing < 0 ? '' : `${settings.features[missing]}: give a number.`);
    if (missing >= 0) return;
    const { probabilities } = run.trace(run.network.prepare(Float32Array.from(values)));
    answer.show(probabilities, label, null);
    const top = best(probabilities);
    headline.textContent =
      task.name === 'regress'
        ? classes.map((name, i) => `${name} ${number(probabilities[i])}`).join(', ')
        : `${classes[top]}, ${percent(probabilities[top])}`;
    speaker.say(headline.textContent);
  }

  function pick(place) {
    const values = examples.inputs[place];
    const at = (list, i) => list[list.length === 1 ? 0 : i] ?? 0;
    fields.forEach((field, i) => {
      const deviation = at(input.deviation, i);
      field.value = unscaled(values[i] * deviation + at(input.mean, i), deviation);
    });
    label = examples.label?.[place];
    chosen.value = place;
    const truth = examples.value
      ? classes.map((name, i) => `${name} ${number(examples.value[place][i])}`).join(', ')
      : [label]
          .flat()
          .map(one => classes[one])
          .join(', ');
    note.textContent = `of the ${examples.split} split: ${truth}`;
    show();
    announce({ image: examples.index[place] });
  }

  chosen.max = (examples?.inputs.length ?? 1) - 1;
  chosen.disabled = !examples;
  chosen.addEventListener('input', () => {
    const place = chosen.valueAsNumber;
    const last = examples.inputs.length - 1;
    if (Number.isInteger(place) && place >= 0 && place <= last) pick(place);
    else note.textContent = `give an integer from 0 to ${last}`;
  });
  connect({ examples, ready: Promise.resolve(), pick, restore() {} });
  if (examples) pick(0);
  else show();
  return Promise.resolve();
}
