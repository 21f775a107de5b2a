// Remembers where the reader is (position, open parts, controls, focus) and restores it after a reload.

const CONTROLS = 'input, select, textarea, button[aria-pressed]';
const RESTORED = 'section.try'; // its controls follow from the state of the page, see address.js
const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex]';

/** The section of an element, by which positions stay valid when other sections change. */
function sectionOf(element) {
  return element.closest('section') ?? document.body;
}

/** A key of an element: its id, or its number among the similar elements of its section. */
function keyOf(element, selector) {
  if (element.id) {
    return `#${element.id}`;
  }
  const section = sectionOf(element);
  const heading = section.querySelector('h2')?.id ?? '';
  return `${heading}/${[...section.querySelectorAll(selector)].indexOf(element)}`;
}

function allWithKeys(selector) {
  return [...document.querySelectorAll(selector)].map(element => [
    keyOf(element, selector),
    element,
  ]);
}

/** [key, control] of the controls whose settings are kept. */
function controls() {
  return allWithKeys(CONTROLS).filter(
    ([, control]) => !control.matches('[type=file]') && !control.closest(RESTORED),
  );
}

function settingOf(control) {
  if (control.matches('button')) {
    return control.getAttribute('aria-pressed');
  }
  return control.matches('[type=checkbox], [type=radio]') ? control.checked : control.value;
}

function set(control, value) {
  if (settingOf(control) === value) {
    return;
  }
  if (control.matches('button, [type=checkbox], [type=radio]')) {
    control.click();
    return;
  }
  control.value = value;
  control.dispatchEvent(new Event('input', { bubbles: true }));
  control.dispatchEvent(new Event('change', { bubbles: true }));
}

/** The last heading above the top of the window, and how far it is above. */
function position() {
  const above = [...document.querySelectorAll('h2[id]')].filter(
    heading => heading.getBoundingClientRect().top <= 1,
  );
  const last = above.at(-1);
  return { heading: last?.id ?? '', offset: -(last ?? document.body).getBoundingClientRect().top };
}

/** Returns the place of the reader as plain data. */
export function read() {
  const focused = document.activeElement;
  return {
    ...position(),
    open: Object.fromEntries(allWithKeys('details').map(([key, part]) => [key, part.open])),
    controls: Object.fromEntries(controls().map(([key, control]) => [key, settingOf(control)])),
    focus: focused && focused !== document.body ? keyOf(focused, FOCUSABLE) : '',
  };
}

/** Scrolls to a position that `read` returned. */
export function scroll(place) {
  const heading = document.getElementById(place.heading) ?? document.body;
  const top = heading.getBoundingClientRect().top + window.scrollY;
  window.scrollTo({ top: top + place.offset, behavior: 'instant' });
}

/** Restores a place that `read` returned. Parts that the new page does not have are left out. */
export function restore(place) {
  for (const [key, part] of allWithKeys('details')) {
    part.open = place.open[key] ?? part.open;
  }
  for (const [key, control] of controls()) {
    if (key in place.controls) {
      set(control, place.controls[key]);
    }
  }
  const focused = allWithKeys(FOCUSABLE).find(([key]) => key === place.focus);
  focused?.[1].focus({ preventScroll: true });
  scroll(place);
}
