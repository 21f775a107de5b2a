// The confusion matrix, the calibration and the map, linked with the images of their examples.
import { data, Images, load, tile } from './images.js';
import { fromState, matching, NONE, ofBin, ofCell, toState } from './selection.js';

const SHOWN = 24; // images of a selection, and how many more are added
const MOVES = { ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0] };

/** Starts the linked views, if the page has the predictions of a classifier. */
export function start() {
  const images = new Images(data('examples'));
  const predictions = data('predictions');
  const gallery = predictions ? startGallery(predictions, images) : null;
  if (gallery) {
    startMatrix(gallery);
    startCalibration(gallery);
  }
  startMaps(gallery, images);
}

/** Shows the images of a selection, and of the cell or bar at which the reader points. */
function startGallery(predictions, images) {
  const panel = document.querySelector('.linked-images');
  const form = panel.querySelector('form');
  const list = panel.querySelector('.tiles');
  const count = panel.querySelector('.count');
  const more = panel.querySelector('.more');
  const watchers = [];
  let kept = NONE;
  let shown = NONE;
  let most = SHOWN;
  let note = '';

  const text = place => {
    const [truth, predicted] = [predictions.label[place], predictions.predicted[place]];
    const names = [truth, ...(truth === predicted ? [] : [predicted])];
    const share = (predictions.confidence[place] / 10).toFixed(0);
    return `${names.map(name => predictions.classes[name]).join(' → ')} (${share}\u00a0%)`;
  };
  const draw = selection => {
    shown = selection;
    const found = matching(predictions, selection);
    const pictured = images.examples ? found.filter(place => images.has(place)) : found;
    list.replaceChildren(...pictured.slice(0, most).map(place => tile(images, place, text(place))));
    more.hidden = pictured.length <= most;
    const examples = found.length === 1 ? 'example' : 'examples';
    const withImages =
      pictured.length < found.length ? `, ${pictured.length} of them with an image here` : '';
    count.textContent = `${found.length.toLocaleString('en')} ${examples}${withImages}. ${note}`;
    for (const watch of watchers) {
      watch(selection, new Set(found));
    }
  };
  const keep = (selection, why = '') => {
    kept = selection;
    most = SHOWN;
    note = why;
    for (const name of ['true', 'predicted', 'show', 'order']) {
      form.elements[name].value = selection[name] ?? '';
    }
    draw(kept);
    document.dispatchEvent(new CustomEvent('jaxdl:state', { detail: toState(kept) }));
  };
  const fromForm = () => {
    const number = name => (form.elements[name].value ? Number(form.elements[name].value) : null);
    keep({
      true: number('true'),
      predicted: number('predicted'),
      bin: null,
      show: form.elements.show.value,
      order: form.elements.order.value,
    });
  };

  panel.hidden = false;
  form.addEventListener('change', fromForm);
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('reset', event => {
    event.preventDefault();
    keep(NONE);
  });
  more.addEventListener('click', () => {
    most += SHOWN;
    draw(kept);
  });
  document.addEventListener('jaxdl:restore', ({ detail }) => {
    keep(fromState(detail, predictions.classes.length));
  });
  draw(kept);
  return {
    /** Shows a selection until `leave`. */
    point: (selection, why) => {
      note = why;
      draw(selection);
    },
    leave: () => {
      if (shown !== kept) {
        note = '';
        draw(kept); // not otherwise, because new tiles would lose the focus
      }
    },
    keep,
    /** Moves the focus to the first image. */
    enter: () => list.querySelector('button')?.focus(),
    /** Calls a function with the selection that is shown and the positions of its examples. */
    watch: watch => {
      watchers.push(watch);
      watch(kept, new Set(matching(predictions, kept)));
    },
    predictions,
  };
}

function startMatrix(gallery) {
  const table = document.querySelector('.matrix table');
  const cells = [...table.tBodies[0].rows].map(row => [...row.cells].slice(1));
  const { classes } = gallery.predictions;
  const describe = (row, column) =>
    `true ${classes[row]}, predicted ${classes[column]}: ${cells[row][column].textContent || 0}`;
  table.setAttribute('role', 'grid');
  table.setAttribute('aria-label', 'Confusion matrix');
  cells.flat().forEach((cell, place) => {
    const [row, column] = [Math.floor(place / classes.length), place % classes.length];
    cell.tabIndex = place === 0 ? 0 : -1;
    cell.title = describe(row, column);
    cell.setAttribute('aria-label', describe(row, column));
    cell.addEventListener('pointerenter', () => gallery.point(ofCell(row, column), cell.title));
    cell.addEventListener('pointerleave', gallery.leave);
    cell.addEventListener('focus', () => gallery.point(ofCell(row, column), cell.title));
    cell.addEventListener('blur', gallery.leave);
    cell.addEventListener('click', () => gallery.keep(ofCell(row, column), cell.title));
    cell.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        gallery.keep(ofCell(row, column), cell.title);
        gallery.enter();
      } else if (event.key in MOVES) {
        event.preventDefault();
        const [down, right] = MOVES[event.key];
        const next = cells[row + down]?.[column + right];
        if (next) {
          cell.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
        }
      }
    });
  });
  gallery.watch(selection => {
    cells.forEach((row, truth) => {
      row.forEach((cell, predicted) => {
        const chosen = selection.true === truth && selection.predicted === predicted;
        cell.classList.toggle('chosen', chosen);
      });
    });
  });
}

function startCalibration(gallery) {
  const svg = document.querySelector('.reliability svg');
  if (!svg) {
    return;
  }
  const bins = [...svg.querySelectorAll('.bin')];
  let at = -1;
  const point = number => gallery.point(ofBin(number), bins[number].dataset.text);
  bins.forEach((bin, number) => {
    bin.addEventListener('pointerenter', () => point(number));
    bin.addEventListener('pointerleave', gallery.leave);
    bin.addEventListener('click', () => {
      at = number;
      gallery.keep(ofBin(number), bin.dataset.text);
    });
  });
  svg.addEventListener('blur', gallery.leave);
  svg.addEventListener('keydown', event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) {
      event.preventDefault();
      at = Math.min(bins.length - 1, Math.max(0, at < 0 ? 0 : at + move));
      point(at);
    } else if (event.key === 'Enter' && at >= 0) {
      event.preventDefault();
      gallery.keep(ofBin(at), bins[at].dataset.text);
      gallery.enter();
    }
  });
  gallery.watch(selection => {
    bins.forEach((bin, number) => {
      bin.classList.toggle('chosen', selection.bin === number);
    });
  });
}

/** A click on a dot of a map loads its example; dots of other examples than the selected ones fade. */
function startMaps(gallery, images) {
  for (const figure of document.querySelectorAll('figure.map')) {
    const svg = figure.querySelector('svg');
    const dots = [...svg.querySelectorAll('circle')];
    const chosen = () => dots.findIndex(dot => dot.classList.contains('chosen'));
    const open = () => {
      if (images.has(chosen())) {
        load(chosen());
      }
    };
    svg.addEventListener('click', open);
    svg.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        open();
      }
    });
    gallery?.watch((selection, found) => {
      const isAll = selection === NONE;
      dots.forEach((dot, index) => {
        dot.classList.toggle('faded', !isAll && !found.has(index));
      });
    });
  }
}
