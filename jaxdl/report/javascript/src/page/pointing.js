/**
 * Steps through the values of a picture with the arrow keys.
 *
 * @param {SVGSVGElement} svg the picture, which has the keyboard focus
 * @param {number | () => number} count the number of values
 * @param {(index: number) => void} show shows one value
 * @returns {(index: number) => void} shows a value and continues from it
 */
export function stepping(svg, count, show) {
  let at = -1;
  svg.addEventListener('keydown', event => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const all = typeof count === 'function' ? count() : count;
    if (move === undefined || !all) return;
    event.preventDefault();
    at = Math.min(all - 1, Math.max(0, at + move));
    show(at);
  });
  return index => {
    at = index;
    show(index);
  };
}

/**
 * The place of the pointer in the coordinates of a picture.
 *
 * @param {SVGSVGElement} svg the picture
 * @param {PointerEvent} event the event
 * @returns {DOMPoint}
 */
export function place(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  return point.matrixTransform(svg.getScreenCTM().inverse());
}
