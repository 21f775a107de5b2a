// "Try it" for language models: a text to type, its surprise, its next characters, a unit.
import { bars } from './bars.js';
import { characterName, element, number, percent } from './dom.js';
import { announce, connect, voice } from './parts.js';
import { greatest, onColours, tint } from './pictures.js';
import { drawn, encode, reader } from './reading.js';

const BUDGET = 12; // milliseconds of reading in each frame
const SURPRISING = 8; // bits that get the strongest colour
const FIRST = 160; // characters of the data that are shown at the beginning
const MOST = 4000;
const UNITS = ['rnn', 'lstm', 'gru', 'attention', 'residual', 'dense']; // kinds whose units are shown

/** Starts the section. */
export function start(section, { description, run, examples }) {
  const { classes } = description;
  const find = selector => section.querySelector(selector);
  const set = name => find(`[data-set="${name}"]`);
  const act = name => find(`[data-do="${name}"]`);
  const [input, note, shown] = [find('textarea'), find('.text-note'), find('.read-text')];
  const about = find('.character-note');
  const speaker = voice(section);
  const text = reader(run.network);
  let wanted = []; // positions in the vocabulary of the whole text
  let here = null; // the character that is pointed at
  let written = null; // the first character that the network wrote
  let writing = 0; // characters that it has still to write
  let frame = null;

  const answer = bars(find('.bars'), {
    classes: classes.map(characterName),
    task: 'next_char',
    choose: place => {
      stop();
      here = null;
      input.value += classes[place];
      changed();
    },
  });

  input.addEventListener('input', () => {
    stop();
    written = null;
    here = null;
    changed();
    tell();
  });

  function changed() {
    const { indices, unknown } = encode(input.value, classes);
    wanted = indices.slice(0, MOST);
    text.keep(wanted);
    if (unknown.length) {
      const names = unknown.slice(0, 8).map(one => `“${characterName(one)}”`);
      const more = unknown.length > names.length ? ' and others' : '';
      note.textContent =
        `The network does not know ${names.join(', ')}${more}: left out. ` +
        `Its vocabulary has ${classes.length} characters.`;
    } else {
      note.textContent = wanted.length ? '\u00a0' : 'The text is empty: type a character.';
    }
    if (note.textContent.trim()) speaker.say(note.textContent);
    go();
  }

  function go() {
    if (frame === null) frame = requestAnimationFrame(read);
  }

  function read() {
    frame = null;
    const began = performance.now();
    while (performance.now() - began < BUDGET) {
      if (text.read.length < wanted.length) text.next(wanted[text.read.length]);
      else if (!writing) break;
      else write();
    }
    show();
    if (text.read.length < wanted.length || writing) go();
    else if (!writing) finished();
  }

  function write() {
    const last = text.read[text.read.length - 1];
    const temperature = Number(set('temperature').value);
    const next = drawn(last.logits, temperature, Math.random());
    wanted.push(next);
    input.value += classes[next];
    writing--;
    if (wanted.length >= MOST) writing = 0;
  }

  function finished() {
    act('write').disabled = false;
    act('stop').disabled = true;
  }

  function stop() {
    writing = 0;
    finished();
  }

  act('write').addEventListener('click', () => {
    if (!wanted.length) {
      note.textContent = 'The text is empty: type a character first.';
      speaker.say(note.textContent);
      return;
    }
    const length = Number(set('length').value);
    if (!(length >= 1 && length <= 2000)) {
      note.textContent = 'Characters: give a number from 1 to 2,000.';
      speaker.say(note.textContent);
      return;
    }
    // Characters that the network does not know are not in the text that it continues.
    input.value = wanted.map(place => classes[place]).join('');
    here = null;
    written = wanted.length;
    writing = Math.round(length);
    act('write').disabled = true;
    act('stop').disabled = false;
    go();
  });
  act('stop').addEventListener('click', stop);
  set('temperature').addEventListener('input', () => {
    find('.temperature').textContent = Number(set('temperature').value).toFixed(2);
  });

  // The text, coloured.
  function show() {
    const { read } = text;
    while (shown.children.length > read.length) shown.lastChild.remove();
    for (let place = shown.children.length; place < read.length; place++) {
      shown.append(element('span', { 'data-place': place }));
    }
    prepareUnits();
    const colouring = set('colour').value === 'unit' ? byUnit() : bySurprise;
    read.forEach((one, place) => {
      const span = shown.children[place];
      const character = classes[one.index];
      const visible = character === '\n' ? '⏎\n' : character;
      if (span.textContent !== visible) span.textContent = visible;
      span.style.backgroundColor = colouring(place);
      span.classList.toggle('here', place === here);
      span.classList.toggle('written', written !== null && place >= written);
    });
    if (writing) shown.scrollTop = shown.scrollHeight;
    showNext();
  }

  const bySurprise = place => {
    const bits = text.bits(place);
    return bits === null ? 'transparent' : tint(-bits, SURPRISING);
  };

  function byUnit() {
    const [layer, unit] = [set('layer').value, Number(set('unit').value)];
    const values = text.read.map(one => one.outputs.get(layer)?.data.at(unit) ?? 0);
    const scale = greatest(values);
    return place => tint(values[place], scale);
  }

  function prepareUnits() {
    const layer = set('layer');
    if (layer.options.length || !text.read.length) return;
    for (const one of run.network.layers) {
      if (one.name === 'logits' || !UNITS.includes(one.kind)) continue;
      layer.append(element('option', { value: one.name, text: one.name }));
    }
    layer.selectedIndex = layer.options.length - 1;
    limitUnit();
  }

  function limitUnit() {
    const size = text.read[0]?.outputs.get(set('layer').value)?.data.length ?? 1;
    set('unit').max = size - 1;
    find('output.unit').textContent = set('unit').value;
  }

  function showNext() {
    const { read } = text;
    const place = here ?? read.length - 1;
    if (!read.length) {
      answer.show(new Float32Array(classes.length), undefined, null);
      about.textContent = '\u00a0';
      return;
    }
    const following = read[place + 1]?.index;
    answer.show(read[place].probabilities, following, null);
    about.textContent = here === null ? summary() : describe(place);
  }

  function summary() {
    const bits = text.read.map((_, place) => text.bits(place)).filter(value => value !== null);
    if (!bits.length) return '\u00a0';
    const mean = bits.reduce((a, b) => a + b, 0) / bits.length;
    return `${mean.toFixed(2)} bits per character over ${bits.length + 1} characters.`;
  }

  function describe(place) {
    const one = text.read[place];
    const bits = text.bits(place);
    const name = `“${characterName(classes[one.index])}”`;
    const surprise =
      bits === null ? 'the first character is not predicted' : `${bits.toFixed(2)} bits`;
    const before = bits === null ? '' : `, probability ${percent(2 ** -bits)}`;
    if (set('colour').value !== 'unit') return `${name}: ${surprise}${before}.`;
    const value = one.outputs.get(set('layer').value).data[Number(set('unit').value)];
    return `${name}: unit ${set('unit').value} of ${set('layer').value} ${number(value)}.`;
  }

  function pointed(place) {
    if (place === here) return;
    shown.children[here]?.classList.remove('here');
    here = place;
    shown.children[here]?.classList.add('here');
    showNext();
  }
  shown.addEventListener('pointermove', event => {
    const place = event.target.dataset?.place;
    if (place !== undefined) pointed(Number(place));
  });
  shown.addEventListener('pointerleave', () => pointed(null));
  shown.addEventListener('blur', () => pointed(null));
  shown.addEventListener('keydown', event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !text.read.length) return;
    event.preventDefault();
    const from = here ?? (move > 0 ? -1 : text.read.length);
    pointed(Math.min(text.read.length - 1, Math.max(0, from + move)));
    shown.children[here].scrollIntoView({ block: 'nearest' });
  });

  function recolour() {
    const on = set('colour').value === 'unit';
    for (const choice of section.querySelectorAll('.unit-choice'))
      choice.classList.toggle('off', !on);
    set('layer').disabled = set('unit').disabled = !on;
    limitUnit();
    find('.colour-note').textContent = on
      ? 'Blue: the unit is positive; orange: negative.'
      : `The stronger the orange, the more surprising the character: full colour from ${SURPRISING} bits.`;
    show();
  }
  for (const name of ['colour', 'layer', 'unit']) {
    set(name).addEventListener('input', () => {
      recolour();
      tell();
    });
  }

  function tell() {
    const unit = set('colour').value === 'unit';
    announce({
      text: input.value,
      layer: unit ? set('layer').value : null,
      channel: unit ? Number(set('unit').value) : null,
    });
  }

  onColours(show);
  connect({
    examples: null,
    ready: Promise.resolve(),
    pick() {},
    restore(found) {
      if (typeof found.text === 'string' && found.text !== input.value) {
        input.value = found.text;
        changed();
      }
      const known = [...set('layer').options].some(option => option.value === found.layer);
      if (!known) return;
      set('colour').value = 'unit';
      set('layer').value = found.layer;
      limitUnit();
      set('unit').value = found.channel ?? 0;
      recolour();
    },
  });
  recolour();
  const begin = examples?.characters?.slice(0, FIRST) ?? encode('The ', classes).indices;
  input.value = begin.map(place => classes[place]).join('');
  changed();
  return Promise.resolve();
}
