// The area to draw on: with a mouse, a finger or a pen, or with the arrow keys and the space bar.

const STEP = 0.02; // of the side, for an arrow key
const SHIFT = 0.1;

/**
 * Makes a canvas an area to draw on.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {{light: boolean, pen: () => number, changed: (strokes) => void, say: (text) => void}}
 *   options `light`: dark ink on a light background; `pen`: width as a share of the side.
 * @returns {{clear, undo, redraw, show, strokes}}
 */
export function pad(canvas, options) {
  const strokes = [];
  const pen = { x: 0.5, y: 0.5, down: false, shown: false };
  let pointer = null;

  function redraw() {
    const side = Math.round(280 * (window.devicePixelRatio || 1));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext('2d');
    const [ground, ink] = options.light ? ['#fff', '#000'] : ['#000', '#fff'];
    context.fillStyle = ground;
    context.fillRect(0, 0, side, side);
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = options.pen() * side;
    context.lineCap = context.lineJoin = 'round';
    for (const stroke of strokes) line(context, stroke, side);
    if (!strokes.length) {
      context.fillStyle = options.light ? '#666' : '#999';
      context.font = `${Math.round(side / 14)}px system-ui, sans-serif`;
      context.textAlign = 'center';
      context.fillText('Draw here', side / 2, side / 2);
    }
    if (pen.shown) cross(context, side);
  }

  function line(context, stroke, side) {
    context.beginPath();
    context.moveTo(stroke[0][0] * side, stroke[0][1] * side);
    for (let i = 1; i + 1 < stroke.length; i++) {
      const [a, b] = [stroke[i], stroke[i + 1]];
      const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      context.quadraticCurveTo(a[0] * side, a[1] * side, middle[0] * side, middle[1] * side);
    }
    const last = stroke[stroke.length - 1];
    context.lineTo(last[0] * side, last[1] * side);
    context.stroke();
  }

  function cross(context, side) {
    context.lineWidth = side / 140;
    context.strokeStyle = pen.down ? '#e69f00' : '#56b4e9';
    context.beginPath();
    for (const [x, y] of [
      [1, 0],
      [0, 1],
    ]) {
      context.moveTo((pen.x - 0.04 * x) * side, (pen.y - 0.04 * y) * side);
      context.lineTo((pen.x + 0.04 * x) * side, (pen.y + 0.04 * y) * side);
    }
    context.stroke();
  }

  function add(x, y, begins) {
    const point = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
    if (begins) strokes.push([point]);
    else strokes[strokes.length - 1].push(point);
    redraw();
    options.changed(strokes);
  }

  function at(event, begins) {
    const frame = canvas.getBoundingClientRect();
    add(
      (event.clientX - frame.left) / frame.width,
      (event.clientY - frame.top) / frame.height,
      begins,
    );
  }

  canvas.addEventListener('pointerdown', event => {
    if (event.button !== 0 || pointer !== null) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    pen.shown = pen.down = false;
    pointer = event.pointerId;
    if (event.isTrusted) canvas.setPointerCapture(pointer);
    at(event, true);
  });
  canvas.addEventListener('pointermove', event => {
    if (event.pointerId !== pointer) return;
    for (const part of event.getCoalescedEvents?.() ?? []) at(part, false);
    at(event, false);
  });
  for (const name of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(name, event => {
      if (event.pointerId === pointer) pointer = null;
    });
  }
  canvas.addEventListener('keydown', event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (move) {
      const step = event.shiftKey ? SHIFT : STEP;
      pen.x = Math.min(1, Math.max(0, pen.x + step * move[0]));
      pen.y = Math.min(1, Math.max(0, pen.y + step * move[1]));
      pen.shown = true;
      if (pen.down) add(pen.x, pen.y, false);
    } else if (event.key === ' ' || event.key === 'Enter') {
      pen.shown = true;
      pen.down = !pen.down;
      options.say(pen.down ? 'Pen down' : 'Pen up');
      if (pen.down) add(pen.x, pen.y, true);
    } else if (event.key === 'Backspace' || event.key === 'Delete') {
      undo();
    } else return;
    event.preventDefault();
    redraw();
  });
  canvas.addEventListener('blur', () => {
    pen.shown = pen.down = false;
    redraw();
  });

  function undo() {
    if (!strokes.length) return;
    strokes.pop();
    pen.down = false;
    redraw();
    options.changed(strokes);
  }

  function clear({ quiet = false } = {}) {
    strokes.length = 0;
    pen.down = false;
    redraw();
    if (!quiet) options.changed(strokes);
  }

  /** Shows other strokes. */
  function show(others) {
    strokes.splice(0, strokes.length, ...others);
    redraw();
    options.changed(strokes);
  }

  redraw();
  return { clear, undo, redraw, show, strokes };
}
