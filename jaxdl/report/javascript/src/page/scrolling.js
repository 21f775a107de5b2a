/** Parts that are wider than the screen get the keyboard focus, so that the arrow keys scroll them. */
export function start() {
  const parts = [...document.querySelectorAll('.wide, .picture .frame')];
  const observer = new ResizeObserver(entries => {
    for (const { target } of entries) adapt(target);
  });
  for (const part of parts) observer.observe(part);
}

function adapt(part) {
  const scrolls = part.scrollWidth > part.clientWidth + 1;
  if (!scrolls) {
    for (const name of ['tabindex', 'role', 'aria-label']) part.removeAttribute(name);
    return;
  }
  part.tabIndex = 0;
  part.setAttribute('role', 'group');
  part.setAttribute('aria-label', 'scrolls to the side');
}
